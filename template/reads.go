// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"slices"

	"confd/backends"
)

const (
	maxReads   = 64  // more are reported as unknown
	crowdReads = 256 // more are not even remembered, so that add stays cheap
)

// reads are the prefixes that a rendering has asked for. The zero value is empty.
type reads struct {
	prefixes []string // none lies within another
	many     bool     // there were more than crowdReads at once
}

// add remembers a clean, absolute prefix, unless it lies within a known one.
func (r *reads) add(prefix string) {
	if r.many {
		return
	}
	for _, known := range r.prefixes {
		if backends.Within(prefix, known) {
			return
		}
	}
	r.prefixes = slices.DeleteFunc(r.prefixes, func(known string) bool {
		return backends.Within(known, prefix)
	})
	if len(r.prefixes) == crowdReads {
		*r = reads{many: true}
		return
	}
	r.prefixes = append(r.prefixes, prefix)
}

// list returns the prefixes as Output.Reads promises them.
func (r *reads) list() []string {
	if r.many || len(r.prefixes) > maxReads {
		return nil
	}
	list := append([]string{}, r.prefixes...)
	slices.Sort(list)
	return list
}
