// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// The tests here are each for one known bug of hashicorp/raft, or one outage of somebody
// who uses it. Those for #661, #695 and raftchunking are TestStableStore,
// TestHeartbeatsTakeTheMainLoop and TestChunksSurviveRestore.

// divergent makes an old leader with entries that nobody else has, and a new leader with
// others in their place, of which it has made a snapshot that ends within them.
func (c *memCluster) divergent(t *testing.T, snapshot func(*Node) error) (old, leader *Node) {
	old, rest := c.leader()
	c.cutOff(old)
	for range 40 {
		old.raft.ApplyLog(raft.Log{Data: []byte{1}}, 0)
	}
	last := old.raft.LastIndex()
	leader = newLeader(t, rest)
	for i := range 20 {
		set(t, leader, fmt.Sprintf("/k%d", i), "v")
	}
	if err := snapshot(leader); err != nil {
		t.Fatal(err)
	}
	if s, err := leader.lastSnapshot(); err != nil || s.Index >= last {
		t.Fatalf("the snapshot ends at %d, the entries of the old leader at %d: %v", s.Index, last, err)
	}
	c.net.reset() // or it gets entries that were sent before the snapshot
	return old, leader
}

// TestInstallSnapshotLivelock is for hashicorp/raft#697. The log that is kept behind a
// snapshot keeps a follower from needing one; it fails with maxTrailing and minTrailing 0.
func TestInstallSnapshotLivelock(t *testing.T) {
	small := func(cfg *Config) { cfg.MaxValue, cfg.SnapshotBytes = 1024, 1 }
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t, small)
		old, _ := c.divergent(t, func(n *Node) error {
			err := n.snapshot()
			if errors.Is(err, raft.ErrNothingNewToSnapshot) { // compactLoop has been faster
				err = nil
			}
			return err
		})
		c.net.heal()
		shows(t, old, "/k19", "v")
		if i := installsAt(old); i != 0 {
			t.Errorf("it was sent %d snapshots", i)
		}
	})
}

// TestInstallSnapshotWatchdog cuts the log of the leader to nothing, as nobody should. The
// node that is sent the same snapshot for ever finds out, and starting it again helps.
// Without the watchdog of installs it takes them until the end of the test.
func TestInstallSnapshotWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		old, _ := c.divergent(t, func(n *Node) error {
			rc := n.raft.ReloadableConfig()
			rc.TrailingLogs = 0
			return errors.Join(n.raft.ReloadConfig(rc), n.raft.Snapshot().Error())
		})
		c.net.heal()
		if err := waitFailed(t, old, time.Minute); !strings.Contains(err.Error(), "snapshots within") {
			t.Fatal(err)
		}
		if _, err := old.View().Get("/k19"); err != nil {
			t.Errorf("it has the snapshot and does not show it: %v", err)
		}
		closeNode(t, old)
		set(t, c.without(old)[0], "/k", "v")
		shows(t, c.again(old), "/k", "v")
	})
}

// stickTransfer leaves in raft what a transfer does that loses the leadership meanwhile.
func stickTransfer(t *testing.T, n *Node) {
	f := reflect.ValueOf(n.raft).Elem().FieldByName("leaderState").FieldByName("leadershipTransferInProgress")
	if !f.IsValid() {
		t.Fatal("raft has no such field any more")
	}
	atomic.StoreInt32((*int32)(unsafe.Pointer(f.UnsafeAddr())), 1)
}

// TestTransferInProgressForEver is for hashicorp/raft#696. Without watchTransfer the node
// leads and refuses everything until somebody ends it.
func TestTransferInProgressForEver(t *testing.T) {
	t.Run("writes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newMemCluster(t)
			leader, rest := c.leader()
			stickTransfer(t, leader)
			if _, err := leader.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a"}); !errors.Is(err, ErrNotProposed) {
				t.Errorf("a write: %v", err)
			}
			if err := waitFailed(t, leader, time.Minute); !strings.Contains(err.Error(), "hands the leadership over") {
				t.Fatal(err)
			}
			closeNode(t, leader)
			set(t, newLeader(t, rest), "/a", "1")
		})
	})
	t.Run("no writes", func(t *testing.T) { // but it leads anew, and never gets ready
		synctest.Test(t, func(t *testing.T) {
			c := newMemCluster(t)
			leader, rest := c.leader()
			stickTransfer(t, leader)
			c.net.cut(rest[0].cfg.Name, rest[1].cfg.Name) // so none but leader can have a majority
			c.cutOff(leader)
			eventually(t, "the leadership to go", func() bool { return leader.raft.State() != raft.Leader })
			c.net.heal()
			c.net.cut(rest[0].cfg.Name, rest[1].cfg.Name)
			leader.transport.electNow(raft.ServerID(leader.dir.id), math.MaxUint64) // whatever has happened
			if err := waitFailed(t, leader, time.Minute); !strings.Contains(err.Error(), "hands the leadership over") {
				t.Fatal(err)
			}
		})
	})
	t.Run("none", func(t *testing.T) { // two that have ended, long apart
		synctest.Test(t, func(t *testing.T) {
			c := newMemCluster(t)
			leader, _ := c.leader()
			leader.watchTransfer(raft.ErrLeadershipTransferInProgress)
			if err := leader.handOver(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			leader.transport.electNow(raft.ServerID(leader.dir.id), math.MaxUint64) // whatever has happened
			eventually(t, "it to lead again", func() bool { return leader.lead.Load() != nil })
			leader.watchTransfer(raft.ErrLeadershipTransferInProgress)
			if err := leader.Err(); err != nil {
				t.Error(err)
			}
		})
	})
}

