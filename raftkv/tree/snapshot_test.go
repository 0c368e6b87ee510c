// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// bytesOf returns the tree's snapshot.
func bytesOf(t testing.TB, tr *Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := tr.Snapshot().WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo: %d bytes of %d, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// sample returns a tree that has something of everything, and a snapshot of several
// frames.
func sample(t testing.TB) *Tree { return sampleWith(t, strings.Repeat("long ", 40_000)) }

func sampleWith(t testing.TB, value string) *Tree {
	t.Helper()
	tr := New()
	ops := []Op{
		{Action: Set, Key: "/a/x", Value: "one"}, {Action: Set, Key: "/a/x", Value: "two"},
		{Action: Set, Key: "/a-b", Value: value},
		{Action: Set, Key: "/ttl", Value: "\xff", TTL: 5, HasTTL: true},
		{Action: Set, Key: "/ttl", TTL: 9, HasTTL: true, Refresh: true},
		{Action: Update, Key: "/a", TTL: 50, HasTTL: true},
		{Action: Create, Key: "/_q", InOrder: true}, {Action: Delete, Key: "/none"},
		{Action: Set, Key: "/gone/x/y"}, {Action: Delete, Key: "/gone", Recursive: true},
		{Action: CompareAndSwap, Key: "/a-b", Value: "s", PrevIndex: 3},
	}
	for i := range ops {
		tr.Apply(&ops[i], t0+int64(i))
	}
	tr.CountGet(true)
	tr.CountGet(false)
	tr.Publish()
	return tr
}

func TestSnapshotRestore(t *testing.T) {
	tr := sample(t)
	data := bytesOf(t, tr)

	// What follows a snapshot is left to who comes next, however the bytes arrive.
	for _, r := range []io.Reader{
		bytes.NewReader(append(bytes.Clone(data), "more"...)),
		iotest.OneByteReader(bytes.NewReader(append(bytes.Clone(data), "more"...))),
	} {
		got := New()
		must(t, got, Op{Action: Set, Key: "/old"})
		if err := got.Restore(r); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(r); string(rest) != "more" || err != nil {
			t.Errorf("left %q, %v", rest, err)
		}
		if !bytes.Equal(bytesOf(t, got), data) {
			t.Error("the restored tree has another snapshot")
		}
		if got.Hash() != tr.Hash() || got.Stats() != tr.Stats() || got.NextExpiry() != tr.NextExpiry() {
			t.Error("the restored tree differs")
		}
		if fmt.Sprint(events(got, 1)) != fmt.Sprint(events(tr, 1)) {
			t.Error("the restored history differs")
		}
		checkTree(t, got)
	}
}

// A value that the tree and events share is written once, and shared again.
func TestSnapshotShares(t *testing.T) {
	tr := New()
	value := strings.Repeat("x", 1<<20)
	for range 4 {
		must(t, tr, Op{Action: Set, Key: "/a", Value: value})
	}
	data := bytesOf(t, tr)
	if most := 4*len(value) + maxFrame; len(data) > most {
		t.Errorf("snapshot has %d bytes, want at most %d", len(data), most)
	}
	got := New()
	if err := got.Restore(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	events := got.View().events
	if n, _ := got.View().Get("/a"); n != events[3].Node || events[3].Prev != events[2].Node {
		t.Error("nodes are not shared")
	}
	if got.history.bytes != tr.history.bytes {
		t.Errorf("%d bytes of history, want %d", got.history.bytes, tr.history.bytes)
	}
}

// TestRestoreLongHistory: a release with a larger bound writes events that refer to ones
// which we would have dropped, and the history becomes the one that we would have.
func TestRestoreLongHistory(t *testing.T) {
	tr := New()
	value := strings.Repeat("x", historyBytes/8)
	var all []*Event
	for range 12 {
		all = append(all, must(t, tr, Op{Action: Set, Key: "/a", Value: value}))
	}
	want := bytesOf(t, tr)
	tr.history.events = all
	tr.replaced()
	long := bytesOf(t, tr)
	if len(long) < 12*len(value) {
		t.Fatalf("the long history has only %d bytes", len(long))
	}
	got := New()
	if err := got.Restore(bytes.NewReader(long)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytesOf(t, got), want) {
		t.Error("the history differs from that of a tree that never had a longer one")
	}
}

// A snapshot is of what was published, and stays so.
func TestSnapshotIsOnePoint(t *testing.T) {
	tr := sample(t)
	want := bytesOf(t, tr)
	s := tr.Snapshot()
	index := tr.View().Index()
	tr.Apply(&Op{Action: Delete, Key: "/a", Recursive: true}, t0)
	if !bytes.Equal(bytesOf(t, tr), want) {
		t.Error("a change is seen before Publish")
	}
	for range 2000 {
		must(t, tr, Op{Action: Set, Key: "/a"})
	}
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), want) || s.Index() != index {
		t.Errorf("the snapshot has changed: %v", err)
	}
}

