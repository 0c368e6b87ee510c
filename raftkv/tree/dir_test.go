// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"errors"
	"testing"
)

// TestDirGone: a directory that the last key was in is made again if it is gone, however it
// went, and is in the way of nothing.
func TestDirGone(t *testing.T) {
	empty := New()
	for name, goes := range map[string]func(*Tree) error{
		"deleted":       func(tr *Tree) error { return applied(tr, Op{Action: Delete, Key: "/a/b", Recursive: true}, t0) },
		"deleted above": func(tr *Tree) error { return applied(tr, Op{Action: Delete, Key: "/a", Recursive: true}, t0) },
		"deleted empty": func(tr *Tree) error {
			return errors.Join(applied(tr, Op{Action: Delete, Key: "/a/b/c"}, t0), applied(tr, Op{Action: Delete, Key: "/a/b", Dir: true}, t0))
		},
		"expired": func(tr *Tree) error {
			err := applied(tr, Op{Action: Update, Key: "/a", TTL: 1, HasTTL: true}, t0)
			tr.Expire(t0 + 2*second)
			return err
		},
		"restored": func(tr *Tree) error { return tr.Restore(bytes.NewReader(bytesOf(t, empty))) },
	} {
		for _, action := range []Action{Set, Create} {
			tr := New()
			must(t, tr, Op{Action: action, Key: "/a/b/c"})
			if err := goes(tr); err != nil {
				t.Fatal(err)
			}
			must(t, tr, Op{Action: action, Key: "/a/b/c"})
			checkTree(t, tr)
			if n, err := tr.View().Get("/a/b"); err != nil || !n.Dir {
				t.Errorf("%s: the directory is %v, %v", name, n, err)
			}

			if err := goes(tr); err != nil {
				t.Fatal(err)
			}
			applied(tr, Op{Action: Delete, Key: "/a", Recursive: true}, t0)
			must(t, tr, Op{Action: Set, Key: "/a"})
			err := applied(tr, Op{Action: action, Key: "/a/b/c"}, t0)
			if e := (*Error)(nil); !errors.As(err, &e) || e.Code != CodeNotDir {
				t.Errorf("%s: a key below a file: %v", name, err)
			}
			tr.Publish()
			checkTree(t, tr)
		}
	}
}

func applied(tr *Tree, op Op, now int64) error {
	_, err := tr.Apply(&op, now)
	return err
}
