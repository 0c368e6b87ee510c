// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A model is the tree as the reference describes it, nested and slow.
type model struct {
	root  *modelNode
	index uint64
}

type modelNode struct {
	value             string
	children          map[string]*modelNode // nil for a file
	created, modified uint64
	expires           int64
}

func newModel() *model { return &model{root: &modelNode{children: map[string]*modelNode{}}} }

// walk returns the node at key, or the code and the path in question.
func (m *model) walk(key string) (*modelNode, Code, string) {
	n, at := m.root, "/"
	for _, name := range strings.FieldsFunc(key, func(r rune) bool { return r == '/' }) {
		if n.children == nil {
			return nil, CodeNotDir, at
		}
		at = path.Join(at, name)
		if n = n.children[name]; n == nil {
			return nil, CodeKeyNotFound, at
		}
	}
	return n, 0, ""
}

// put places a node and makes what is missing above.
func (m *model) put(key string, node *modelNode) {
	n := m.root
	names := strings.Split(key[1:], "/")
	for _, name := range names[:len(names)-1] {
		if n.children[name] == nil {
			n.children[name] = &modelNode{children: map[string]*modelNode{}, created: m.index, modified: m.index}
		}
		n = n.children[name]
	}
	n.children[names[len(names)-1]] = node
}

func (m *model) drop(key string) {
	dir, _, _ := m.walk(path.Dir(key))
	delete(dir.children, path.Base(key))
}

// apply returns the code and cause of a refusal, 0 if op is done.
func (m *model) apply(op *Op, now int64) (Code, string) {
	key := op.Key
	if op.InOrder {
		key = path.Join(key, fmt.Sprintf("%020d", m.index+1))
	}
	if key == "/" && op.Action == CompareAndDelete {
		return CodeNotFile, ""
	}
	if key == "/" {
		return CodeRootReadOnly, "/"
	}
	old, code, cause := m.walk(key)
	made := &modelNode{value: op.Value, created: m.index + 1, modified: m.index + 1}
	if op.Dir {
		made.value, made.children = "", map[string]*modelNode{}
	}
	if op.HasTTL {
		made.expires = now + int64(op.TTL)*second
	}
	switch op.Action {
	case Set, Create:
		switch {
		case code == CodeNotDir, op.Action == Set && op.Refresh && code != 0:
			return code, cause
		case old != nil && op.Action == Create:
			return CodeNodeExist, key
		case old != nil && old.children != nil:
			return CodeNotFile, key
		case op.Action == Set && op.Refresh && !op.Dir:
			made.value = old.value
		}
	default:
		if code != 0 {
			return code, cause
		}
		dir := old.children != nil
		switch op.Action {
		case Update:
			if dir && op.Value != "" {
				return CodeNotFile, key
			}
		case CompareAndSwap, CompareAndDelete:
			if dir {
				return CodeNotFile, key
			}
			var wrong []string
			if op.PrevValue != "" && op.PrevValue != old.value {
				wrong = append(wrong, fmt.Sprintf("[%s != %s]", op.PrevValue, old.value))
			}
			if op.PrevIndex != 0 && op.PrevIndex != old.modified {
				wrong = append(wrong, fmt.Sprintf("[%d != %d]", op.PrevIndex, old.modified))
			}
			if wrong != nil {
				return CodeCompareFailed, strings.Join(wrong, " ")
			}
		case Delete:
			if dir && !op.Dir && !op.Recursive {
				return CodeNotFile, key
			}
			if dir && !op.Recursive && len(old.children) > 0 {
				return CodeDirNotEmpty, key
			}
		}
		made.value, made.created, made.children = op.Value, old.created, old.children
		if op.Refresh {
			made.value = old.value
		}
	}
	m.index++
	if op.Action == Delete || op.Action == CompareAndDelete {
		m.drop(key)
	} else {
		m.put(key, made)
	}
	return 0, ""
}

// expire removes what is due, the earliest first.
func (m *model) expire(now int64) (removed []string) {
	for {
		var due expiry
		m.each(m.root, "", func(key string, n *modelNode) {
			if e := (expiry{n.expires, key}); e.at != 0 && e.at <= now && (due.at == 0 || e.compare(due) < 0) {
				due = e
			}
		})
		if due.at == 0 {
			return removed
		}
		m.index++
		m.drop(due.key)
		removed = append(removed, due.key)
	}
}

func (m *model) each(n *modelNode, at string, f func(string, *modelNode)) {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		f(at+"/"+name, n.children[name])
		m.each(n.children[name], at+"/"+name, f)
	}
}

// wire returns what a recursive get shows.
func (n *modelNode) wire(key string, now int64) *WireNode {
	w := &WireNode{Key: key, Dir: n.children != nil, Modified: n.modified, Created: n.created}
	if !w.Dir {
		w.Value = &n.value
	}
	if n.expires != 0 {
		var head WireNode
		b := appendHead(nil, "", &Node{Dir: true, Expires: n.expires}, now, false, nil)
		b[len(b)-1] = '}'
		if err := json.Unmarshal(b, &head); err != nil {
			panic(err)
		}
		w.Expiration, w.TTL = head.Expiration, head.TTL
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		if !strings.HasPrefix(name, "_") {
			w.Nodes = append(w.Nodes, n.children[name].wire(key+"/"+name, now))
		}
	}
	return w
}

