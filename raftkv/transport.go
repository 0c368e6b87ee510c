// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A transport is raft's network transport with changes.
//
// Heartbeats take the same way as everything else. Raft would handle them beside its
// main loop, where one with a newer term can change the term between the moment the
// leader reads it and the moment it writes an entry (hashicorp/raft#695).
//
// The address it goes by is the advertised one.
//
// It can be given a request from within; see electNow.
//
// What elections are made of takes a fresh connection. Those in the pool are from when this
// node led last, and dead if the other one has been restarted or cut off since; raft asks
// for a vote once and then waits for its election timeout.
//
// A node that has failed asks for nothing any more, and a snapshot whose sender falls silent
// is given up; see silent and patientReader.
//
// And followers are told at once what is committed. Raft tells them with the next entry,
// or after one to two CommitTimeouts: 75 ms, by default, in which a follower that has the entry on its
// disk does not show it. So when the leader has applied something, a follower with nothing
// under way gets an empty AppendEntries after what it has acknowledged in this term, with
// the commit index capped there: a message that raft itself might send. See progress, and
// commitNote for how it is sent without an answer.
//
// No request tells of a commit beyond what is on this node's own disk: raft's leader counts
// itself before; see aheadLog.
//
// A request that tells nothing new is answered here if the follower has answered another one
// that was sent a moment before. Raft sends a commit index that the follower knows, and
// heartbeats shortly after other requests.
//
// A request has a bounded size: raft's bound counts entries, and the one who gets it has all
// of them in memory, and again as they are written to the log.
//
// NetworkTransport is embedded so that its optional methods, of which pre-vote is one,
// stay visible to raft.
type transport struct {
	*raft.NetworkTransport
	votes *raft.NetworkTransport // dials only
	addr  raft.ServerAddress
	rpcs  chan raft.RPC
	elect chan election
	lull  time.Duration // between two requests that tell nothing, at least

	late   chan raft.RPC // capacity one; of the commit notes that found raft busy the one that tells most
	lateMu sync.Mutex    // held to send there

	sent, received atomic.Uint64 // AppendEntries requests
	appends        Histogram     // those sent that were answered
	failures       atomic.Uint64 // those that were not

	mu       sync.Mutex
	progress map[raft.ServerID]*progress
	raft     atomic.Pointer[raft.Raft] // set when raft has started
	durably  func(index uint64) uint64 // the smaller of it and what is on this node's disk; set before raft starts
	installs installs
	handed   atomic.Bool     // a leader has handed over to this node
	failed   <-chan struct{} // closed when the node has failed
	hangUp   func(id string) // ends the connections from a node

	tell func(id string, note []byte) bool // sends a node a commit note, if it takes them

	once sync.Once
	done chan struct{}
	wg   sync.WaitGroup
}

// maxLull is how long a follower's answer stands for the next one at most: as long as passes
// between two heartbeats at least, by default.
const maxLull = 100 * time.Millisecond

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

// newTransport returns the transport of a node whose peer port is stream.
func newTransport(n *Node, stream raft.StreamLayer, addr string) *transport {
	log := newHCLog(n.log)
	network := func(stream raft.StreamLayer, pool int) *raft.NetworkTransport {
		return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          stream,
			MaxPool:         pool,
			Timeout:         10 * time.Second,
			MaxRPCsInFlight: 1, // pipelining can hang for ever (hashicorp/raft#612) and gains nothing
			Logger:          log,

			ServerAddressProvider: n.peers,
		})
	}
	t := &transport{
		NetworkTransport: network(stream, 3),

		votes:    network(dialOnly{stream, make(chan struct{})}, 0),
		addr:     raft.ServerAddress(addr),
		rpcs:     make(chan raft.RPC),
		elect:    make(chan election),
		late:     make(chan raft.RPC, 1),
		lull:     min(n.cfg.ElectionTimeout/10, maxLull),
		progress: make(map[raft.ServerID]*progress),
		installs: installs{fail: n.fail},
		failed:   n.failed,
		hangUp:   n.mux.hangUp,
		tell:     func(id string, note []byte) bool { return n.peers.client(id).tell(kindCommit, note) },
		done:     make(chan struct{}),
	}
	t.wg.Go(t.forward)
	t.wg.Go(t.lateLoop)
	return t
}

// dialOnly is a stream layer on which nobody calls.
type dialOnly struct {
	raft.StreamLayer
	done chan struct{}
}

// Accept returns when the layer is closed.
func (d dialOnly) Accept() (net.Conn, error) {
	<-d.done
	return nil, net.ErrClosed
}

// Close ends Accept. It is called once, by the transport.
func (d dialOnly) Close() error {
	close(d.done)
	return nil
}

