// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"confd/raftkv/tree"
)

// drawOp returns any operation that an entry can hold.
func drawOp(t *rapid.T) Op {
	if rapid.IntRange(0, 9).Draw(t, "meta") == 0 {
		m := &Meta{
			Key:      rapid.String().Draw(t, "key"),
			Value:    []byte(rapid.String().Draw(t, "value")),
			Remove:   rapid.Bool().Draw(t, "remove"),
			IfAbsent: rapid.Bool().Draw(t, "ifAbsent"),
			IfIs:     rapid.Bool().Draw(t, "ifIs"),
		}
		if m.IfIs {
			m.Prev = []byte(rapid.String().Draw(t, "prev"))
		}
		return Op{Meta: m}
	}
	op := &tree.Op{
		Action:    tree.Action(rapid.IntRange(int(tree.Set), int(tree.CompareAndDelete)).Draw(t, "action")),
		Key:       rapid.String().Draw(t, "key"),
		Value:     rapid.String().Draw(t, "value"),
		HasTTL:    rapid.Bool().Draw(t, "hasTTL"),
		Dir:       rapid.Bool().Draw(t, "dir"),
		Recursive: rapid.Bool().Draw(t, "recursive"),
		InOrder:   rapid.Bool().Draw(t, "inOrder"),
		Refresh:   rapid.Bool().Draw(t, "refresh"),
		PrevValue: rapid.String().Draw(t, "prevValue"),
		PrevIndex: rapid.Uint64().Draw(t, "prevIndex"),
	}
	if op.HasTTL {
		op.TTL = rapid.Uint64().Draw(t, "ttl")
	}
	return Op{Tree: op}
}

func TestCodecRoundTrip(t *testing.T) {
	var b Batch // reused, as the machine does
	rapid.Check(t, func(t *rapid.T) {
		clock := rapid.Int64().Draw(t, "clock")
		ops := rapid.SliceOf(rapid.Custom(drawOp)).Draw(t, "ops")
		entry := AppendBatch(nil, clock, ops)
		size := 32
		for _, op := range ops {
			size += Size(op)
		}
		if len(entry) > size {
			t.Fatalf("entry of %d bytes, Size promised at most %d", len(entry), size)
		}
		if err := b.Decode(entry); err != nil {
			t.Fatal(err)
		}
		if b.Clock != clock || len(b.Ops) != len(ops) {
			t.Fatalf("got %d operations at %d, want %d at %d", len(b.Ops), b.Clock, len(ops), clock)
		}
		for i := range ops {
			if !reflect.DeepEqual(b.Ops[i], ops[i]) {
				t.Fatalf("operation %d: got %+v, want %+v", i, b.Ops[i], ops[i])
			}
		}
	})
}

// goldenOps are the operations in testdata/entry-v1.bin. The file was written by
// AppendBatch with clock goldenClock and must stay as it is, and readable, for ever.
func goldenOps() []Op {
	return []Op{
		{Tree: &tree.Op{Action: tree.Set, Key: "/a", Value: "1", TTL: 300, HasTTL: true}},
		{Tree: &tree.Op{Action: tree.Create, Key: "/queue", Value: "job", InOrder: true}},
		{Tree: &tree.Op{Action: tree.Update, Key: "/a", TTL: 600, HasTTL: true, Refresh: true}},
		{Tree: &tree.Op{Action: tree.CompareAndSwap, Key: "/a", Value: "2", PrevValue: "1", PrevIndex: 1 << 40}},
		{Tree: &tree.Op{Action: tree.Delete, Key: "/d", Dir: true, Recursive: true}},
		{Tree: &tree.Op{Action: tree.CompareAndDelete, Key: "/a", PrevValue: "2"}},
		{Meta: &Meta{Key: "cluster-id", Value: []byte("7e27652122e8b2ae"), IfAbsent: true}},
		{Meta: &Meta{Key: "old", Value: []byte{}, Remove: true}},
	}
}

const goldenClock = 1_790_000_000_123_456_789

func TestGoldenEntry(t *testing.T) {
	entry, err := os.ReadFile("testdata/entry-v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := b.Decode(entry); err != nil {
		t.Fatal(err)
	}
	if b.Clock != goldenClock || !reflect.DeepEqual(b.Ops, goldenOps()) {
		t.Errorf("got %d %+v", b.Clock, b.Ops)
	}
	if got := AppendBatch(nil, goldenClock, goldenOps()); string(got) != string(entry) {
		t.Errorf("version %d is written in another way than it was:\n%x\n%x", EntryVersion, got, entry)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := AppendBatch(nil, goldenClock, goldenOps())
	var b Batch
	for i := range good {
		for bit := range 8 {
			bad := []byte(string(good))
			bad[i] ^= 1 << bit
			if err := b.Decode(bad); err == nil {
				t.Fatalf("byte %d, bit %d: damage was not found", i, bit)
			}
		}
	}
	for n := range good {
		if err := b.Decode(good[:n]); err == nil {
			t.Fatalf("the first %d bytes passed for an entry", n)
		}
	}
	newer := []byte(string(good))
	newer[0] = EntryVersion + 1
	err := b.Decode(newer)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("newer version: %v", err)
	}
	unknown := AppendBatch(nil, 1, []Op{{Tree: &tree.Op{Action: 99, Key: "/a"}}})
	if err := b.Decode(unknown); !errors.Is(err, ErrFormat) {
		t.Errorf("unknown operation: %v", err)
	}
	long := append(AppendBatch(nil, 1, nil), 0)
	seal(long)
	if err := b.Decode(long); !errors.Is(err, ErrFormat) {
		t.Errorf("a byte too many: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(AppendBatch(nil, goldenClock, goldenOps()))
	f.Add(AppendBatch(nil, 0, nil))
	f.Add([]byte{EntryVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		if err := b.Decode(data); err == nil {
			// The encoding is not unique (numbers may be padded), its meaning is.
			again := AppendBatch(nil, b.Clock, b.Ops)
			var c Batch
			if err := c.Decode(again); err != nil || c.Clock != b.Clock || !reflect.DeepEqual(c.Ops, b.Ops) {
				t.Fatalf("%+v became %+v: %v", b.Ops, c.Ops, err)
			}
		}
		// Behind a right checksum too.
		if len(data) < headerSize {
			return
		}
		data = []byte(string(data))
		data[0] = EntryVersion
		seal(data)
		if err := b.Decode(data); err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
	})
}

// TestLargeTextIsShared shows that a value which makes up most of a large entry is not
// copied, and that others do not hold an entry in memory.
func TestLargeTextIsShared(t *testing.T) {
	for _, tt := range []struct {
		values []int
		shared []bool
	}{
		{[]int{100}, []bool{false}},
		{[]int{minShared}, []bool{false}},
		{[]int{minShared + 1}, []bool{true}},
		{[]int{1 << 20, 100}, []bool{true, false}},
		{[]int{1 << 20, 1 << 20}, []bool{false, false}},
	} {
		var ops []Op
		for _, size := range tt.values {
			ops = append(ops, Op{Tree: &tree.Op{Action: tree.Set, Key: "/k", Value: strings.Repeat("v", size)}})
		}
		entry := AppendBatch(nil, 1, ops)
		var b Batch
		if err := b.Decode(entry); err != nil {
			t.Fatal(err)
		}
		clear(entry)
		for i, op := range b.Ops {
			if shared := op.Tree.Value[0] == 0; shared != tt.shared[i] {
				t.Errorf("values of %v bytes, the %dth: shared is %v", tt.values, i, shared)
			}
		}
	}
}