// Reads do not make replicas differ, all else does.
func TestHash(t *testing.T) {
	a, b := sample(t), sample(t)
	a.CountGet(true)
	if a.Hash() != b.Hash() {
		t.Error("equal trees have different hashes")
	}
	a.Apply(&Op{Action: Delete, Key: "/none"}, t0)
	a.Publish()
	if a.Hash() == b.Hash() {
		t.Error("a refused operation does not count")
	}
}

func TestWriteToFails(t *testing.T) {
	want := errors.New("disk full")
	s := sample(t).Snapshot()
	for _, n := range []int{0, 5, 100, maxFrame} {
		w := &failAfter{n: n, err: want}
		if _, err := s.WriteTo(w); !errors.Is(err, want) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// failAfter takes n bytes.
type failAfter struct {
	n   int
	err error
}

func (w *failAfter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		return w.n, w.err
	}
	w.n -= len(p)
	return len(p), nil
}

// refused checks that the tree does not take data, and that it did not change.
func refused(t *testing.T, data []byte, what string) error {
	t.Helper()
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/kept"})
	w := watch(t, tr, "/", true, true, 0)
	v := tr.View()
	err := tr.Restore(bytes.NewReader(data))
	if err == nil {
		t.Errorf("%s: restored", what)
	}
	if tr.View() != v || dump(tr.View()) != "/kept=" || seen(w) != "" {
		t.Errorf("%s: the tree has changed", what)
	}
	must(t, tr, Op{Action: Set, Key: "/more"})
	if tr.View().Index() != 2 || dump(tr.View()) != "/kept= /more=" || seen(w) != "set /more@2" {
		t.Errorf("%s: the tree is broken", what)
	}
	return err
}

func TestRestoreRefusesDamage(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/a/x", Value: "one"}, Op{Action: Set, Key: "/a/x", Value: "two"})
	data := bytesOf(t, tr)
	for i := range data {
		if err := refused(t, data[:i], fmt.Sprintf("first %d bytes", i)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("first %d bytes: %v", i, err)
		}
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			refused(t, bad, fmt.Sprintf("bit %d of byte %d", bit, i))
		}
	}

	// Frames in another order.
	var b bytes.Buffer
	w := &frameWriter{w: &b}
	w.open()
	start := b.Len()
	w.Write([]byte("first!"))
	w.Write([]byte("second"))
	swapped := append([]byte{}, b.Bytes()[:start]...)
	swapped = append(swapped, b.Bytes()[start+14:]...)
	swapped = append(swapped, b.Bytes()[start:start+14]...)
	if err := refused(t, swapped, "swapped frames"); !strings.Contains(err.Error(), "wrong checksum") {
		t.Error(err)
	}
	newer := bytes.Clone(data)
	newer[6] = 2
	if err := refused(t, newer, "newer"); !strings.Contains(err.Error(), "unknown version 2; this program knows 1") {
		t.Error(err)
	}
}

// Contents with the right checksums that are no tree.
func TestRestoreRefusesNonsense(t *testing.T) {
	file := func(key string) func(*View) {
		return func(v *View) { v.keys.set(key, &Node{Created: 1, Modified: 1}) }
	}
	at := func(n Node) func(*View) { return func(v *View) { v.keys.set("/f", &n) } }
	event := func(e *Event) func(*View) { return func(v *View) { v.events = []*Event{e} } }
	for name, spoil := range map[string]func(*View){
		"no parent":       file("/a/b"),
		"file as parent":  func(v *View) { file("/a")(v); file("/a/b")(v) },
		"unclean key":     file("/a/"),
		"root":            file("/"),
		"relative":        file("a"),
		"not created":     at(Node{Modified: 1}),
		"from the future": at(Node{Created: 1, Modified: 3}),
		"never modified":  at(Node{Created: 2, Modified: 1}),
		"past":            at(Node{Created: 1, Modified: 1, Expires: -1}),
		"get event":       event(&Event{Action: Get, Key: "/e", Node: &Node{Created: 1, Modified: 2}}),
		"event index":     event(&Event{Action: Set, Key: "/e", Node: &Node{Created: 1, Modified: 1}}),
		"event key":       event(&Event{Action: Set, Key: "e", Node: &Node{Created: 1, Modified: 2}}),
		"many events": func(v *View) {
			v.events = slices.Repeat([]*Event{{Action: Set, Key: "/e", Node: &Node{Created: 1, Modified: 2}}}, 3)
		},
	} {
		v := &View{keys: newKeymap(), index: 2}
		spoil(v)
		if err := refused(t, framed(encoded(v)), name); !errors.Is(err, errCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := refused(t, framed(append(contents(t, bytesOf(t, New())), 0)), "more"); !errors.Is(err, errCorrupt) {
		t.Error(err)
	}
}

// framed returns contents as a snapshot with right checksums.
func framed(contents []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(magic), version)
	sum := uint32(0)
	for len(contents) > 0 {
		p := contents[:min(len(contents), maxFrame)]
		contents = contents[len(p):]
		sum = crc32.Update(sum, castagnoli, p)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = binary.LittleEndian.AppendUint32(b, sum)
		b = append(b, p...)
	}
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, sum)
}

