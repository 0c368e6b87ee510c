// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"reflect"
	"testing"

	"confd/raftkv/tree"
)

// TestResultsTravel: what one node tells another about an outcome is the outcome.
func TestResultsTravel(t *testing.T) {
	set := Op{Tree: &tree.Op{Action: tree.Set, Key: "/a", Value: "v"}}
	post := Op{Tree: &tree.Op{Action: tree.Create, Key: "/q", InOrder: true, Value: "job"}}
	meta := Op{Meta: &Meta{Key: "k", Value: []byte("v")}}
	node := &tree.Node{Value: "v", Created: 7, Modified: 9}
	tests := []struct {
		name string
		op   Op
		r    Result
	}{
		{"a new key", set, Result{Event: &tree.Event{Action: tree.Set, Key: "/a", Node: node, Now: 5}}},
		{"a replaced value", set, Result{Event: &tree.Event{Action: tree.Set, Key: "/a", Node: node, Prev: &tree.Node{Value: "old", Created: 1, Modified: 2, Expires: 1 << 60}, Now: 1}}},
		{"a kept value", set, Result{Event: &tree.Event{Action: tree.Update, Key: "/a", Node: &tree.Node{Value: "kept", Created: 1, Modified: 2}, Refresh: true}}},
		{"a directory", set, Result{Event: &tree.Event{Action: tree.Delete, Key: "/a", Node: &tree.Node{Dir: true, Created: 3, Modified: 4}, Prev: &tree.Node{Dir: true, Created: 3, Modified: 3}}}},
		{"a key in order", post, Result{Event: &tree.Event{Action: tree.Create, Key: "/q/00000000000000000009", Node: &tree.Node{Value: "job", Created: 9, Modified: 9}}}},
		{"a refusal", set, Result{Err: &tree.Error{Code: tree.CodeCompareFailed, Cause: "[a != b]", Index: 12}}},
		{"metadata", meta, Result{}},
		{"metadata that has changed", meta, Result{Err: ErrMetaChanged}},
	}
	var all []byte
	for _, tt := range tests {
		all = AppendResult(all, tt.op, tt.r)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, rest, err := ReadResult(all, tt.op)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.r) {
				t.Errorf("got %+v, want %+v", got, tt.r)
			}
			all = rest
		})
	}
	if len(all) > 0 {
		t.Errorf("%d bytes are left", len(all))
	}
}

// FuzzReadResult: damaged bytes are an error, never a panic.
func FuzzReadResult(f *testing.F) {
	set := Op{Tree: &tree.Op{Action: tree.Set, Key: "/a", Value: "v"}}
	meta := Op{Meta: &Meta{}}
	f.Add(AppendResult(nil, set, Result{Event: &tree.Event{Action: tree.Set, Key: "/a", Node: &tree.Node{Value: "x", Created: 1, Modified: 1}}}), false)
	f.Add(AppendResult(nil, set, Result{Err: &tree.Error{Code: 100, Cause: "/a", Index: 3}}), false)
	f.Add([]byte{resultEvent}, true)
	f.Fuzz(func(t *testing.T, data []byte, isMeta bool) {
		op := set
		if isMeta {
			op = meta
		}
		r, rest, err := ReadResult(data, op)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("error %v is not ErrFormat", err)
			}
			return
		}
		if len(rest) > len(data) {
			t.Errorf("%d bytes left of %d", len(rest), len(data))
		}
		again, _, err := ReadResult(AppendResult(nil, op, r), op)
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("read %+v, then %+v, %v", r, again, err)
		}
	})
}
