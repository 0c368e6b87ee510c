// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

// closeGrace is how long Close waits for what hangs on a disk that has failed.
const closeGrace = 2 * time.Second

// A Node is one member of the store. Its methods may be called concurrently.
type Node struct {
	// Set by Open.
	cfg     Config
	log     *slog.Logger
	started time.Time
	dir     *dataDir
	tree    *tree.Tree
	fsm     *fsm.FSM
	clock   *clock

	mux       *mux
	peers     *peers
	transport *transport
	wal       *wal.WAL
	logMeta   *logMeta
	pipe      *logPipe
	removing  *sync.WaitGroup // of files of the log
	logs      *logStore
	ahead     *aheadLog // over logs, while raft runs
	stable    *stableStore
	snapshots *snapshotStore
	raft      *raft.Raft

	queue     *queue
	gathering atomic.Bool // somebody is in queue.gather, which is for one at a time
	requests  sync.Pool   // of *request
	readers   *readers
	registry  registry

	counts       counts
	cluster      atomic.Pointer[string]     // its id; nil before the node has one
	route        atomic.Pointer[route]      // nil while no leader is known
	routeChanged chan struct{}              // capacity one; it may be another
	announce     chan struct{}              // capacity one; a leader may have to be told of this node
	reconcile    chan struct{}              // capacity one; there may be something to do
	lead         atomic.Pointer[leadership] // nil unless this node leads and is ready
	pulse        pulse                      // of the leader that this node follows
	stood        atomic.Bool                // this node has stood for election since the last leader
	handingOver  atomic.Bool
	refusals     map[string]time.Time // :: node that does not want this one → when that was told last; owned by announceLoop
	stuck        atomic.Int64         // Unix nanoseconds since when raft refuses entries as it hands over; see watchTransfer
	ready        chan struct{}        // closed when this node has had everything acknowledged before it started

	ctx       context.Context // ends with the node
	cancel    context.CancelFunc
	running   atomic.Bool     // raft's goroutines run
	leave     context.Context // ends when Close begins
	leaveNow  context.CancelFunc
	serving   sync.WaitGroup // connections of other nodes
	closing   chan struct{}  // closed by Close, when the leadership is handed over
	closeOnce sync.Once
	closeErr  error
	wg        sync.WaitGroup // loops that stop before raft does
	compacts  sync.WaitGroup // the one that raft is stopped after, unless the node has failed

	failOnce sync.Once
	failed   chan struct{} // closed after err is set
	err      error
}

// Open starts the node in its data directory, which it makes if there is none. A new node
// joins the cluster of Config.Peers, which may take until one of them answers, or is the
// only voter of a new cluster. The only voter serves when Open returns: it leads and has
// applied its whole log. A member of several may have to wait for the others; see Ready.
// If the directory belongs to another process the error is ErrLocked.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("opening node: %w", err)
	}
	for {
		n := newNode(cfg)
		if err = n.open(ctx); err == nil {
			return n, nil
		}
		closeErr := n.Close()
		if errors.Is(err, errAdopted) && closeErr == nil {
			continue
		}
		return nil, errors.Join(fmt.Errorf("opening node in %q: %w", cfg.DataDir, err), closeErr)
	}
}

