// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft-wal/types"
)

func create(t *testing.T, d *Disk, name string, size uint64) types.WritableFile {
	t.Helper()
	f, err := d.Create("/wal", name, size)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, f types.WritableFile, off int64, b []byte) {
	t.Helper()
	if n, err := f.WriteAt(b, off); n != len(b) || err != nil {
		t.Fatal(n, err)
	}
}

// content returns what a file holds, nil if it is not there.
func content(t *testing.T, d *Disk, name string, size int) []byte {
	t.Helper()
	f, err := d.OpenReader("/wal", name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	b := make([]byte, size)
	if err == nil {
		_, err = f.ReadAt(b, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDiskForgets turns the power off after synced and unsynced writes, many times, and
// looks at what there can be afterwards.
func TestDiskForgets(t *testing.T) {
	const size = 8 * sector
	a, b := bytes.Repeat([]byte("a"), size), bytes.Repeat([]byte("b"), size)
	seen := make(map[string]bool)
	for seed := range uint64(300) {
		d := NewDisk()
		synced := create(t, d, "synced", size)
		write(t, synced, 0, a)
		if err := synced.Sync(); err != nil {
			t.Fatal(err)
		}
		write(t, synced, 100, b[:size-200]) // the first and the last sector in part
		unsynced := create(t, d, "new", size)
		write(t, unsynced, 0, a)

		after := d.PowerOff(rand.New(rand.NewPCG(seed, 0)))
		if _, err := synced.WriteAt(a, 0); !errors.Is(err, ErrPowerOff) {
			t.Fatalf("a write without power: %v", err)
		}
		if err := synced.Sync(); !errors.Is(err, ErrPowerOff) {
			t.Fatalf("a sync without power: %v", err)
		}
		now := content(t, after, "synced", size)
		olds, news := 0, 0
		for i := 0; i < size; i += sector {
			switch got := now[i : i+sector]; {
			case bytes.Equal(got, d.files["/wal/synced"].data[i:i+sector]):
				news++
			case bytes.Equal(got, a[:sector]):
				olds++
			default:
				t.Fatalf("sector %d is %q…", i/sector, got[:8])
			}
		}
		switch {
		case news == 0:
			seen["all lost"] = true
		case olds == 0:
			seen["all kept"] = true
		default:
			seen["torn"] = true
		}
		switch f := after.files["/wal/new"]; {
		case f == nil:
			seen["name lost"] = true
		case len(f.data) == 0:
			seen["size lost"] = true
		default:
			seen["name and size kept"] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("only %v happened", seen)
	}
}

// TestDiskSyncsData: what a file has, and its size, are durable without its name, unless that is.
func TestDiskSyncsData(t *testing.T) {
	const size = 3 * sector
	text := bytes.Repeat([]byte("a"), size)
	seen := make(map[string]bool)
	for seed := range uint64(50) {
		d := NewDisk()
		for _, name := range []string{"named", "new"} {
			f := create(t, d, name, sector).(*diskHandle)
			if name == "named" {
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			write(t, f, 0, text)
			if err := f.SyncData(); err != nil {
				t.Fatal(err)
			}
		}
		after := d.PowerOff(rand.New(rand.NewPCG(seed, 0)))
		if got := content(t, after, "named", size); !bytes.Equal(got, text) {
			t.Fatalf("%d bytes are left", len(got))
		}
		got := content(t, after, "new", size)
		if got != nil && !bytes.Equal(got, text) {
			t.Fatalf("%q is left", got)
		}
		seen[string(got)] = true
	}
	if len(seen) != 2 {
		t.Errorf("a file without a durable name is always there, or never: %d", len(seen))
	}
}

// TestDiskFailedSync makes sure that a sync after a failed one promises nothing.
func TestDiskFailedSync(t *testing.T) {
	d := NewDisk()
	f := create(t, d, "f", sector)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	d.Fault(func(op DiskOp, _ string) error {
		if op == DiskSync {
			return syscall.EIO
		}
		return nil
	})
	write(t, f, 0, []byte("lost"))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.Fault(nil)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, d, "f", 4); string(got) != "lost" {
		t.Errorf("it reads %q while the power is on", got)
	}
	if got := content(t, d.PowerOff(rand.New(rand.NewPCG(1, 1))), "f", 4); string(got) != "\x00\x00\x00\x00" {
		t.Errorf("it kept %q", got)
	}
}

func TestDiskSpace(t *testing.T) {
	d := NewDisk()
	d.Space(4 * sector)
	f := create(t, d, "a", 3*sector)
	if _, err := d.Create("/wal", "b", 2*sector); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no space for a file: %v", err)
	}
	write(t, f, 0, make([]byte, 3*sector)) // its own
	write(t, f, 3*sector, []byte("x"))
	if n, err := f.WriteAt([]byte("x"), 4*sector); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no space to grow: %d, %v", n, err)
	}
	if err := d.Delete("/wal", "a"); err != nil {
		t.Fatal(err)
	}
	create(t, d, "c", 4*sector)
	if names, err := d.ListDir("/wal"); err != nil || len(names) != 2 { // b was made, and is empty
		t.Errorf("%q, %v", names, err)
	}
}

// TestDiskIsSlow delays operations, on the clock of a bubble.
func TestDiskIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		f := create(t, d, "f", sector)
		hang := make(chan struct{})
		d.Fault(func(op DiskOp, _ string) error {
			switch op {
			case DiskSync:
				time.Sleep(5 * time.Millisecond)
			case DiskWrite:
				<-hang
			}
			return nil
		})
		start := time.Now()
		for range 10 {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("ten syncs took %v", took)
		}
		time.AfterFunc(time.Minute, func() { close(hang) })
		write(t, f, 0, []byte("x")) // other operations go on meanwhile
		if took := time.Since(start); took < time.Minute {
			t.Errorf("the write did not hang")
		}
	})
}
