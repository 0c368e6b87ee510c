// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestDirStack: of random keys in order, some directories and some without one above
// them, it finds what a look at all directories finds.
func TestDirStack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "a-", "a-b", "a.", "a0", "ab", "b", "-"}
	var held, missing int
	for range 3000 {
		all := make(map[string]bool) // :: key → directory
		for range rnd.IntN(25) {
			var b strings.Builder
			for range 1 + rnd.IntN(4) {
				b.WriteString("/" + names[rnd.IntN(len(names))])
			}
			all[b.String()] = rnd.IntN(2) == 0
			if dir := parent(b.String()); dir != "/" && rnd.IntN(3) > 0 {
				all[dir] = true
			}
		}
		var keys []string
		for key := range all {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		var dirs dirStack
		for _, key := range keys {
			want := parent(key) == "/" || all[parent(key)]
			if got := dirs.holds(key); got != want {
				t.Fatalf("%q: found its directory: %v, want %v; keys %q", key, got, want, keys)
			}
			if all[key] {
				dirs = append(dirs, key)
			}
			if want {
				held++
			} else {
				missing++
			}
		}
	}
	if held < 1000 || missing < 1000 {
		t.Errorf("%d had a directory and %d had none", held, missing)
	}
}
