// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestProcessors: Go is told of more while all it has wait for the disk, and a while after.
func TestProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	synctest.Test(t, func(t *testing.T) {
		p := spareAsNeeded(func(string) string { return "" })
		check := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if got := runtime.GOMAXPROCS(0); got != want {
				t.Errorf("%s: %d, want %d", when, got, want)
			}
		}
		first := p.wait()
		check("one waits", 2)
		p.telling.Lock() // as while garbage is collected: nobody who writes waits for the end of that
		second := p.wait()
		p.wait()()
		p.telling.Unlock()
		check("two wait", 2+spareProcessors)
		time.Sleep(spareFor * 3 / 4)
		third := p.wait()
		check("three wait", 2+spareProcessors)
		third()
		second()
		time.Sleep(spareFor * 3 / 4)
		check("it is a while since three began", 2+spareProcessors)
		time.Sleep(spareFor / 2)
		synctest.Wait()
		// From here on it is a while, though the first hangs.
		normal := runtime.GOMAXPROCS(0)
		if normal > runtime.NumCPU() {
			t.Errorf("at the end: %d for %d processors", normal, runtime.NumCPU())
		}
		first()
		for range normal { // one that had them before
			defer p.wait()()
		}
		if normal > 1 {
			check("as many as there are", normal+spareProcessors)
		}
	})
	runtime.SetDefaultGOMAXPROCS()
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
