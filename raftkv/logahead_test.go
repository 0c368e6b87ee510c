// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// An aheadTest is an aheadLog of its own, over a disk that can be held.
type aheadTest struct {
	*aheadLog
	disk   *heldLog
	leads  bool // what StoreLogs is told
	failed chan struct{}
	err    error
}

func newAheadTest(t *testing.T) *aheadTest {
	a := &aheadTest{disk: &heldLog{LogStore: raft.NewInmemStore()}, leads: true, failed: make(chan struct{})}
	fail := sync.OnceFunc(func() { close(a.failed) })
	logs := newLogStore(a.disk, time.Hour, func(err error) { a.err = err; fail() })
	a.aheadLog = newAheadLog(logs, 0, func(int) bool { return a.leads }, a.failed)
	t.Cleanup(func() {
		a.disk.release()
		<-a.close()
	})
	return a
}

// commands returns the entries from one index to another.
func commands(from, to uint64) []*raft.Log {
	var es []*raft.Log
	for i := from; i <= to; i++ {
		es = append(es, &raft.Log{Index: i, Term: 1, Data: fmt.Append(nil, i)})
	}
	return es
}

// blocked runs f and reports whether it does not return while the disk is held. What it
// returns is sent to done.
func (a *aheadTest) blocked(f func() error) (blocked bool, done <-chan error) {
	result := make(chan error, 1)
	go func() { result <- f() }()
	synctest.Wait()
	return len(result) == 0, result
}

func TestAheadTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAheadTest(t)
		a.disk.hold()
		for i := uint64(3); i < 9; i += 2 {
			if err := a.StoreLogs(commands(i, i+1)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the first is in the write that is held
		}
		first, err1 := a.FirstIndex()
		last, err2 := a.LastIndex()
		if first != 3 || last != 8 || errors.Join(err1, err2) != nil {
			t.Errorf("the log is from %d to %d, %v %v", first, last, err1, err2)
		}
		if got := a.durably(100); got != 0 {
			t.Errorf("%d is said to be on the disk", got)
		}
		check := func() {
			t.Helper()
			for i := uint64(2); i <= 9; i++ {
				var e raft.Log
				err := a.GetLog(i, &e)
				if there := i >= 3 && i <= 8; there && (err != nil || e.Index != i || string(e.Data) != fmt.Sprint(i)) || !there && !errors.Is(err, raft.ErrLogNotFound) {
					t.Errorf("entry %d: %+v, %v", i, e, err)
				}
			}
		}
		check()
		a.disk.release()
		synctest.Wait()
		check()
		first, _ = a.FirstIndex()
		last, _ = a.LastIndex()
		if first != 3 || last != 8 || a.durably(100) != 8 || a.durably(5) != 5 {
			t.Errorf("after the write: from %d to %d, %d on the disk", first, last, a.durably(100))
		}
		if want := [][]uint64{{3, 4}, {5, 6, 7, 8}}; !slices.EqualFunc(a.disk.writes, want, slices.Equal) {
			t.Errorf("written as %v, want %v", a.disk.writes, want)
		}
		if a.size != 0 || len(a.tail) != 0 {
			t.Errorf("%d entries of %d bytes are kept", len(a.tail), a.size)
		}
	})
}