func genOp(t *rapid.T, index uint64) *Op {
	name := rapid.SampledFrom([]string{"a", "a-b", "b", "_h", "a0", "é<"})
	value := rapid.SampledFrom([]string{"", "one", "two", "\xff\u2028"})
	key := "/" + strings.Join(rapid.SliceOfN(name, 0, 4).Draw(t, "key"), "/")
	op := &Op{
		Action: Action(rapid.IntRange(int(Set), int(CompareAndDelete)).Draw(t, "action")),
		Key:    key,
		Value:  value.Draw(t, "value"),
		Dir:    rapid.IntRange(0, 3).Draw(t, "dir") == 0,
	}
	if op.HasTTL = rapid.Bool().Draw(t, "has ttl"); op.HasTTL {
		op.TTL = rapid.Uint64Range(0, 9).Draw(t, "ttl")
	}
	switch op.Action {
	case Create:
		op.InOrder = rapid.Bool().Draw(t, "in order")
	case Delete:
		op.Recursive = rapid.IntRange(0, 3).Draw(t, "recursive") == 0
	case CompareAndSwap, CompareAndDelete:
		op.PrevValue = value.Draw(t, "prev value")
		if rapid.Bool().Draw(t, "has prev index") {
			op.PrevIndex = index - min(index, rapid.Uint64Range(0, 3).Draw(t, "prev index"))
		}
	}
	if op.Action == Set || op.Action == Update || op.Action == CompareAndSwap {
		if op.Refresh = rapid.IntRange(0, 4).Draw(t, "refresh") == 0; op.Refresh {
			op.Value = ""
		}
	}
	return op
}

// Two trees take the same operations, one of them through snapshots, and agree with
// each other and with the model. A stream sees each event of its tree once.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, tr, replica := newModel(), New(), New()
		now := t0
		stream, err := tr.Watch("/", true, true, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				now += rapid.Int64Range(0, 5*second).Draw(t, "time")
				want := m.expire(now)
				n := tr.Expire(now)
				replica.Expire(now)
				tr.Publish()
				var got []string
				for _, e := range tr.View().events[len(tr.View().events)-n:] {
					got = append(got, e.Key)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("expired %q, want %q", got, want)
				}
			case 1:
				other := New()
				var b bytes.Buffer
				replica.Publish()
				if _, err := replica.Snapshot().WriteTo(&b); err != nil {
					t.Fatal(err)
				}
				if err := other.Restore(&b); err != nil {
					t.Fatal(err)
				}
				replica = other
			default:
				op := genOp(t, m.index)
				code, cause := m.apply(op, now)
				e, err := tr.Apply(op, now)
				if _, again := replica.Apply(op, now); fmt.Sprint(again) != fmt.Sprint(err) {
					t.Fatalf("replica: %v, want %v", again, err)
				}
				var got Error
				if err != nil {
					got = *err.(*Error)
				} else if e.Index() != m.index {
					t.Fatalf("index %d, want %d", e.Index(), m.index)
				}
				if got.Code != code || got.Cause != cause || code != 0 && got.Index != m.index {
					t.Fatalf("%+v: got %+v, want %d %q", op, got, code, cause)
				}
			}
			if rapid.Bool().Draw(t, "publish") {
				tr.Publish()
			}
		}
		tr.Publish()
		replica.Publish()
		if tr.Hash() != replica.Hash() {
			t.Error("replicas differ")
		}
		checkModel(t, m, tr, now)
		checkStream(t, tr, stream)
	})
}

// checkModel compares all that can be read.
func checkModel(t *rapid.T, m *model, tr *Tree, now int64) {
	v := tr.View()
	if v.Index() != m.index {
		t.Errorf("index %d, want %d", v.Index(), m.index)
	}
	n := 0
	keys := []string{"/"}
	m.each(m.root, "", func(key string, want *modelNode) {
		n++
		keys = append(keys, key)
		got, err := v.Get(key)
		if err != nil || *got != (Node{want.value, want.created, want.modified, want.expires, want.children != nil, got.plain}) {
			t.Errorf("%s: %+v, %v, want %+v", key, got, err, want)
		}
	})
	if v.Len() != n {
		t.Errorf("%d keys, want %d", v.Len(), n)
	}
	for _, key := range keys {
		node, _, _ := m.walk(key)
		want, err := json.Marshal(WireEvent{Action: "get", Node: node.wire(strings.TrimSuffix(key, "/"), now)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.AppendGet(nil, key, true, now)
		if string(got) != string(want) || err != nil {
			t.Errorf("get %s: %v\n got %s\nwant %s", key, err, got, want)
		}
	}
}

// checkStream compares what a stream saw with the history, and with a stream that
// begins in the past.
func checkStream(t *rapid.T, tr *Tree, stream *Watcher) {
	var want string
	for _, e := range tr.View().events {
		if !e.Refresh && !strings.Contains(e.Key, "/_") {
			want += fmt.Sprintf("%s %s@%d ", e.Action, e.Key, e.Index())
		}
	}
	want = strings.TrimSpace(want)
	if got := seen(stream); got != want {
		t.Errorf("stream saw\n%s, want\n%s", got, want)
	}
	if tr.View().Index() == 0 {
		return
	}
	past, err := tr.Watch("/", true, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := seen(past); got != want {
		t.Errorf("stream from the past saw\n%s, want\n%s", got, want)
	}
	past.Close()
}
