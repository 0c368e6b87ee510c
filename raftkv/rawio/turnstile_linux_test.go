// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTurnstile: on one processor most who have something to read have it when Pass
// returns, and nobody without it.
func TestTurnstile(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	turnstile, err := NewTurnstile()
	if err != nil {
		t.Fatal(err)
	}
	defer turnstile.Close()
	var reading sync.WaitGroup
	defer reading.Wait()
	const count = 100
	var had atomic.Int32
	var ends []*os.File
	for range count {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		ends = append(ends, w)
		reading.Go(func() {
			defer r.Close()
			var b [1]byte
			for {
				if n, _ := r.Read(b[:]); n == 0 {
					return
				}
				had.Add(1)
			}
		})
	}
	turnstile.Pass() // all wait now
	for round := range 20 {
		had.Store(0)
		for _, w := range ends {
			if _, err := Write(int(w.Fd()), []byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		turnstile.Pass()
		if got := had.Load(); got < count*2/3 {
			t.Fatalf("round %d: %d of %d have read what was there", round, got, count)
		}
	}
}

// TestTurnstileClosed: a turnstile that is closed, or that there is none of, holds up nobody.
func TestTurnstileClosed(t *testing.T) {
	turnstile, err := NewTurnstile()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		turnstile.Pass()
	}
	if err := turnstile.Close(); err != nil {
		t.Error(err)
	}
	turnstile.Pass()
	var none *Turnstile
	none.Pass()
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}

// TestTurnstileBesideBusyOnes: who passes often waits for those who do nothing but compute once in
// a while, and not each time.
func TestTurnstileBesideBusyOnes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	turnstile, err := NewTurnstile()
	if err != nil {
		t.Fatal(err)
	}
	defer turnstile.Close()
	var computing sync.WaitGroup
	defer computing.Wait()
	var enough atomic.Bool
	defer enough.Store(true)
	for range 2 {
		computing.Go(func() {
			for !enough.Load() {
			}
		})
	}
	passes := func(count int) time.Duration {
		start := time.Now()
		for range count {
			turnstile.Pass()
		}
		return time.Since(start)
	}
	var first time.Duration
	for turnstile.rest.IsZero() {
		if first += passes(1); first > 10*time.Second {
			t.Fatal("the turnstile does not rest")
		}
	}
	if rest := passes(40); rest > first {
		t.Errorf("the passes before it rests took %v, and 40 after them %v", first, rest)
	}
}
