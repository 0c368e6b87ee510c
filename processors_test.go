// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestProcessors: Go is told of more while all it has wait for the disk, and a while after. Then
// it finds out how many there are, which may not be as many as before.
func TestProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.SetDefaultGOMAXPROCS()
	normal := runtime.GOMAXPROCS(0)
	few := normal + 1
	runtime.GOMAXPROCS(few)
	synctest.Test(t, func(t *testing.T) {
		p := spareAsNeeded(func(string) string { return "" })
		check := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if got := runtime.GOMAXPROCS(0); got != want {
				t.Errorf("%s: %d, want %d", when, got, want)
			}
		}
		var hang []func()
		for range few - 1 {
			hang = append(hang, p.wait())
		}
		p.tell() // nothing new, as when more were needed again before they were taken back
		check("one has something to do", few)
		p.telling.Lock() // as while garbage is collected: nobody who writes waits for the end of that
		last := p.wait()
		p.wait()()
		p.telling.Unlock()
		p.tell()
		check("all wait", few+spareProcessors)
		last()
		time.Sleep(spareFor * 3 / 4)
		check("a while later", few+spareProcessors)
		p.wait()()
		time.Sleep(spareFor * 3 / 4)
		check("a while after all waited again", few+spareProcessors)
		time.Sleep(spareFor / 2)
		check("long after that, though some hang", normal)
		for _, done := range hang {
			done()
		}
		for range max(normal, 2) { // one that had them before
			defer p.wait()()
		}
		check("as many as there are", normal+spareProcessors)
	})
}

// TestProcessorsAlone: a single processor is enough for one that waits alone, and what the
// user wants is left alone.
func TestProcessorsAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := spareAsNeeded(func(string) string { return "" })
	p.wait()()
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("one waits: %d", got)
	}
	p = spareAsNeeded(func(name string) string { return map[string]string{"GOMAXPROCS": "1"}[name] })
	defer p.wait()()
	defer p.wait()()
	if got := runtime.GOMAXPROCS(0); p != nil || got != 1 {
		t.Errorf("GOMAXPROCS is set: %v, %d", p, got)
	}
}

// TestProcessorsAreTold: each that writes a file says so, and when it has.
func TestProcessorsAreTold(t *testing.T) {
	dir, dest := newConfDir(t, "x")
	p := new(processors)
	code := run(t.Context(), []string{"-onetime", "-backend=env", "-confdir", dir, "-data-dir", t.TempDir(), noConfig(t)}, system{
		machine:    machine{getenv: func(string) string { return "" }},
		environ:    func() []string { return nil },
		stdout:     io.Discard,
		stderr:     io.Discard,
		processors: p,
	})
	if code != exitOK || readFile(dest) != "x" || p.normal == 0 || p.waiting != 0 {
		t.Errorf("exit code %d; of %d processors, %d wait", code, p.normal, p.waiting)
	}
}