// forward passes the requests of others on to raft, and this node's own for an election.
func (t *transport) forward() {
	var last uint64 // term of the last request: raft may not have come to it yet, only to those before
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			last = 0
			switch c := rpc.Command.(type) {
			case *raft.AppendEntriesRequest:
				t.received.Add(1)
				last = c.Term
			case *raft.RequestVoteRequest:
				last = c.Term
			case *raft.InstallSnapshotRequest:
				t.installs.count()
				last = c.Term
				rpc.Reader = &patientReader{rpc.Reader, func() { t.hangUp(string(c.ID)) }}
			case *raft.TimeoutNowRequest:
				t.handed.Store(true)
				last = math.MaxUint64 // it will be a newer one
			}
			t.pass(rpc)
		case e := <-t.elect:
			if last <= e.term && t.raft.Load().CurrentTerm() <= e.term {
				t.pass(e.request(t.addr))
				last = math.MaxUint64
			}
		case <-t.done:
			return
		}
	}
}

// installPatience is how long a leader may send nothing of a snapshot that it has begun.
const installPatience = 10 * time.Second

// A patientReader reads a snapshot that a leader sends. Raft's main loop reads it, and waits
// as long as that leader keeps silent: it is stopped, or behind a network that is gone.
// Meanwhile this node would hear of no other one.
type patientReader struct {
	io.Reader
	hangUp func()
}

func (r *patientReader) Read(b []byte) (int, error) {
	defer time.AfterFunc(installPatience, r.hangUp).Stop()
	return r.Reader.Read(b)
}

func (t *transport) pass(rpc raft.RPC) {
	select {
	case t.rpcs <- rpc:
	case <-t.done:
		rpc.Respond(nil, raft.ErrTransportShutdown)
	}
}

// Consumer returns the channel of requests.
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// LocalAddr returns the advertised address.
func (t *transport) LocalAddr() raft.ServerAddress { return t.addr }

// SetHeartbeatHandler does nothing; see the type's comment.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// silent reports whether this node must not be taken for one that works. Raft goes on
// sending heartbeats while its main loop hangs on a disk (hashicorp/raft#503), and after
// its transport was closed.
func (t *transport) silent() bool {
	select {
	case <-t.failed:
	case <-t.done:
	default:
		return false
	}
	return true
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if t.silent() {
		return raft.ErrTransportShutdown
	}
	return t.votes.RequestVote(id, target, args, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if t.silent() {
		return raft.ErrTransportShutdown
	}
	return t.votes.RequestPreVote(id, target, args, resp)
}

// TimeoutNow implements raft.Transport.
func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.votes.TimeoutNow(id, target, args, resp)
}

// AppendEntries sends the request, and keeps what its answer tells of the follower.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if t.silent() {
		return raft.ErrTransportShutdown
	}
	p := t.progressOf(id)
	start := time.Now()
	if p.saidSince(start.Add(-t.lull), args) {
		// Without a header: it is decoded into what is there, which must not be that of args.
		*resp = raft.AppendEntriesResponse{Term: args.Term, LastLog: args.PrevLogEntry, Success: true}
		return nil
	}
	t.sent.Add(1)
	args.Entries = bounded(args.Entries) // raft goes on after the last one
	args.LeaderCommitIndex = t.durably(args.LeaderCommitIndex)
	tells := p.start(target, args)
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	took := time.Since(start)
	if err != nil {
		t.failures.Add(1)
	} else {
		t.appends.Observe(took)
	}
	p.end(args, resp, took, err, tells)
	if r := t.raft.Load(); r != nil {
		p.check(t.durably(r.CommitIndex()))
	}
	return err
}

// maxAppendBytes is how much the entries of one request hold, unless it is one entry.
const maxAppendBytes = 4 << 20

// bounded returns the first of the entries, as many as one request may hold.
func bounded(entries []*raft.Log) []*raft.Log {
	size := 0
	for i, e := range entries {
		if size += len(e.Data) + len(e.Extensions); size > maxAppendBytes && i > 0 {
			return entries[:i]
		}
	}
	return entries
}

// InstallSnapshot sends a snapshot, and notes that the follower will need what comes after.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	p := t.progressOf(id)
	p.sending(args)
	err := t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
	p.sentSnapshot(args, err == nil && resp.Success)
	return err
}

// progressOf returns what is known about a follower.
func (t *transport) progressOf(id raft.ServerID) *progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.progress[id]
	if p == nil {
		p = &progress{id: id, wake: make(chan struct{}, 1)}
		t.progress[id] = p
		t.wg.Go(func() { t.nudgeLoop(p) })
	}
	return p
}

// committed is called when this node has applied entries.
func (t *transport) committed() {
	r := t.raft.Load()
	if r == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.progress {
		p.check(t.durably(r.CommitIndex()))
	}
}

// nudgeLoop tells one follower what is committed.
func (t *transport) nudgeLoop(p *progress) {
	for {
		select {
		case <-p.wake:
		case <-t.done:
			return
		}
		r := t.raft.Load()
		if r == nil {
			continue
		}
		args, target, ok := p.nudge(r)
		if !ok || t.note(p, &args) {
			continue
		}
		// What the answer says of terms raft learns from its own requests.
		_ = t.AppendEntries(p.id, target, &args, new(raft.AppendEntriesResponse))
	}
}

// Close ends the transport and waits for its goroutines. It may be called more than once.
func (t *transport) Close() error {
	err := errors.Join(t.NetworkTransport.Close(), t.votes.Close())
	t.CloseStreams()
	t.once.Do(func() { close(t.done) })
	t.wg.Wait()
	return err
}
