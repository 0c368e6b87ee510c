// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhileInUse: what is in use is tried again for a second; no other failure is.
func TestWhileInUse(t *testing.T) {
	inUse := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	for _, test := range []struct {
		name    string
		err     error
		freeAt  time.Duration // from then on it can be opened
		stopAt  time.Duration // the context ends
		want    error
		atLeast time.Duration
		atMost  time.Duration
	}{
		{name: "free", freeAt: 0},
		{name: "a port that comes free", err: inUse, freeAt: 300 * time.Millisecond, atLeast: 300 * time.Millisecond, atMost: 310 * time.Millisecond},
		{name: "a lock that comes free", err: fmt.Errorf("%w: by process 7", ErrLocked), freeAt: 300 * time.Millisecond, atLeast: 300 * time.Millisecond, atMost: 310 * time.Millisecond},
		{name: "in use for good", err: inUse, freeAt: time.Hour, want: inUse, atLeast: inUseFor, atMost: inUseFor + 2*inUseAgain},
		{name: "not to be waited for", err: inUse, freeAt: time.Hour, stopAt: 50 * time.Millisecond, want: inUse, atLeast: 50 * time.Millisecond, atMost: 50 * time.Millisecond},
		{name: "another failure", err: syscall.EACCES, freeAt: time.Hour, want: syscall.EACCES},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), max(test.stopAt, time.Nanosecond))
			defer cancel()
			if test.stopAt == 0 {
				ctx = t.Context()
			}
			start := time.Now()
			err := whileInUse(ctx, func() error {
				if time.Since(start) >= test.freeAt {
					return nil
				}
				return test.err
			})
			if took := time.Since(start); !errors.Is(err, test.want) || took < test.atLeast || took > test.atMost {
				t.Errorf("%s: %v after %v, want %v after %v to %v", test.name, err, took, test.want, test.atLeast, test.atMost)
			}
		})
	}
}

// TestOpenAfterKill: a port and a lock that another holds for a moment longer are waited for.
func TestOpenAfterKill(t *testing.T) {
	dir := t.TempDir()
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { lock.Close(); held.Close() })
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	l, err := Listen(t.Context(), held.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
