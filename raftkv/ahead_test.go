// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

// The tests here hold the disk of one node of three, most often the leader's. Each fails
// if what it is about is taken out of aheadLog or of those who ask it.

// begin has a node write, and returns where the outcome will be.
func begin(t *testing.T, n *Node, key string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := n.Do(context.WithoutCancel(t.Context()), &tree.Op{Action: tree.Set, Key: key, Value: "v"})
		done <- err
	}()
	return done
}

// has reports whether a node's own copy has a key.
func has(n *Node, key string) bool {
	_, err := n.View().Get(key)
	return err == nil
}

// arrives waits until a node has an entry in its log, committed or not.
func arrives(t *testing.T, n *Node, index uint64) {
	t.Helper()
	eventually(t, n.cfg.Name+" to have an entry", func() bool { return n.raft.LastIndex() >= index })
}

// TestAheadOfTheLeadersDisk: while the leader writes, its followers have the entry; but nobody
// shows it, is told of it, or waits for it who need not. When the write is done all follow at
// once.
func TestAheadOfTheLeadersDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t)
		leader, rest := c.leader()
		set(t, leader, "/before", "v")
		disk, last := logs[leader.cfg.Name], leader.raft.LastIndex()
		disk.hold()
		done := begin(t, leader, "/a")
		for _, n := range rest {
			arrives(t, n, last+1)
		}
		time.Sleep(3 * time.Second) // far longer than raft's CommitTimeout
		if leader.raft.CommitIndex() != last+1 {
			t.Fatalf("raft's commit index is %d, so this test is about nothing", leader.raft.CommitIndex())
		}
		if len(done) > 0 {
			t.Fatalf("acknowledged before it is on the leader's disk: %v", <-done)
		}
		for _, n := range c.nodes {
			start := time.Now()
			v, err := n.Linearizable(t.Context())
			if err != nil || time.Since(start) > 10*time.Millisecond {
				t.Errorf("%s: a read took %v: %v", n.cfg.Name, time.Since(start), err)
				continue
			}
			if _, err := v.Get("/a"); err == nil || has(n, "/a") {
				t.Errorf("%s shows what is not on the leader's disk", n.cfg.Name)
			}
		}
		for _, n := range rest {
			if got := n.raft.CommitIndex(); got > last {
				t.Errorf("%s has been told that %d is committed, the leader's disk has %d", n.cfg.Name, got, last)
			}
		}
		start := time.Now()
		disk.release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, n := range c.nodes {
			shows(t, n, "/a", "v")
		}
		if took := time.Since(start); took > 5*time.Millisecond {
			t.Errorf("%v until all have shown it", took)
		}
	})
}

// TestLeaderLosesItsTail turns the power off at a leader whose entry is on the disk of one
// follower only. The other two go on without it.
func TestLeaderLosesItsTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t)
		leader, rest := c.leader()
		set(t, leader, "/before", "v")
		disk, last := logs[leader.cfg.Name], leader.raft.LastIndex()
		near, far := rest[0], rest[1]
		c.cutOff(far)
		disk.hold()
		done := begin(t, leader, "/a")
		arrives(t, near, last+1)
		time.Sleep(400 * time.Millisecond) // less than until the leader misses the other one
		c.cutOff(near)
		disk.breakWith(syscall.EIO)
		disk.release()
		if err := <-done; err == nil || errors.Is(err, ErrNotProposed) {
			t.Errorf("the write: %v; its outcome is not known", err)
		}
		waitFailed(t, leader, time.Second)
		c.net.reset() // it closes when its requests have ended
		if err := leader.Close(); err != nil {
			t.Error(err)
		}
		if got := has(near, "/a"); got {
			t.Error("a follower shows what has never been on the disks of a majority")
		}
		c.net.heal()
		c.net.reset()
		c.cutOff(near)
		disk.breakWith(nil)
		leader = c.again(leader)
		next := newLeader(t, []*Node{leader, far})
		if got := set(t, next, "/b", "v"); got == nil {
			return
		}
		c.net.heal()
		for _, n := range c.nodes {
			shows(t, n, "/b", "v")
			if has(n, "/a") {
				t.Errorf("%s shows what the majority has never had", n.cfg.Name)
			}
		}
	})
}

// TestFollowerWritesBeforeItAnswers: it must not run ahead of its disk, as the leader counts
// it at once.
func TestFollowerWritesBeforeItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t)
		leader, rest := c.leader()
		c.cutOff(rest[1])
		logs[rest[0].cfg.Name].hold()
		done := begin(t, leader, "/a")
		time.Sleep(400 * time.Millisecond)
		if len(done) > 0 {
			t.Fatalf("acknowledged, and it is on the leader's disk only: %v", <-done)
		}
		logs[rest[0].cfg.Name].release()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestTermWaitsForTheTail: a leader that hears of a later term enters it, and answers, when
// it has on the disk what it has sent in its own.
func TestTermWaitsForTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t)
		leader, rest := c.leader()
		disk, last, term := logs[leader.cfg.Name], leader.raft.LastIndex(), leader.raft.CurrentTerm()
		disk.hold()
		done := begin(t, leader, "/a")
		arrives(t, rest[0], last+1)
		answer := make(chan raft.RPCResponse, 1)
		leader.transport.rpcs <- raft.RPC{
			Command: &raft.RequestVoteRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(rest[0].dir.id), Addr: []byte("x")},
				Term:      term + 5, LastLogTerm: term, LastLogIndex: last + 1, LeadershipTransfer: true,
			},
			RespChan: answer,
		}
		time.Sleep(300 * time.Millisecond)
		saved, err := openStableStore(leader.dir.vote(), func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		if saved.term != term || len(answer) > 0 {
			t.Errorf("term %d was saved, answered: %t, while an entry of term %d is not on the disk", saved.term, len(answer) > 0, term)
		}
		disk.release()
		if resp := (<-answer).Response.(*raft.RequestVoteResponse); !resp.Granted {
			t.Error("the vote was not given")
		}
		var e raft.Log
		if err := disk.GetLog(last+1, &e); err != nil || e.Term != term {
			t.Errorf("the entry is %+v on the disk: %v", e, err)
		}
		<-done
	})
}

