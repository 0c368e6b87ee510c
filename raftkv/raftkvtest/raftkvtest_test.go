// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"testing"

	"confd/raftkv"
	"confd/raftkv/tree"
)

func TestOpen(t *testing.T) {
	a := Open(t)
	b := Open(t, func(c *raftkv.Config) { c.Name = "b" })
	if _, err := a.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	if a.View().Len() != 1 || b.View().Len() != 0 || b.Status().Name != "b" {
		t.Error("two nodes of one test are not two")
	}
}
