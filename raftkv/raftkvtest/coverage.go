// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/go-raftchunking"
)

// A Coverage counts what has happened in a cluster, so that a test can tell whether it
// was put to the test at all.
type Coverage struct {
	Acked, Refused, NotProposed, Unknown int // operations, by what their clients know
	UnknownDone                          int // of the unknown ones, those that have happened
	Reads, LocalReads, FailedReads       int
	Chunked                              int // acknowledged values of several entries
	ChunkedUnknown                       int
	ChunkedAcross                        int // values of several entries during which the term has changed
	LeaderChanges                        int
	Restored                             int // trees replaced by a snapshot while they were watched
	Failures                             int // nodes that have failed
	Cuts                                 int // crashes when a log was to be cut
	Added, Removed                       int // members
	Events                               int
	Network                              NetworkCount
	Faults                               map[string]int
}

func (v *Coverage) called(c *call) {
	if c.op == nil {
		switch {
		case c.outcome != acked:
			v.FailedReads++
		case c.local:
			v.LocalReads++
		default:
			v.Reads++
		}
		return
	}
	chunked := len(c.op.Value) > raftchunking.ChunkSize
	if chunked && c.terms[0] != c.terms[1] {
		v.ChunkedAcross++
	}
	switch c.outcome {
	case acked:
		v.Acked++
		if chunked {
			v.Chunked++
		}
	case refused:
		v.Refused++
	case notProposed:
		v.NotProposed++
	default:
		v.Unknown++
		if chunked {
			v.ChunkedUnknown++
		}
	}
}

// Add adds another one's counts.
func (v *Coverage) Add(o Coverage) {
	addInts(reflect.ValueOf(v).Elem(), reflect.ValueOf(o))
	if v.Faults == nil {
		v.Faults = make(map[string]int)
	}
	for name, n := range o.Faults {
		v.Faults[name] += n
	}
}

func addInts(to, from reflect.Value) {
	for i := range to.NumField() {
		switch f := to.Field(i); f.Kind() {
		case reflect.Int:
			f.SetInt(f.Int() + from.Field(i).Int())
		case reflect.Struct:
			addInts(f, from.Field(i))
		}
	}
}

// Missing returns what has not happened: the names of counts that are 0, and of faults.
func (v Coverage) Missing() []string {
	missing := zeros(reflect.ValueOf(v))
	for _, f := range faults {
		if v.Faults[f.name] == 0 {
			missing = append(missing, "fault "+f.name)
		}
	}
	return missing
}

func zeros(v reflect.Value) []string {
	var names []string
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int:
			if f.Int() == 0 {
				names = append(names, v.Type().Field(i).Name)
			}
		case reflect.Struct:
			names = append(names, zeros(f)...)
		}
	}
	return names
}

// String returns the counts, a line for the faults.
func (v Coverage) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(v.Faults)) {
		fmt.Fprintf(&b, " %s:%d", name, v.Faults[name])
	}
	faults := b.String()
	type plain Coverage
	v.Faults = nil
	return fmt.Sprintf("%+v\nfaults:%s", plain(v), faults)
}

func (c *Cluster) count(f func(*Coverage)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.covered)
}

// Coverage returns what has happened so far.
func (c *Cluster) Coverage() Coverage {
	network := c.Net.Count()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.covered
	v.Network = network
	v.Faults = maps.Clone(v.Faults)
	return v
}
