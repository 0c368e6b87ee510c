// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// changesName tells which calls make a name, or give it to another file.
func changesName(op string) bool { return slices.Contains([]string{"create", "link", "rename"}, op) }

// Names in a directory are made and changed one after the other, though resources are applied
// beside each other.
func TestNamesOneAfterTheOther(t *testing.T) {
	for _, keep := range []bool{false, true} {
		c := newConfdir(t)
		var pairs []string
		for i := range 2 * diskSlots {
			name := fmt.Sprint("r", i)
			c.resource(name)
			pairs = append(pairs, "/"+name, "1")
		}
		opts := c.options()
		opts.KeepStageFile = keep
		resources := c.load(opts, (&commands{}).run)
		var changing atomic.Int32
		for _, r := range resources {
			r.sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
				if !changesName(op) {
					return effect()
				}
				if changing.Add(1) > 1 {
					t.Errorf("%s beside another", op)
				}
				defer changing.Add(-1)
				for range 100 { // the others have their turns
					runtime.Gosched()
				}
				return effect()
			}}
		}
		if err := NewRunner(Config{Backend: newMemory(pairs...), Resources: resources}).Once(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A directory that hangs holds nobody up who writes to another.
func TestNamesOfOtherDirectories(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	c.resource("b")
	c.file("templates/c.tmpl", "c\n")
	other := c.file("other/old", "")[:len(c.path)+len("/other/")] + "c"
	c.file("conf.d/c.toml", fmt.Sprintf("[template]\nsrc = \"c.tmpl\"\ndest = %q\n", other))
	resources := c.load(c.options(), (&commands{}).run)
	written := make(chan struct{})
	for _, r := range resources {
		r.sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
			switch {
			case op == "create" && r.Dest != other:
				<-written // the test hangs if the other directory waits for this one
			case op == "syncDir" && r.Dest == other:
				defer close(written)
			}
			return effect()
		}}
	}
	if err := NewRunner(Config{Backend: newMemory("/a", "1", "/b", "1"), Resources: resources}).Once(t.Context()); err != nil {
		t.Error(err)
	}
	c.wantFile(other, "c\n")
}
