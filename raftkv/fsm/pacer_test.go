// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"testing"
	"testing/synctest"
	"time"
)

// writerFunc is an io.Writer.
type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestPacer: a snapshot that is always ready takes half of the time, and a disk that is slow
// does not make it twice as slow.
func TestPacer(t *testing.T) {
	for _, tt := range []struct{ work, disk, pause time.Duration }{
		{0, 0, 0},
		{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond},
		{0, time.Second, maxPause},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pacer{w: writerFunc(func(b []byte) (int, error) {
				time.Sleep(tt.disk)
				return len(b), nil
			}), began: time.Now()}
			start := time.Now()
			const writes = 10
			for range writes {
				time.Sleep(tt.work)
				if n, err := p.Write(make([]byte, 5)); n != 5 || err != nil {
					t.Fatal(n, err)
				}
			}
			if got, want := time.Since(start), writes*(tt.work+tt.disk+tt.pause); got != want {
				t.Errorf("%v of work and %v of the disk for each write: took %v, want %v", tt.work, tt.disk, got, want)
			}
		})
	}
}
