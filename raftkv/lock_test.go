// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestLockHasPid takes a lock whose file has a longer pid, or none.
func TestLockHasPid(t *testing.T) {
	for _, before := range []string{"", "1\n", "123456789012\n"} {
		path := filepath.Join(t.TempDir(), "lock")
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		lock, err := lockFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		got, err := os.ReadFile(path)
		if want := strconv.Itoa(os.Getpid()) + "\n"; err != nil || string(got) != want {
			t.Errorf("after %q the lock holds %q, want %q; %v", before, got, want, err)
		}
	}
}
