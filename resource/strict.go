// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"fmt"
)

// strict looks for what a resource would run into later, with Options.Strict: mistakes
// in the template that only some values lead to, and without Options.Elsewhere what is missing on
// this machine. The faults of templates are reported for their own files.
func (l *loader) strict(r *Resource) {
	if !r.opts.Strict {
		return
	}
	if l.parsed != nil {
		l.inTemplate = l.parsed.Check()
	}
	if r.opts.Elsewhere {
		return
	}
	if r.Dest != "" {
		if _, _, err := resolve(r.Dest); err != nil {
			l.fault("dest", "dest %q: %v", l.spec.Dest, err)
		}
	}
	l.lookFor("check_cmd", l.spec.CheckCmd.programs())
	l.lookFor("reload_cmd", l.spec.ReloadCmd.programs())
}

// lookFor reports the programs of a command that cannot be run.
func (l *loader) lookFor(key string, programs []string) {
	for _, name := range programs {
		if err := runnable(name); err != nil {
			l.fault(key, "%s: %v", key, err)
		}
	}
}

// programs returns the programs that a command runs, as far as that can be told.
func (t commandText) programs() []string {
	if t.args != nil {
		return programs(t.args[0])
	}
	return programs(t.line)
}

// anyID takes the place of a lookup of users and groups with Options.Elsewhere.
func anyID(string) (int, error) { return -1, nil }

// join returns all faults of a resource file, those of its template last.
func (l *loader) join() error {
	if l.inTemplate == nil {
		return l.faults.join()
	}
	return errors.Join(l.faults.join(), l.inTemplate)
}

// at returns where a key stands, as "file:line:column".
func (d *document) at(key string) string {
	pos := d.where[key]
	return fmt.Sprintf("%s:%d:%d", d.path, pos.Line, max(pos.Col, 1))
}