// faultyCluster is a cluster whose nodes have logs with faults, by the node's name.
func faultyCluster(t *testing.T, change ...func(*Config)) (*memCluster, map[string]*faultyLog) {
	logs := make(map[string]*faultyLog)
	c := newMemCluster(t, append(change, func(cfg *Config) {
		f := &faultyLog{stall: make(chan struct{})}
		logs[cfg.Name] = f
		cfg.Hooks.LogStore = func(s raft.LogStore) raft.LogStore { f.LogStore = s; return f }
	})...)
	t.Cleanup(func() { // before the nodes are closed
		for _, f := range logs {
			f.letGo()
		}
	})
	return c, logs
}

// letGo ends all waiting.
func (f *faultyLog) letGo() {
	if f.hold.Swap(false) {
		close(f.stall)
	}
}

// TestLeaderDiskHangs is for hashicorp/raft#503: a leader that cannot write goes on sending
// heartbeats, so nobody else is elected. Without StallTimeout that lasts for ever, and
// without transport.silent until its process has ended.
func TestLeaderDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := faultyCluster(t)
		leader, rest := c.leader()
		set(t, leader, "/a", "1")
		logs[leader.cfg.Name].hold.Store(true)
		start, term := time.Now(), leader.raft.CurrentTerm()
		go leader.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/b"})
		time.Sleep(defaultStall - time.Second)
		if got := rest[0].raft.CurrentTerm(); got != term || leader.Err() != nil {
			t.Fatalf("term %d after %d, %v: raft has learnt to find out by itself?", got, term, leader.Err())
		}
		if err := waitFailed(t, leader, time.Minute); !strings.Contains(err.Error(), "stalled") {
			t.Error(err)
		}
		set(t, newLeader(t, rest), "/a", "2")
		t.Logf("%v until a write", time.Since(start))
	})
}

// TestFollowerDiskHangs is for hashicorp/raft#612: a pipeline of requests can wedge after a
// follower's disk has hung. There is none.
func TestFollowerDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := faultyCluster(t)
		leader, rest := c.leader()
		if _, err := leader.transport.AppendEntriesPipeline("x", "x"); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
			t.Errorf("there is a pipeline: %v", err)
		}
		slow := logs[rest[0].cfg.Name]
		slow.hold.Store(true)
		for i := range 1000 {
			set(t, leader, "/a", fmt.Sprint(i))
		}
		time.Sleep(defaultStall * 9 / 10)
		slow.letGo()
		start := time.Now()
		shows(t, rest[0], "/a", "999")
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("it took %v until the follower had everything", took)
		}
	})
}

// TestRestoreCommittedLogsIsOff: with it raft 1.8.0 forgets who votes and can hang.
func TestRestoreCommittedLogsIsOff(t *testing.T) {
	cfg, err := testConfig(t).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	rc := cfg.raftConfig("x")
	if rc.RestoreCommittedLogs {
		t.Error("it is on")
	}
	if rc.TrailingLogs < 64 {
		t.Errorf("%d trailing entries", rc.TrailingLogs)
	}
	if err := raft.ValidateConfig(rc); err != nil {
		t.Error(err)
	}
}

// slowCut is a log store in which removing entries waits while it is held.
type slowCut struct {
	raft.LogStore
	held chan struct{} // closed when it is not
}

func (s *slowCut) IsMonotonic() bool { return true }

func (s *slowCut) DeleteRange(lo, hi uint64) error {
	<-s.held
	return s.LogStore.DeleteRange(lo, hi)
}

// TestSlowRestore is for hashicorp/raft#212: a follower needs longer to take a snapshot
// than the leader's log lasts, and would be sent the next one, and so on. Without
// firstNeeded the leader's log is cut twice while the follower is busy, and it is sent
// another.
func TestSlowRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 2 << 20
		cuts := make(map[string]*slowCut)
		c := newMemCluster(t, func(cfg *Config) {
			cfg.SnapshotBytes, cfg.MaxValue, cfg.StallTimeout = limit, 16<<10, time.Hour
			cut := &slowCut{held: make(chan struct{})}
			close(cut.held)
			cuts[cfg.Name] = cut
			cfg.Hooks.LogStore = func(s raft.LogStore) raft.LogStore { cut.LogStore = s; return cut }
		})
		leader, rest := c.leader()
		slow := rest[0]
		value := strings.Repeat("x", 16<<10)
		var snapshot uint64
		// Each write fills the log, and leaves the snapshots small: it is refused.
		write := func(bytes int, snapshots int) {
			t.Helper()
			for ; bytes > 0 || snapshots > 0; bytes -= len(value) {
				if _, err := leader.Do(t.Context(), &tree.Op{Action: tree.CompareAndSwap, Key: "/a", PrevValue: value}); !isRefusal(err) {
					t.Fatal(err)
				}
				if s, err := leader.lastSnapshot(); err != nil || s.Index > snapshot {
					snapshot = s.Index
					snapshots--
				}
			}
		}
		c.cutOff(slow)
		write(8*limit, 2)
		busy := make(chan struct{})
		cuts[slow.cfg.Name].held = busy // the last step of taking a snapshot
		c.net.heal()
		eventually(t, "a snapshot to be sent", func() bool { return installsAt(slow) == 1 })
		write(limit, 2)
		close(busy)
		set(t, leader, "/b", "1")
		shows(t, slow, "/b", "1")
		if i := installsAt(slow); i != 1 {
			t.Errorf("it was sent %d snapshots", i)
		}
	})
}
