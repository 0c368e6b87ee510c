// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/tidwall/btree"
)

// keysOf returns n keys, ten in a directory.
func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("/service/app-%05d/host-%d", i/10, i%10)
	}
	return keys
}

// filled returns a tree with these files.
func filled(b *testing.B, keys []string) *Tree {
	tr := New()
	for _, key := range keys {
		if _, err := tr.Apply(&Op{Action: Set, Key: key, Value: "10.0.0.1:8080"}, t0); err != nil {
			b.Fatal(err)
		}
	}
	tr.Publish()
	return tr
}

// BenchmarkKeyTree compares ours with a common B-tree by a set and a freeze for each few sets, a
// get, and keys in order into an empty one.
func BenchmarkKeyTree(b *testing.B) {
	keys := keysOf(100_000)
	n := &Node{}
	for name, m := range map[string]benchmarked{"own": ownTree{newKeyTree()}, "tidwall": otherTree{btree.NewMap[string, *Node](16)}} {
		for _, key := range keys {
			m.set(key, n)
		}
		for _, batch := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, batch), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					m.set(keys[i*7919%len(keys)], n)
					if i%batch == 0 {
						m.freeze()
					}
				}
			})
		}
		b.Run(name+"/get", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				m.get(keys[i*7919%len(keys)])
			}
		})
		b.Run(name+"/fill", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := m.empty()
				for _, key := range keys {
					m.set(key, n)
				}
			}
		})
	}
}

type benchmarked interface {
	set(key string, n *Node)
	get(key string) *Node
	freeze()
	empty() benchmarked
}

type ownTree struct{ t *keyTree }

func (o ownTree) set(key string, n *Node) { o.t.Set(key, n) }
func (o ownTree) get(key string) *Node    { return o.t.Get(key) }
func (o ownTree) freeze()                 { o.t.Copy() }
func (o ownTree) empty() benchmarked      { return ownTree{newKeyTree()} }

type otherTree struct{ m *btree.Map[string, *Node] }

func (o otherTree) set(key string, n *Node) { o.m.Set(key, n) }
func (o otherTree) get(key string) *Node    { n, _ := o.m.Get(key); return n }
func (o otherTree) freeze()                 { o.m.Copy() }
func (o otherTree) empty() benchmarked      { return otherTree{btree.NewMap[string, *Node](16)} }

func BenchmarkSet(b *testing.B) {
	keys := keysOf(100_000)
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("publish=%d", batch), func(b *testing.B) {
			tr := filled(b, keys)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tr.Apply(&Op{Action: Set, Key: keys[i*7919%len(keys)], Value: "v"}, t0)
				if i%batch == 0 {
					tr.Publish()
				}
			}
		})
	}
	b.Run("ttl", func(b *testing.B) {
		tr := filled(b, keys)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tr.Apply(&Op{Action: Set, Key: keys[i*7919%len(keys)], TTL: 60, HasTTL: true}, t0+int64(i))
			tr.Publish()
		}
	})
}

func BenchmarkGet(b *testing.B) {
	keys := keysOf(100_000)
	tr := filled(b, keys)
	var buf []byte
	b.Run("file", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			buf, _ = tr.View().AppendGet(buf[:0], keys[i*7919%len(keys)], false, t0)
		}
	})
	for _, tt := range []struct {
		name, key string
		recursive bool
	}{
		{"dir of 10", "/service/app-00500", false},
		{"10000 dirs skipped", "/service", false},
		{"all", "/", true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = tr.View().AppendGet(buf[:0], tt.key, tt.recursive, t0)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkEventJSON(b *testing.B) {
	tr := New()
	e, err := tr.Apply(&Op{Action: Set, Key: "/service/app/host", Value: "10.0.0.1:8080"}, t0)
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.Run("made", func(b *testing.B) {
		for b.Loop() {
			buf = appendEvent(buf[:0], e, nil)
		}
	})
	b.Run("shared", func(b *testing.B) {
		for b.Loop() {
			buf = AppendEvent(buf[:0], e)
		}
	})
}

// BenchmarkWatch writes a key while n watchers are idle elsewhere, and while n streams
// watch the key.
func BenchmarkWatch(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		keys := keysOf(n)
		b.Run(fmt.Sprintf("idle=%d", n), func(b *testing.B) {
			tr := New()
			for _, key := range keys {
				if _, err := tr.Watch(key, true, true, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				tr.Apply(&Op{Action: Set, Key: "/service/app/other"}, t0)
				tr.Publish()
			}
		})
		b.Run(fmt.Sprintf("woken=%d", n), func(b *testing.B) {
			tr := New()
			all := make([]*Watcher, n)
			for i := range all {
				w, err := tr.Watch("/service", true, true, 0)
				if err != nil {
					b.Fatal(err)
				}
				all[i] = w
			}
			b.ReportAllocs()
			for b.Loop() {
				tr.Apply(&Op{Action: Set, Key: "/service/app/other"}, t0)
				tr.Publish()
				for _, w := range all {
					<-w.C
				}
			}
		})
		b.Run(fmt.Sprintf("registered=%d", n), func(b *testing.B) {
			tr := New()
			b.ReportAllocs()
			for b.Loop() {
				all := make([]*Watcher, n)
				for i, key := range keys {
					all[i], _ = tr.Watch(key, false, false, 0)
				}
				for _, w := range all {
					w.Close()
				}
			}
		})
	}
}

func BenchmarkWait(b *testing.B) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	tr := filled(b, keysOf(1000)) // 1000 events
	for _, n := range []int{1, 10, 1000} {
		prefixes := make([]string, n)
		for i := range prefixes {
			prefixes[i] = fmt.Sprintf("/other/%d", i)
		}
		for _, events := range []int{0, 10, 1000} {
			b.Run(fmt.Sprintf("test/prefixes=%d/events=%d", n, events), func(b *testing.B) {
				index := tr.View().Index() - uint64(events)
				b.ReportAllocs()
				for b.Loop() {
					if tr.Wait(ended, prefixes, index) == nil {
						b.Fatal("changed")
					}
				}
			})
		}
		b.Run(fmt.Sprintf("register/prefixes=%d", n), func(b *testing.B) {
			w := &waiter{woken: make(chan struct{})}
			b.ReportAllocs()
			for b.Loop() {
				tr.hub.enter(w, prefixes)
				tr.hub.leave(w)
			}
		})
	}
}

// BenchmarkWaiters writes while 1000 calls of Wait block elsewhere, with ten prefixes.
func BenchmarkWaiters(b *testing.B) {
	tr := New()
	for i := range 1000 {
		prefixes := make([]string, 10)
		for j := range prefixes {
			prefixes[j] = fmt.Sprintf("/app/%d/%d", i, j)
		}
		tr.hub.enter(&waiter{woken: make(chan struct{})}, prefixes)
	}
	b.ReportAllocs()
	for b.Loop() {
		tr.Apply(&Op{Action: Set, Key: "/app/x/y"}, t0)
		tr.Publish()
	}
}

// BenchmarkSnapshot writes and restores 100,000 files with short values.
func BenchmarkSnapshot(b *testing.B) { benchmarkSnapshot(b, filled(b, keysOf(100_000))) }

func benchmarkSnapshot(b *testing.B, tr *Tree) {
	var data bytes.Buffer
	if _, err := tr.Snapshot().WriteTo(&data); err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(data.Len()))
		for b.Loop() {
			if _, err := tr.Snapshot().WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, beside := range map[string]Beside{"restore": nil, "restore beside": new(beside).run} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(data.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if err := New().RestoreBeside(bytes.NewReader(data.Bytes()), beside); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			tr.Hash()
		}
	})
}