func newNode(cfg Config) *Node {
	n := &Node{
		cfg:          cfg,
		log:          cfg.Log,
		started:      cfg.Now(),
		tree:         tree.New(),
		clock:        newClock(cfg.Now, cfg.Log),
		queue:        newQueue(max(64<<20, 4*cfg.MaxValue), cfg.Timeout),
		refusals:     make(map[string]time.Time),
		requests:     sync.Pool{New: newRequest},
		readers:      newReaders(),
		pulse:        pulse{wake: make(chan struct{}, 1)},
		registry:     registry{turn: newTurn()},
		routeChanged: make(chan struct{}, 1),
		announce:     make(chan struct{}, 1),
		reconcile:    make(chan struct{}, 1),
		ready:        make(chan struct{}),
		closing:      make(chan struct{}),
		failed:       make(chan struct{}),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.leave, n.leaveNow = context.WithCancel(n.ctx)
	n.fsm = fsm.New(n.tree, n.fail)
	n.peers = newPeers(n)
	return n
}

func (n *Node) open(ctx context.Context) (err error) {
	if n.dir, err = openDataDir(n.cfg.DataDir); err != nil {
		return err
	}
	cluster, err := n.dir.readCluster()
	if err != nil {
		return err
	}
	if cluster != "" {
		n.cluster.Store(&cluster)
	}
	n.peers.load()
	if err := n.openStores(); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	if err := n.findPlace(ctx); err != nil {
		return err
	}
	if err := n.startRaft(); err != nil {
		return err
	}
	alone, err := n.alone()
	if err != nil {
		return err
	}
	n.startLoops()
	if !alone {
		return nil
	}
	n.transport.electNow(raft.ServerID(n.dir.id), n.raft.CurrentTerm())
	select {
	case <-n.ready:
		return nil
	case <-n.failed:
		return n.err
	case <-ctx.Done():
		return fmt.Errorf("reading the log: %w", ctx.Err())
	}
}

// listen opens the peer port.
func (n *Node) listen() error {
	ln, err := n.cfg.Hooks.Listen(n.cfg.PeerAddr)
	if err != nil {
		return fmt.Errorf("listening on the peer port: %w", err)
	}
	n.mux = newMux(ln, n.cfg.PeerTLS, n.log, n.greet)
	addr := n.cfg.AdvertisePeerAddr
	if addr == "" {
		addr = ln.Addr().String()
	}
	n.transport = newTransport(n, raftStream{n.mux.raft, n.dialNode}, addr)
	return nil
}

func (n *Node) startLoops() {
	for _, loop := range []func(){
		n.routeLoop, n.leadLoop, n.pulseLoop, n.announceLoop, n.reconcileLoop, n.proposeLoop, n.readLoop, n.readyLoop, n.expireLoop, n.markLoop,
	} {
		n.wg.Go(loop)
	}
	n.serving.Go(n.serveNodes)
	n.compacts.Go(n.compactLoop)
	n.snapshots.remover.wake() // the node may have stopped before that
}

// readyLoop finds out when this node has everything that was acknowledged before it was
// started: raft gives the state machine a snapshot, and what follows only when a leader
// has said how much of it is committed.
func (n *Node) readyLoop() {
	for said := false; ; {
		_, err := n.Linearizable(n.ctx)
		if err == nil {
			close(n.ready)
			return
		}
		if errors.Is(err, ErrNoLeader) && n.ctx.Err() == nil && !said {
			n.log.Warn("waiting for a majority of the cluster; start the others, too", "err", err)
			said = true
		}
		n.pause(retryPause)
		if n.ctx.Err() != nil || n.Err() != nil {
			return
		}
	}
}

// Ready returns a channel that is closed when this node has everything that was
// acknowledged before it was started. Until then what it shows is old.
func (n *Node) Ready() <-chan struct{} { return n.ready }

func (n *Node) openStores() (err error) {
	log := newHCLog(n.log)
	if err := n.openLog(log.Named("log")); err != nil {
		return fmt.Errorf("opening log store: %w", err)
	}
	var logs raft.LogStore = markedLog{n.wal, n.logMeta, n.pipe}
	if n.cfg.Hooks.LogStore != nil {
		logs = n.cfg.Hooks.LogStore(logs)
	}
	n.logs = newLogStore(logs, n.cfg.StallTimeout, n.fail)
	n.logs.pipe = n.pipe
	if n.stable, err = openStableStore(n.dir.vote(), n.failHere); err != nil {
		return fmt.Errorf("opening vote file: %w", err)
	}
	if n.snapshots, err = openSnapshots(n.dir.snapshots(), n.failed, log.Named("snapshot")); err != nil {
		return fmt.Errorf("opening snapshots: %w", err)
	}
	return n.checkStores()
}

// findPlace makes a node without data the only voter of a new cluster, or has it join
// others; one with data it only checks.
func (n *Node) findPlace(ctx context.Context) error {
	has, err := n.hasState()
	if err != nil {
		return err
	}
	peers := n.others(n.cfg.Peers)
	if has {
		return n.checkPeers(ctx, peers)
	}
	// A node that was let in may have heard of a term before it had an entry; it has not
	// voted then. That it is no voter which has lost its log, the leader checks.
	if n.stable.used() && (n.ClusterID() == "" || n.stable.voted()) {
		return errors.New("log and snapshots are missing, though this node has been part of a cluster; put them back, or start with an empty data directory")
	}
	if n.ClusterID() != "" { // let in, and stopped before it had anything
		peers = append(peers, slices.Collect(maps.Values(n.peers.saved))...)
		slices.Sort(peers)
		peers = slices.Compact(peers)
		if len(peers) == 0 {
			return errors.New("this node has been let into a cluster and does not know where that is; name one of its nodes with -peers")
		}
		return n.joinAt(ctx, peers)
	}
	founders := Founders{Addrs: peers}
	if n.cfg.Discover != nil {
		if founders, err = n.cfg.Discover(ctx); err != nil {
			return err
		}
	}
	return n.settle(ctx, founders)
}

// hasState reports whether raft has a log or a snapshot.
func (n *Node) hasState() (bool, error) {
	last, err := n.logs.LastIndex()
	if err != nil {
		return false, err
	}
	snapshot, err := n.lastSnapshot()
	if err != nil {
		return false, err
	}
	n.logs.measureAfter(snapshot.Index)
	n.noteSnapshot(snapshot)
	return last > 0 || snapshot.Index > 0, nil
}

// bootstrap makes this node the only voter of a new cluster.
func (n *Node) bootstrap() error {
	// A crash in the middle of this leaves a term and no log. Nobody else can have
	// heard of it, so it does not count.
	n.stable.forgetTerm()
	conf := n.cfg.raftConfig(n.dir.id)
	err := raft.BootstrapCluster(conf, n.logs, n.stable, n.snapshots, n.transport, raft.Configuration{
		Servers: []raft.Server{{ID: conf.LocalID, Address: n.transport.LocalAddr()}},
	})
	if err != nil {
		return fmt.Errorf("making a new cluster: %w", cmp.Or(n.Err(), err)) // raft's does not wrap
	}
	return n.setCluster(randomID())
}

// startRaft starts raft.
func (n *Node) startRaft() (err error) {
	// Raft panics if it finds its own log unreadable.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("starting raft: %v", p)
		}
	}()
	if err := n.startAhead(); err != nil {
		return err
	}
	cache := &logCache{monotonicLog: n.ahead}
	conf := n.cfg.raftConfig(n.dir.id)
	if n.raft, err = raft.NewRaft(conf, nodeFSM{n.fsm, n}, cache, n.stable, n.snapshots, n.transport); err != nil {
		return fmt.Errorf("starting raft: %w", err)
	}
	n.transport.raft.Store(n.raft)
	n.raft.RegisterObserver(n.counts.observer())
	n.raft.RegisterObserver(raft.NewObserver(nil, false, n.observe))
	n.running.Store(true)
	n.wakeRoute()
	return nil
}

