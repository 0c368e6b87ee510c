// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shared is what the resources of one LoadDir have together, to do once what would be the
// same for many.
type shared struct {
	leftovers leftovers
	paths     paths
	dirs      directories
	disk      slots
}

// newShared returns what resources share. Each that has a slot of the disk calls wait, if it is not
// nil, and done before it leaves.
func newShared(wait func() (done func())) *shared {
	if wait == nil {
		wait = func() func() { return func() {} }
	}
	return &shared{disk: slots{make(chan struct{}, diskSlots), wait}}
}

const (
	// diskSlots is how many files are written at a time. The disk puts the syncs of those together
	// that wait, and the more the slower it is; each keeps a thread.
	diskSlots = 64

	// diskPatience is how long one waits for a slot. After that it goes on without: those
	// that have them may hang on a file system that does not answer, and lanes do not
	// wait for each other.
	diskPatience = time.Second
)

// slots are places that give way to those who have waited for long.
type slots struct {
	free chan struct{}
	wait func() (done func())
}

// enter takes a slot and says so, and returns what is to be called when the file is written.
func (s slots) enter() (leave func()) {
	giveBack := s.take()
	done := s.wait()
	return func() {
		done()
		giveBack()
	}
}

// take takes a slot, or after diskPatience none, and returns what gives it back.
func (s slots) take() (giveBack func()) {
	leave := func() { <-s.free }
	select {
	case s.free <- struct{}{}:
		return leave
	default:
	}
	timer := time.NewTimer(diskPatience)
	defer timer.Stop()
	select {
	case s.free <- struct{}{}:
		return leave
	case <-timer.C:
		return func() {}
	}
}

// directories are those that destinations are in. The zero value is ready to use,
// concurrently.
type directories struct {
	mu   sync.Mutex
	dirs map[string]*directory // :: path → what is known of it
}

// A directory has those who sync it at the same time share what they can, and those who make or
// change names in it wait for each other here: the kernel lets one at a time do so, and has the others
// burn a processor each meanwhile.
type directory struct {
	names sync.Mutex // held while one is made or changed

	turn chan struct{} // of capacity 1; full while a sync is under way
	mu   sync.Mutex
	next *dirSync // that has not begun; nil = nobody waits for one
}

// A dirSync is one sync of a directory.
type dirSync struct {
	done chan struct{}
	err  error // valid when done is closed
}

func newDirectory() *directory { return &directory{turn: make(chan struct{}, 1)} }

// of returns the directory with that path.
func (s *directories) of(path string) *directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dirs[path]
	if d == nil {
		if s.dirs == nil {
			s.dirs = make(map[string]*directory)
		}
		d = newDirectory()
		s.dirs[path] = d
	}
	return d
}

// change has do called to make a name or to change what has it, while nobody else does so in
// its directory, and returns its error.
func (s *directories) change(path string, do func() error) error {
	d := s.of(filepath.Dir(path))
	d.names.Lock()
	defer d.names.Unlock()
	return do()
}

// sync has do called after this call has begun, and returns its error. Calls that come
// while one is under way share the next one, which begins after all of them have come.
func (d *directory) sync(do func() error) error {
	d.mu.Lock()
	if one := d.next; one != nil {
		d.mu.Unlock()
		<-one.done
		return one.err
	}
	one := &dirSync{done: make(chan struct{})}
	d.next = one
	d.mu.Unlock()

	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	d.mu.Lock()
	d.next = nil // who comes from here on may have renamed too late for this one
	d.mu.Unlock()
	one.err = do()
	close(one.done)
	return one.err
}

// beside calls f with each number below n, at most so many at a time, and returns when
// all have returned.
func beside(n, most int, f func(i int)) {
	if n <= 1 || most <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var working sync.WaitGroup
	for range min(n, most) {
		working.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	working.Wait()
}

// quiet reports whether nothing of the set is seen by others before its files are: it runs
// no check, and does not tell what it would do.
func (s *set) quiet() bool {
	return !slices.ContainsFunc(s.members, func(r *Resource) bool { return r.check != nil || r.opts.Noop })
}

// quiet reports the same of a lane. It runs no command at all.
func (l *lane) quiet() bool {
	return len(l.reloads) == 0 && !slices.ContainsFunc(l.sets, func(s *set) bool { return !s.quiet() })
}

// leading returns how many of a list are to be worked on beside each other, before the
// rest: those that are quiet, from the first on, or the first alone.
func leading[T any](list []T, quiet func(T) bool) int {
	n := slices.IndexFunc(list, func(item T) bool { return !quiet(item) })
	if n < 0 {
		return len(list)
	}
	return max(n, 1)
}
