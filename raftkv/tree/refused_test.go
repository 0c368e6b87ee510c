// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import "testing"

// TestRefusedSet: a set that is refused leaves nothing behind, neither to the writer nor to
// those who read.
func TestRefusedSet(t *testing.T) {
	tr := New()
	for _, op := range []Op{{Action: Set, Key: "/dir/a", Value: "v", TTL: 5, HasTTL: true}, {Action: Set, Key: "/file", Value: "w"}} {
		if _, err := tr.Apply(&op, 1); err != nil {
			t.Fatal(err)
		}
	}
	tr.Publish()
	before := tr.View()
	for _, op := range []Op{
		{Action: Set, Key: "/dir", Value: "x", TTL: 1, HasTTL: true},
		{Action: Set, Key: "/dir", Dir: true},
		{Action: Set, Key: "/file/b/c", Value: "x"},
		{Action: Set, Key: "/file/b", Value: "x", TTL: 1, HasTTL: true},
		{Action: Set, Key: "/dir", Refresh: true, TTL: 1, HasTTL: true},
		{Action: Set, Key: "/none", Refresh: true, TTL: 1, HasTTL: true},
	} {
		next := tr.NextExpiry()
		if _, err := tr.Apply(&op, 2); err == nil {
			t.Errorf("%+v was not refused", op)
		}
		tr.Publish()
		after := tr.View()
		if after.Index() != before.Index() || after.Len() != before.Len() || after.Bytes() != before.Bytes() || tr.NextExpiry() != next {
			t.Errorf("%+v: index %d, %d keys, %d bytes, next %d", op, after.Index(), after.Len(), after.Bytes(), tr.NextExpiry())
		}
		for _, v := range []*View{before, after} {
			if n, err := v.Get("/dir"); err != nil || !n.Dir {
				t.Errorf("%+v: /dir: %+v, %v", op, n, err)
			}
		}
	}
}
