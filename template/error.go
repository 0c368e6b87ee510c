// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// An Error is a mistake in a template, or a key that it needs and that is missing.
//
// Its text is "PATH:LINE:COLUMN: what", without any value of a key. Unwrap leads to the
// error of the function that failed: errors.Is finds memkv.ErrNotExist for a missing
// key, errors.As the *memkv.KeyError.
type Error struct {
	Path   string // of the file, as given to Parse
	Line   int    // from 1; 0 if not known
	Column int    // from 1; 0 if not known; of a mistake of syntax at least the line is right
	Key    string // the missing key, as the backend names it; else empty
	Msg    string // what is wrong
	Err    error  // the error of the function that failed, or nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	for _, n := range []int{e.Line, e.Column} {
		if n > 0 {
			b.WriteString(":" + strconv.Itoa(n))
		}
	}
	return b.String() + ": " + e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// A source is a file that a template was parsed from.
type source struct {
	path string
	name string // for text/template
}

// newError takes the place out of an error of text/template, which begins with
//
//	template: NAME:LINE: 	or	template: NAME:LINE:COLUMN:
func (s source) newError(err error) *Error {
	e := &Error{Path: s.path}
	rest := strings.TrimPrefix(err.Error(), "template: "+s.name+":")
	for _, n := range []*int{&e.Line, &e.Column} {
		digits, after, ok := strings.Cut(rest, ":")
		number, err := strconv.Atoi(digits)
		if !ok || err != nil {
			break
		}
		*n, rest = number, after
	}
	if e.Column > 0 || strings.HasPrefix(rest, " executing ") {
		e.Column++ // text/template counts columns from 0
	}
	e.Msg = strings.TrimSpace(rest)
	return e
}

// parseError returns the error for a text with a mistake of syntax.
func (r *run) parseError(s source, text string, err error) error {
	e := s.newError(err)
	if e.Line > 0 && e.Column == 0 {
		e.Column = columnOf(text, e.Line, e.Msg)
	}
	if rest, ok := strings.CutPrefix(e.Msg, "function "); ok {
		if name, err := strconv.Unquote(strings.TrimSuffix(rest, " not defined")); err == nil {
			e.Msg += r.suggestion(name)
		}
	}
	return e
}

// suggestion returns a hint for a function that does not exist, or nothing.
func (r *run) suggestion(name string) string {
	candidates := slices.Sorted(maps.Keys(r.opts.Funcs))
	for _, f := range r.table {
		candidates = append(candidates, f.Name)
		if name == "c"+f.Name && f.Group == keysGroup {
			return fmt.Sprintf("; encrypted values are not supported, see %q", f.Name)
		}
	}
	if here := renamed(name, candidates); here != "" {
		return fmt.Sprintf("; here it is %q", here)
	}
	best := Nearest(name, candidates, 2)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// execError returns the error for a template that could not be executed. The message of
// text/template is
//
//	executing "TEMPLATE" at <ACTION>: error calling FUNCTION: what
//
// An error within an included file is reported for that one.
func (s source) execError(err error, secrets *Secrets) error {
	e := s.newError(err)
	if inner, ok := errors.AsType[*Error](err); ok {
		within := *inner
		within.Msg += fmt.Sprintf("; included at %s:%d:%d", e.Path, e.Line, e.Column)
		return &within
	}
	executing := fmt.Sprintf("executing %q at <", s.name)
	if rest, ok := strings.CutPrefix(e.Msg, executing); ok {
		action, what, _ := strings.Cut(rest, ">: ")
		e.Msg = message(action, what)
	} else if rest, ok := strings.CutPrefix(e.Msg, "executing "); ok { // a {{define}}
		where, rest, _ := strings.Cut(rest, " at <")
		action, what, _ := strings.Cut(rest, ">: ")
		e.Msg = "in " + where + ": " + message(action, what)
	}
	e.Msg = secrets.Mask(e.Msg)
	e.Err = cause(err)
	if missing := (*missingError)(nil); errors.As(err, &missing) {
		e.Key = missing.source
	}
	return e
}

// message says what is wrong with an action, without values.
func message(action, what string) string {
	if call, ok := strings.CutPrefix(what, "error calling "); ok {
		if name, detail, _ := strings.Cut(call, ": "); strings.HasPrefix(detail, "non-comparable type") {
			return name + ": values of this type cannot be compared"
		}
		return call
	}
	for _, leak := range []struct{ before, without string }{
		{"range can't iterate over ", "range can't iterate over this value"},
		{"can't use ", "can't use this value for a range with two variables"},
		{"if/with can't use ", "if/with can't use this value"},
	} {
		if strings.HasPrefix(what, leak.before) {
			what = leak.without
		}
	}
	if strings.HasPrefix(what, "map has no entry for key ") {
		what += `; see hasKey and dig, or missingkey in the resource`
	}
	return "at <" + action + ">: " + what
}

// cause returns the error of the function that failed, without what text/template has
// wrapped around it, or nil.
func cause(err error) error {
	if exec := (template.ExecError{}); errors.As(err, &exec) {
		return errors.Unwrap(exec.Err)
	}
	return nil
}