// alone reports whether this node is the only voter.
func (n *Node) alone() (bool, error) {
	servers, err := n.servers()
	if err != nil {
		return false, fmt.Errorf("reading configuration: %w", err)
	}
	member, votes := false, false
	for _, s := range servers {
		if s.ID == raft.ServerID(n.dir.id) {
			member, votes = true, s.Suffrage == raft.Voter
		}
	}
	switch {
	case member || len(servers) == 0: // let in, and has no log yet
	case len(servers) == 1:
		return false, fmt.Errorf("log is that of another node, not of %s; was the file \"id\" replaced?", n.dir.id)
	default:
		n.log.Warn("this node is not among the members that its log knows; asking them", "id", n.dir.id)
	}
	return votes && countVoters(servers) == 1, nil
}

// ClusterID returns the cluster's id in hex, empty before the node has one.
func (n *Node) ClusterID() string {
	if id := n.cluster.Load(); id != nil {
		return *id
	}
	return ""
}

// setCluster keeps the cluster's id, in the data directory too.
func (n *Node) setCluster(id string) error {
	switch now := n.ClusterID(); {
	case now == id:
		return nil
	case now != "":
		return fmt.Errorf("this node %w: %s, not %s", ErrOtherCluster, now, id)
	}
	if err := n.dir.setCluster(id); err != nil {
		return fmt.Errorf("keeping the cluster's id: %w", err)
	}
	n.cluster.Store(&id)
	return nil
}

// removed ends this node: another one has said that it is a member no more.
func (n *Node) removed(by helloReply) {
	n.fail(fmt.Errorf("%w (says %s)", ErrRemoved, by.Name))
}

// Tree returns the node's tree, for reading: Watch, Wait, View and statistics.
func (n *Node) Tree() *tree.Tree { return n.tree }

// View returns this node's own copy as it is now. It may be behind the leader's.
func (n *Node) View() *tree.View { return n.tree.View() }

// PeerHTTP returns a listener for the HTTP connections that arrive at the peer port.
func (n *Node) PeerHTTP() net.Listener { return n.mux.http }

// Failed returns a channel that is closed when the node cannot go on: a write to the
// disk has failed or hangs, or the log holds an entry this program does not know. The
// process should log Err and end; nothing more is acknowledged.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err returns why the node has failed, nil if it has not.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

// fail stops the node for good. Only the first cause counts.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.err = err
		n.log.Error("the node has failed", "err", err)
		n.queue.fail(ErrFailed)
		close(n.failed)
	})
}