// contents returns what the frames of a snapshot hold.
func contents(t testing.TB, data []byte) []byte {
	r := &frameReader{r: bytes.NewReader(data)}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkTree checks what must hold in every tree.
func checkTree(t testing.TB, tr *Tree) {
	t.Helper()
	live := 0
	v := tr.View()
	v.keys.ascend("", func(key string, n *Node) bool {
		if dir := parent(key); dir != "/" {
			if p := v.keys.get(dir); p == nil || !p.Dir {
				t.Errorf("%q has no directory", key)
			}
		}
		if !isClean(key) || n.Created > n.Modified || n.Modified > v.index || n.Created == 0 {
			t.Errorf("%q: %+v at %d", key, n, v.index)
		}
		if n.Expires != 0 {
			live++
		}
		return true
	})
	if tr.expiry.live != live || len(tr.expiry.heap) > 2*live+64 {
		t.Errorf("%d keys have a time, counted are %d in %d entries", live, tr.expiry.live, len(tr.expiry.heap))
	}
	for i, e := range v.events {
		if e.Index() != v.oldest()+uint64(i) {
			t.Errorf("event %d has index %d", i, e.Index())
		}
	}
}

// With right checksums the contents are looked at, and must make a tree or an error.
func FuzzRestore(f *testing.F) {
	tr := sampleWith(f, "short") // long inputs are slow to mutate
	f.Add(contents(f, bytesOf(f, tr)), true)
	f.Add(bytesOf(f, tr), false)
	small := New()
	small.Apply(&Op{Action: Set, Key: "/a/b", Value: "v", TTL: 5, HasTTL: true}, t0)
	small.Apply(&Op{Action: Set, Key: "/a/b", Value: "w"}, t0)
	small.Apply(&Op{Action: Delete, Key: "/a", Recursive: true}, t0)
	small.Publish()
	f.Add(contents(f, bytesOf(f, small)), true)
	f.Add(contents(f, bytesOf(f, New())), true)
	f.Fuzz(func(t *testing.T, data []byte, frames bool) {
		if frames {
			data = framed(data)
		}
		tr := New()
		must(t, tr, Op{Action: Set, Key: "/kept"})
		before := tr.View()
		if err := tr.Restore(bytes.NewReader(data)); err != nil {
			if tr.View() != before || tr.keys.len() != 1 || tr.index != 1 {
				t.Errorf("the tree has changed: %v", err)
			}
			return
		}
		checkTree(t, tr)
		for _, e := range tr.View().events {
			e.JSON()
		}
		if _, err := tr.View().AppendGet(nil, "/", true, t0); err != nil {
			t.Error(err)
		}
		again := New()
		if err := again.Restore(bytes.NewReader(bytesOf(t, tr))); err != nil {
			t.Errorf("its own snapshot is refused: %v", err)
		}
		if again.Hash() != tr.Hash() {
			t.Error("restored again it differs")
		}
		tr.Expire(1 << 62)
		tr.Apply(&Op{Action: Set, Key: "/kept/x"}, t0)
		tr.Publish()
		checkTree(t, tr)
	})
}

// encoded returns a view as it is in the frames of a snapshot, whether a tree can have it or not.
func encoded(v *View) []byte {
	var b bytes.Buffer
	enc := encoder{w: bufio.NewWriter(&b)}
	v.encode(&enc)
	enc.uint(0)
	enc.uint(0)
	enc.w.Flush()
	return b.Bytes()
}
