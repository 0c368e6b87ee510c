// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"path"
	"slices"
	"time"

	"confd/backends"
)

// guards sets what must be there before anything is rendered.
func (l *loader) guards(r *Resource) {
	for _, key := range l.spec.Required {
		key = path.Join(r.Prefix, key)
		if !slices.ContainsFunc(r.Keys, func(k string) bool { return backends.Within(key, k) }) {
			l.fault("required", "required key %q is not below any of keys, so the template is not shown it", key)
		}
		r.Required = append(r.Required, key)
	}
	if n := l.spec.MinKeys; n != nil {
		if *n < 0 {
			l.fault("min_keys", "min_keys must be a number from 0 on")
		} else if *n > 0 && len(r.Keys) == 0 {
			l.fault("min_keys", "min_keys counts what is below keys, which is empty")
		}
		r.MinKeys = *n
	}
}

// pace sets how long changes are waited out.
func (l *loader) pace(r *Resource) {
	r.Bundle, r.wait, r.splay = l.spec.Bundle, r.opts.Wait, r.opts.Splay
	if l.spec.Wait != "" {
		w, err := ParseWindow(l.spec.Wait)
		if err != nil {
			l.fault("wait", "wait %q: %v", l.spec.Wait, err)
		}
		r.wait = w
	}
	r.splay = l.span("splay", l.spec.Splay, r.splay)
	r.minReload = l.span("min_reload_interval", l.spec.MinReload, 0)
}

// span returns a duration that is given, or else the fallback.
func (l *loader) span(key string, given *time.Duration, fallback time.Duration) time.Duration {
	if given == nil {
		return fallback
	}
	if *given < 0 {
		l.fault(key, "%s cannot be negative", key)
	}
	return *given
}

// history sets how many earlier versions are kept.
func (l *loader) history(r *Resource) {
	r.rollback = l.spec.Rollback
	if n := l.spec.Backup; n != nil {
		if *n < 0 {
			l.fault("backup", "backup must be a number from 0 on")
		}
		r.backup = *n
	}
	if r.opts.StateDir != "" {
		return
	}
	if r.rollback {
		l.fault("rollback", "rollback needs a place for the earlier versions; name one with -data-dir")
	}
	if r.backup > 0 {
		l.fault("backup", "backup needs a place for the earlier versions; name one with -data-dir")
	}
}
