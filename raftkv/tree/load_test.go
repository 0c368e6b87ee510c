// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// beside counts what runs, and what was not waited for.
type beside struct{ begun, left int }

func (b *beside) run(f func()) (wait func()) {
	var running sync.WaitGroup
	b.begun, b.left = b.begun+1, b.left+1
	running.Go(f)
	return func() {
		running.Wait()
		b.left--
	}
}

// manyKeys returns a tree of so many keys in directories of ten, some of which expire.
func manyKeys(t *testing.T, keys int) *Tree {
	tr := New()
	for i := range keys {
		op := Op{Action: Set, Key: fmt.Sprintf("/d%d/k%d", i/10, i%10), Value: fmt.Sprint(i), TTL: uint64(i), HasTTL: i%3 == 0}
		if _, err := tr.Apply(&op, t0); err != nil {
			t.Fatal(err)
		}
	}
	tr.Publish()
	return tr
}

func TestRestoreBeside(t *testing.T) {
	for _, keys := range []int{0, 10, loadBatch, 20 * loadBatch} {
		tr := manyKeys(t, keys)
		data := bytesOf(t, tr)
		var b beside
		got := New()
		if err := got.RestoreBeside(bytes.NewReader(data), b.run); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytesOf(t, got), data) || got.NextExpiry() != tr.NextExpiry() || got.View().Bytes() != tr.View().Bytes() {
			t.Errorf("%d keys: the restored tree differs", keys)
		}
		checkTree(t, got)
		if many := tr.View().Len() > loadBatch; b.left != 0 || many != (b.begun == 1) {
			t.Errorf("%d keys: %d began beside, %d are left", keys, b.begun, b.left)
		}
		for _, n := range []int{len(data) / 3, len(data) / 2, len(data) - 1} {
			if err := New().RestoreBeside(bytes.NewReader(data[:n]), b.run); err == nil || b.left != 0 {
				t.Errorf("%d keys, %d of %d bytes: %v, and %d are left", keys, n, len(data), err, b.left)
			}
		}
	}
}

// TestRestoreBesideRefuses: a key that cannot be there is found wherever it is, and then no
// more than what is on the way is read.
func TestRestoreBesideRefuses(t *testing.T) {
	const keys = 100 * loadBatch
	for _, at := range []string{"/d0/k", "/d0/k5", "/d5/", "/d1000/none/k", "/d999/k9/k"} {
		v := manyKeys(t, keys).View()
		v.keys.m = v.keys.m.Copy()
		v.keys.set(at+"/.", &Node{Created: 1, Modified: 1})
		var run beside
		text := framed(encoded(v))
		r := bytes.NewReader(text)
		tr := New()
		before := tr.View()
		if err := tr.RestoreBeside(r, run.run); !errors.Is(err, errCorrupt) || tr.View() != before || run.left != 0 {
			t.Errorf("%s: %v, and %d are left", at, err, run.left)
		}
		if at == "/d0/k" && r.Len() < len(text)/2 {
			t.Errorf("%d of %d bytes are left after the first key was wrong", r.Len(), len(text))
		}
	}
}

// TestLoad: only keys that are clean, in order, each once and in directories are loaded.
func TestLoad(t *testing.T) {
	for _, keys := range [][]string{{"/a", "/a"}, {"/b", "/a"}, {"/"}, {""}, {"a"}, {"/a//b"}, {"/a/b"}, {"/f", "/f/a"}} {
		var nodes []loading
		for _, key := range keys {
			nodes = append(nodes, loading{key, &Node{Created: 1, Modified: 1}})
		}
		if l := (loader{keys: newKeymap()}); l.load(nodes) {
			t.Errorf("%q is loaded", keys)
		}
	}
}
