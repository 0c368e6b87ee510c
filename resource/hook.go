// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"strings"
	"text/template"
)

// A hook is what a resource has done beside its file: a check of the new one, or a
// reload of the service that reads it.
type hook interface {
	// id is equal for hooks that do the same: one run is enough for all of them.
	id() string

	// run does it on behalf of a resource. It ends when ctx does, and says why.
	run(ctx context.Context, r *Resource, v values) error

	String() string
}

// values are what the text of a command may mention. Keys are absolute.
type values struct {
	src     string            // the new file; after the replacement, dest
	dest    string            // the file it replaces
	srcs    map[string]string // :: dest → src, of all resources of the bundle; nil for a reload
	keys    []string          // that the template may read
	changed []string          // those whose values are not what they were
}

// A commandHook runs a command. Its texts are templates.
type commandHook struct {
	surroundings
	text    commandText // as it was written
	literal bool        // the line is no template
	line    *template.Template
	args    []*template.Template
	same    string // see id
}

// newCommandHook parses a command, and tries whether it can be filled in.
func newCommandHook(name string, text commandText, s surroundings, try values) (*commandHook, error) {
	h := &commandHook{surroundings: s, text: text}
	var err error
	if text.line != "" {
		if h.line, err = parseCommand(name, text.line); err != nil {
			return nil, err
		}
	}
	for _, arg := range text.args {
		t, err := parseCommand(name, arg)
		if err != nil {
			return nil, err
		}
		h.args = append(h.args, t)
	}
	c, err := h.fill(try)
	h.same = c.id()
	return h, err
}

func parseCommand(name, text string) (*template.Template, error) {
	return template.New(name).Option("missingkey=error").Parse(text)
}

// literalHook returns the hook of a line that is not filled in.
func literalHook(line string, s surroundings) *commandHook {
	h := &commandHook{surroundings: s, text: commandText{line: line}, literal: true}
	h.same = command{line: line, surroundings: s}.id()
	return h
}

func (h *commandHook) id() string     { return h.same }
func (h *commandHook) String() string { return h.text.String() }

func (h *commandHook) run(ctx context.Context, r *Resource, v values) error {
	c, err := h.fill(v)
	if err != nil {
		return fmt.Errorf("filling in the command: %w", err)
	}
	return r.shell(ctx, r.log, c)
}

// mentions reports whether a text of the command speaks of a field.
func (h *commandHook) mentions(field string) bool {
	return strings.Contains(strings.Join(append(h.text.args, h.text.line), " "), "."+field)
}

// fill fills the values in. Keys come from people who may write to the store, and not
// from those who may run commands: for the shell each is one quoted word. An argument
// that is nothing but {{.keys}} or {{.changed}} becomes one argument per key.
func (h *commandHook) fill(v values) (command, error) {
	c := command{surroundings: h.surroundings}
	if h.literal {
		c.line = h.text.line
		return c, nil
	}
	if h.line != nil {
		var b strings.Builder
		err := h.line.Execute(&b, v.fields(quoted(v.keys), quoted(v.changed)))
		c.line = b.String()
		return c, err
	}
	for i, t := range h.args {
		switch strings.ReplaceAll(h.text.args[i], " ", "") {
		case "{{.keys}}":
			c.args = append(c.args, v.keys...)
			continue
		case "{{.changed}}":
			c.args = append(c.args, v.changed...)
			continue
		}
		var b strings.Builder
		if err := t.Execute(&b, v.fields(plainWords(v.keys), plainWords(v.changed))); err != nil {
			return c, err
		}
		c.args = append(c.args, b.String())
	}
	return c, nil
}

func (v values) fields(keys, changed any) map[string]any {
	fields := map[string]any{"src": v.src, "dest": v.dest, "keys": keys, "changed": changed}
	if v.srcs != nil {
		fields["srcs"] = v.srcs
	}
	return fields
}

// plainWords print with blanks between.
type plainWords []string

func (w plainWords) String() string { return strings.Join(w, " ") }

// quotedWords print with blanks between, as the shell reads them back.
type quotedWords []quotedWord

func (w quotedWords) String() string { return plainWords(strs(w)).String() }

func strs(w quotedWords) []string {
	all := make([]string, len(w))
	for i := range w {
		all[i] = w[i].String()
	}
	return all
}

type quotedWord string

func (w quotedWord) String() string {
	harmless := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-:@%+=,", c)
	}
	if w != "" && strings.IndexFunc(string(w), func(c rune) bool { return !harmless(c) }) < 0 {
		return string(w)
	}
	return "'" + strings.ReplaceAll(string(w), "'", `'\''`) + "'"
}

func quoted(words []string) quotedWords {
	q := make(quotedWords, len(words))
	for i, w := range words {
		q[i] = quotedWord(w)
	}
	return q
}

// A commandText is a command as a resource file has it: a line for the shell, or a list
// of a program and its arguments.
type commandText struct {
	line string
	args []string
}

// UnmarshalTOML implements toml.Unmarshaler.
func (t *commandText) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		t.line = v
		return nil
	case []any:
		for _, item := range v {
			arg, ok := item.(string)
			if !ok {
				return fmt.Errorf(`the list may hold strings only (["nginx", "-t"])`)
			}
			t.args = append(t.args, arg)
		}
		if len(t.args) == 0 || t.args[0] == "" {
			return fmt.Errorf(`the list must begin with a program (["nginx", "-t"])`)
		}
		return nil
	}
	return fmt.Errorf(`must be a line for the shell ("nginx -t"), or a program and its arguments (["nginx", "-t"])`)
}

func (t commandText) empty() bool { return t.line == "" && len(t.args) == 0 }

func (t commandText) String() string {
	if t.args == nil {
		return t.line
	}
	return quoted(t.args).String()
}
