// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	transport *transport
	wal       *wal.WAL
	logMeta   *logMeta
	logs      *logStore
	stable    *stableStore
	snapshots *snapshotStore
	raft      *raft.Raft

	queue    queue
	requests sync.Pool // of *request
	readers  readers
	registry registry

	counts    counts
	lead      atomic.Pointer[leadership] // nil unless this node leads and is ready
	ready     chan struct{}              // closed when it has led for the first time
	readyOnce sync.Once

	ctx       context.Context // ends with the node
	cancel    context.CancelFunc
	running   atomic.Bool   // raft's goroutines run
	closing   chan struct{} // closed by Close
	closeOnce sync.Once
	closeErr  error
	wg        sync.WaitGroup // loops that stop before raft does
	compacts  sync.WaitGroup // the one that stops after

	failOnce sync.Once
	failed   chan struct{} // closed after err is set
	err      error
}

// Open starts the node in its data directory, which it makes if there is none. A new
// node is the only voter of a new cluster. Open returns when the node serves: as the
// only voter it leads and has applied its whole log. If the directory belongs to
// another process the error is ErrLocked.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("opening node: %w", err)
	}
	n := &Node{
		cfg:      cfg,
		log:      cfg.Log,
		started:  cfg.Now(),
		tree:     tree.New(),
		clock:    newClock(cfg.Now, cfg.Log),
		queue:    queue{maxBytes: max(64<<20, 4*cfg.MaxValue), wake: make(chan struct{}, 1)},
		requests: sync.Pool{New: newRequest},
		readers:  readers{wake: make(chan struct{}, 1)},
		ready:    make(chan struct{}),
		closing:  make(chan struct{}),
		failed:   make(chan struct{}),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.fsm = fsm.New(n.tree, n.fail)
	err = n.open(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening node in %q: %w", cfg.DataDir, err), n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) (err error) {
	if n.dir, err = openDataDir(n.cfg.DataDir); err != nil {
		return err
	}
	if err := n.openStores(); err != nil {
		return err
	}
	ln, err := n.cfg.Hooks.Listen(n.cfg.PeerAddr)
	if err != nil {
		return fmt.Errorf("listening on the peer port: %w", err)
	}
	n.mux = newMux(ln, n.cfg.PeerTLS, n.log)
	addr := n.cfg.AdvertisePeerAddr
	if addr == "" {
		addr = ln.Addr().String()
	}
	n.transport = newTransport(raftStream{n.mux.raft, n.cfg.PeerTLS, n.cfg.Hooks.Dial}, addr, newHCLog(n.log))
	if err := n.startRaft(); err != nil {
		return err
	}
	alone, err := n.alone()
	if err != nil {
		return err
	}
	n.wg.Go(n.leadLoop)
	n.wg.Go(n.proposeLoop)
	n.wg.Go(n.readLoop)
	n.wg.Go(n.expireLoop)
	n.wg.Go(n.markLoop)
	n.compacts.Go(n.compactLoop)
	if alone {
		n.transport.electNow(raft.ServerID(n.dir.id))
	}
	select {
	case <-n.ready:
		return nil
	case <-n.failed:
		return n.err
	case <-ctx.Done():
		return fmt.Errorf("waiting to lead: %w", ctx.Err())
	}
}

func (n *Node) openStores() (err error) {
	log := newHCLog(n.log)
	if err := n.openLog(log.Named("log")); err != nil {
		return fmt.Errorf("opening log store: %w", err)
	}
	var logs raft.LogStore = markedLog{n.wal, n.logMeta}
	if n.cfg.Hooks.LogStore != nil {
		logs = n.cfg.Hooks.LogStore(logs)
	}
	n.logs = newLogStore(logs, n.cfg.StallTimeout, n.fail)
	if n.stable, err = openStableStore(n.dir.vote(), n.failHere); err != nil {
		return fmt.Errorf("opening vote file: %w", err)
	}
	if n.snapshots, err = openSnapshots(n.dir.snapshots(), log.Named("snapshot")); err != nil {
		return fmt.Errorf("opening snapshots: %w", err)
	}
	return n.checkStores()
}

// startRaft starts raft, after it has made this node the only voter if there is no
// state yet.
func (n *Node) startRaft() (err error) {
	// Raft panics if it finds its own log unreadable.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("starting raft: %v", p)
		}
	}()
	cache := &logCache{logStore: n.logs}
	conf := n.cfg.raftConfig(n.dir.id)
	if err := n.bootstrap(conf, cache); err != nil {
		return fmt.Errorf("making a new cluster: %w", err)
	}
	if n.raft, err = raft.NewRaft(conf, meteredFSM{n.fsm, &n.counts}, cache, n.stable, n.snapshots, n.transport); err != nil {
		return fmt.Errorf("starting raft: %w", err)
	}
	n.raft.RegisterObserver(n.counts.observer())
	n.running.Store(true)
	return nil
}

func (n *Node) bootstrap(conf *raft.Config, logs raft.LogStore) error {
	last, err := logs.LastIndex()
	if err != nil {
		return err
	}
	snapshot, err := n.lastSnapshot()
	if err != nil {
		return err
	}
	n.logs.measureAfter(snapshot.Index)
	n.noteSnapshot(snapshot)
	if last > 0 || snapshot.Index > 0 {
		return nil
	}
	if n.stable.used() {
		return errors.New("log and snapshots are missing, though this node has been part of a cluster; put them back, or start with an empty data directory")
	}
	// A crash in the middle of this leaves a term and no log. Nobody else can have
	// heard of it, so it does not count.
	n.stable.forgetTerm()
	return raft.BootstrapCluster(conf, logs, n.stable, n.snapshots, n.transport, raft.Configuration{
		Servers: []raft.Server{{ID: conf.LocalID, Address: n.transport.LocalAddr()}},
	})
}

// alone reports whether this node is the only voter. It is an error if it is not part
// of the configuration at all.
func (n *Node) alone() (bool, error) {
	future := n.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return false, fmt.Errorf("reading configuration: %w", err)
	}
	voters, member, votes := 0, false, false
	for _, s := range future.Configuration().Servers {
		self := s.ID == raft.ServerID(n.dir.id)
		member = member || self
		if s.Suffrage == raft.Voter {
			voters++
			votes = votes || self
		}
	}
	if !member {
		return false, fmt.Errorf("log is that of another node, not of %s; was the file \"id\" replaced?", n.dir.id)
	}
	return votes && voters == 1, nil
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
		n.queue.close(ErrFailed)
		close(n.failed)
	})
}