// TestAheadWaits: what must find the whole log on the disk waits for that.
func TestAheadWaits(t *testing.T) {
	type op = func(a *aheadTest) error
	for name, tt := range map[string]struct {
		do   op
		want []uint64 // what is in the log at the end
	}{
		"a node that does not lead stores": {func(a *aheadTest) error {
			a.leads = false
			return a.StoreLogs(commands(3, 3))
		}, []uint64{1, 2, 3}},
		"a configuration": {func(a *aheadTest) error {
			return a.StoreLog(&raft.Log{Index: 3, Term: 1, Type: raft.LogConfiguration})
		}, []uint64{1, 2, 3}},
		"the first entry of a term": {func(a *aheadTest) error {
			return a.StoreLog(&raft.Log{Index: 3, Term: 1, Type: raft.LogNoop})
		}, []uint64{1, 2, 3}},
		"a barrier": {func(a *aheadTest) error {
			return a.StoreLogs(append(commands(3, 3), &raft.Log{Index: 4, Term: 1, Type: raft.LogBarrier}))
		}, []uint64{1, 2, 3, 4}},
		"the end is cut off": {func(a *aheadTest) error { return a.DeleteRange(2, 2) }, []uint64{1}},
		"all is cut off":     {func(a *aheadTest) error { return a.DeleteRange(1, 2) }, nil},
		"a term":             {func(a *aheadTest) error { return a.flush() }, []uint64{1, 2}},
		"an entry is applied": {func(a *aheadTest) error {
			return a.waitDurable(2)
		}, []uint64{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAheadTest(t)
				a.disk.hold()
				if err := a.StoreLogs(commands(1, 2)); err != nil {
					t.Fatal(err)
				}
				blocked, done := a.blocked(func() error { return tt.do(a) })
				if !blocked {
					t.Error("it did not wait for what is not on the disk")
				}
				a.disk.release()
				if err := <-done; err != nil {
					t.Error(err)
				}
				synctest.Wait()
				var got []uint64
				for i := uint64(1); i < 10; i++ {
					if a.disk.GetLog(i, new(raft.Log)) == nil {
						got = append(got, i)
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("the log holds %v, want %v", got, tt.want)
				}
				if n := uint64(len(tt.want)); n > 1 && a.durably(100) != n {
					t.Errorf("%d is said to be on the disk, want %d", a.durably(100), n)
				}
				if !slices.IsSortedFunc(a.disk.writes, slices.Compare) {
					t.Errorf("written in the order %v", a.disk.writes)
				}
			})
		})
	}
}

// TestAheadFails: after a write that has failed nothing counts as written, and nobody waits.
func TestAheadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAheadTest(t)
		a.disk.hold()
		if err := a.StoreLogs(commands(1, 2)); err != nil {
			t.Fatal(err)
		}
		_, applied := a.blocked(func() error { return a.waitDurable(1) })
		_, saved := a.blocked(a.flush)
		a.disk.breakWith(errors.New("input/output error"))
		a.disk.release()
		synctest.Wait()
		if a.err == nil || len(applied) == 0 || len(saved) == 0 {
			t.Fatalf("failed with %v; who waits has been told: %d, %d", a.err, len(applied), len(saved))
		}
		if err1, err2 := <-applied, <-saved; !errors.Is(err1, ErrFailed) || !errors.Is(err2, ErrFailed) {
			t.Errorf("told %v, %v", err1, err2)
		}
		a.disk.breakWith(nil) // what the disk has dropped is not known
		a.leads = false
		if err := a.StoreLogs(commands(3, 3)); err == nil {
			t.Error("it goes on behind the gap")
		}
		synctest.Wait()
		if a.durably(100) != 0 || len(a.disk.writes) != 0 {
			t.Errorf("%d is said to be on the disk, there were writes %v", a.durably(100), a.disk.writes)
		}
	})
}

// TestAheadIsBounded: a disk that is too slow holds raft up in the end, by entries and by
// bytes, and a write has a bounded size.
func TestAheadIsBounded(t *testing.T) {
	for name, size := range map[string]int{"entries": 1, "bytes": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAheadTest(t)
				a.disk.hold()
				stored := uint64(0)
				blocked, done := a.blocked(func() error {
					for stored < 2*aheadEntries {
						stored++
						if err := a.StoreLog(&raft.Log{Index: stored, Term: 1, Data: make([]byte, size)}); err != nil {
							return err
						}
					}
					return nil
				})
				limit := min(aheadEntries, aheadBytes/size)
				if !blocked || len(a.tail) != limit {
					t.Fatalf("it waits: %t, and %d entries are in memory, %d may be", blocked, len(a.tail), limit)
				}
				a.disk.release()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if a.durably(1e6) != stored {
					t.Errorf("%d of %d are on the disk", a.durably(1e6), stored)
				}
				for _, w := range a.disk.writes {
					if len(w)*size > maxAppendBytes {
						t.Errorf("%d bytes in a write", len(w)*size)
					}
				}
			})
		})
	}
}

// TestAheadClose: what there is of a tail is written before the log is closed.
func TestAheadClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &heldLog{LogStore: raft.NewInmemStore()}
		a := newAheadLog(newLogStore(disk, time.Hour, func(err error) { t.Error(err) }), 0, func(int) bool { return true }, nil)
		disk.hold()
		if err := a.StoreLogs(commands(1, 3)); err != nil {
			t.Fatal(err)
		}
		ended := a.close()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("it has ended before it has written")
		default:
		}
		disk.release()
		<-ended
		if last, err := disk.LastIndex(); last != 3 || err != nil {
			t.Errorf("the log ends with entry %d: %v", last, err)
		}
	})
}