// TestConfigurationIsWrittenFirst: raft acts on a configuration that it believes committed,
// so it must not believe so too early.
func TestConfigurationIsWrittenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t)
		leader, rest := c.leader()
		disk, last := logs[leader.cfg.Name], leader.raft.LastIndex()
		disk.hold()
		future := leader.raft.DemoteVoter(raft.ServerID(rest[0].dir.id), 0, 0)
		time.Sleep(400 * time.Millisecond)
		for _, n := range rest {
			if got := n.raft.LastIndex(); got != last {
				t.Errorf("%s has entry %d, the leader's disk %d", n.cfg.Name, got, last)
			}
		}
		disk.release()
		if err := future.Error(); err != nil {
			t.Error(err)
		}
	})
}

// TestFirstEntryOfATermIsWrittenFirst: before a leader has it on the disk it sends none, so
// that what it tells of commits is never about entries of earlier terms alone.
func TestFirstEntryOfATermIsWrittenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t)
		leader, rest := c.leader()
		set(t, leader, "/a", "v")
		next := rest[0]
		arrives(t, next, leader.raft.LastIndex())
		last := leader.raft.LastIndex()
		logs[next.cfg.Name].hold()
		leader.raft.LeadershipTransferToServer(raft.ServerID(next.dir.id), raft.ServerAddress(next.cfg.PeerAddr))
		eventually(t, "it to lead", func() bool { return next.raft.State() == raft.Leader })
		time.Sleep(400 * time.Millisecond)
		for _, n := range c.without(next) {
			if got := n.raft.LastIndex(); got != last {
				t.Errorf("%s has entry %d, the leader's disk %d", n.cfg.Name, got, last)
			}
		}
		logs[next.cfg.Name].release()
		eventually(t, "it to be ready", func() bool { return next.lead.Load() != nil })
		set(t, next, "/b", "v")
	})
}

// TestNothingIsAppliedBehindAGap: what the state machine has given up waiting for is not
// applied when the disk goes on after all, and neither is what comes after it.
func TestNothingIsAppliedBehindAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t, func(cfg *Config) { cfg.StallTimeout = 2 * time.Second })
		leader, rest := c.leader()
		disk, last := logs[leader.cfg.Name], leader.raft.LastIndex()
		disk.hold()
		first := begin(t, leader, "/a")
		arrives(t, rest[0], last+1)
		entry := fsm.AppendBatch(nil, leader.clock.read(), []fsm.Op{{Tree: &tree.Op{Action: tree.Set, Key: "/b", Value: "v"}}})
		leader.raft.ApplyLog(raft.Log{Data: entry}, 0)
		arrives(t, rest[0], last+2)
		waitFailed(t, leader, time.Minute)
		if err := <-first; !errors.Is(err, ErrFailed) || errors.Is(err, ErrNotProposed) {
			t.Errorf("a write that hung: %v; its outcome is not known", err)
		}
		disk.release()
		time.Sleep(100 * time.Millisecond)
		if _, err := (nodeFSM{leader.fsm, leader}).Snapshot(); err == nil {
			t.Error("it made a snapshot")
		}
		if got := leader.fsm.Applied(); got > last || has(leader, "/a") || has(leader, "/b") {
			t.Errorf("it has applied up to entry %d, its disk has answered for %d", got, last)
		}
		next := newLeader(t, rest)
		set(t, next, "/d", "v")
		shows(t, next, "/b", "v") // it was on the disks of two
	})
}

// TestCloseWhileTheTailHangs: Close does not wait for a disk that hangs, and does not give
// the directory to another either.
func TestCloseWhileTheTailHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := heldCluster(t, func(cfg *Config) { cfg.StallTimeout = 2 * time.Second })
		leader, rest := c.leader()
		last := leader.raft.LastIndex()
		logs[leader.cfg.Name].hold()
		done := begin(t, leader, "/a")
		arrives(t, rest[0], last+1)
		waitFailed(t, leader, time.Minute)
		<-done
		start := time.Now()
		if err := leader.Close(); err == nil {
			t.Error("closed as if all was well, though a write hangs")
		}
		if took := time.Since(start); took > 2*closeGrace {
			t.Errorf("it took %v", took)
		}
		if lock, err := lockFile(filepath.Join(leader.cfg.DataDir, "lock")); !errors.Is(err, ErrLocked) {
			lock.Close()
			t.Errorf("the directory was given away while a write hangs: %v", err)
		}
		// A bubble ends when the log is closed.
		logs[leader.cfg.Name].release()
		<-leader.ahead.ended
		leader.wal.Close()
	})
}

// TestAloneWaitsForTheDisk: a lone voter has nobody to send to.
func TestAloneWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := heldCluster(t)
		leader, rest := c.leader()
		if !leader.runsAhead(0) || rest[0].runsAhead(0) {
			t.Errorf("the leader runs ahead: %t, a follower: %t", leader.runsAhead(0), rest[0].runsAhead(0))
		}
	})
	if open(t, testConfig(t)).runsAhead(0) {
		t.Error("a lone voter does")
	}
}
