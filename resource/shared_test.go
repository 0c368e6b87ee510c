// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever has renamed before a sync begins shares it; who comes later gets the next one.
func TestSyncIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		begun, end := make(chan struct{}), make(chan error)
		do := func() error { begun <- struct{}{}; return <-end }
		errs := make(chan error, 4)
		go func() { errs <- d.sync(do) }()
		<-begun
		for range 3 { // too late for the one that has begun
			go func() { errs <- d.sync(do) }()
		}
		synctest.Wait()
		end <- nil
		if err := <-errs; err != nil {
			t.Error(err)
		}
		<-begun
		end <- errInjected
		for range 3 {
			if err := <-errs; err != errInjected {
				t.Errorf("who shares a sync that fails has %v", err)
			}
		}
		synctest.Wait()
		select {
		case <-begun:
			t.Error("three that could share a sync have made more than one")
		default:
		}
	})
}

// Files on a file system that hangs must not keep those on others from being written.
func TestSlotsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShared(nil).disk
		for range diskSlots {
			s.enter()
		}
		start := time.Now()
		leave := s.enter()
		if waited := time.Since(start); waited != diskPatience {
			t.Errorf("waited %v for a slot", waited)
		}
		leave() // which it never had
		if len(s.free) != diskSlots {
			t.Errorf("%d slots are taken, want %d", len(s.free), diskSlots)
		}
	})
}

// Who has a slot says so for as long as it has it, and who has waited in vain, too.
func TestSlotsTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting, most := 0, 0
		s := newShared(func() func() {
			waiting++
			most = max(most, waiting)
			return func() { waiting-- }
		}).disk
		var leave []func()
		for range diskSlots + 1 {
			leave = append(leave, s.enter())
		}
		for _, l := range leave {
			l()
		}
		if most != diskSlots+1 || waiting != 0 || len(s.free) != 0 {
			t.Errorf("at most %d waited, in the end %d, with %d slots", most, waiting, len(s.free))
		}
	})
}

func TestBeside(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100} {
		var mu sync.Mutex
		var at, most atomic.Int64
		seen := make(map[int]int)
		beside(n, 4, func(i int) {
			most.Store(max(most.Load(), at.Add(1)))
			mu.Lock()
			seen[i]++
			mu.Unlock()
			at.Add(-1)
		})
		if len(seen) != n || n > 0 && seen[n-1] != 1 || most.Load() > 4 {
			t.Errorf("of %d calls %d were made, %d at a time", n, len(seen), most.Load())
		}
	}
}

// Resources without commands wait for the disk together. One that has a check comes after
// all before it and before all behind it.
func TestOnceBeside(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared reload=%v", shared), func(t *testing.T) {
			c := newConfdir(t)
			var lines []string
			if shared { // then all are of one lane
				lines = []string{`reload_cmd = "reload"`}
			}
			for _, name := range []string{"a", "b", "d", "e"} {
				c.resource(name, lines...)
			}
			c.resource("c", append(lines, `check_cmd = "check"`)...)
			sh := &commands{do: func(_ context.Context, line string) error {
				got, want := "", map[string]string{"check": "ab", "reload": "abcde"}[line]
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					if fileIsThere(c.dest(name)) {
						got += name
					}
				}
				if got != want {
					t.Errorf("%s has found the files %q, want %q", line, got, want)
				}
				return nil
			}}
			opts := c.options()
			resources := c.load(opts, sh.run)
			both := newMeeting(2)
			for _, r := range resources {
				if r.check == nil {
					r.sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
						if op == "sync" {
							both.meet(t)
						}
						return effect()
					}}
				}
			}
			run := NewRunner(Config{Backend: newMemory("/a", "1", "/b", "1", "/c", "1", "/d", "1", "/e", "1"), Resources: resources, Log: opts.Log})
			if err := run.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.wantClean("a", "b", "c", "d", "e")
		})
	}
}

// A meeting lets go of those who come when there are n of them.
type meeting struct {
	n    int
	mu   sync.Mutex
	here int
	all  chan struct{}
}

func newMeeting(n int) *meeting { return &meeting{n: n, all: make(chan struct{})} }

func (m *meeting) meet(t *testing.T) {
	m.mu.Lock()
	all := m.all
	if m.here++; m.here == m.n {
		close(all)
		m.here, m.all = 0, make(chan struct{})
	}
	m.mu.Unlock()
	select {
	case <-all:
	case <-time.After(10 * time.Second):
		t.Error("nobody else has come: one is written after the other")
	}
}

// The directory is read once, and what was left in it is removed for each destination.
func TestSweepOfMany(t *testing.T) {
	c := newConfdir(t)
	for _, name := range []string{"a", "b"} {
		c.resource(name)
		c.file("out/."+name+stageMark+strings.Repeat("0", stageDigits), "x")
	}
	run := c.runner(newMemory("/a", "1", "/b", "1"), nil)
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantClean("a", "b")
	with := run.resources[0].shared
	if with != run.resources[1].shared || len(with.leftovers.dirs) != 1 {
		t.Error("the directory was not read once for both")
	}
}

func fileIsThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
