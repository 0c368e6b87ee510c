// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"confd/resource"
	"confd/template"
)

// A differ prints what would become of files, and counts them. Resources may show theirs
// at the same time.
type differ struct {
	out     io.Writer
	context int // lines around a change
	color   bool
	secrets *template.Secrets

	mu      sync.Mutex
	changed int // files
	failed  error
}

// newDiffer returns a differ for the settings.
func (p *program) newDiffer() *differ {
	color := p.Color
	if p.given["color"] == fromDefault {
		f, ok := p.stdout.(*os.File)
		color = ok && isTerminal(f) && p.getenv("NO_COLOR") == ""
	}
	out := p.stdout
	if p.reportsToOutput() {
		out = io.Discard
	}
	return &differ{out: out, context: p.DiffContext, color: color, secrets: p.secrets}
}

// show prints one change.
func (d *differ) show(c resource.Change) {
	text := d.text(c)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed++
	if _, err := io.WriteString(d.out, text); err != nil && d.failed == nil {
		d.failed = fmt.Errorf("writing the output: %w", err)
	}
}

// count returns how many files would change, and why they could not be printed.
func (d *differ) count() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed, d.failed
}

// text returns a change as a unified diff.
func (d *differ) text(c resource.Change) string {
	var head strings.Builder
	if c.Exists && c.OldMode != c.NewMode {
		fmt.Fprintf(&head, "old mode %04o\nnew mode %04o\n", c.OldMode, c.NewMode)
	}
	if c.Exists && c.OldOwner != c.NewOwner {
		fmt.Fprintf(&head, "old owner %s\nnew owner %s\n", c.OldOwner, c.NewOwner)
	}
	from := c.Dest
	if !c.Exists {
		from = os.DevNull
	}
	fmt.Fprintf(&head, "--- %s\n+++ %s\t%s\n", from, c.Dest, c.Name)
	body := ""
	switch {
	case bytes.Equal(c.Old, c.New):
	case binary(c.Old) || binary(c.New):
		body = "Binary files differ\n"
	default:
		edits := diffLines(splitLines(string(c.Old)), splitLines(string(c.New)))
		body = unified(maskEdits(edits, d.secrets), d.context)
	}
	if !d.color {
		return head.String() + body
	}
	return colored(head.String(), "1") + colorBody(body)
}

// binary reports whether a content is no text.
func binary(content []byte) bool {
	return bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content)
}

// colorBody colours the hunks as git does.
func colorBody(body string) string {
	var b strings.Builder
	for line := range strings.Lines(body) {
		switch line[0] {
		case '@':
			line = colored(line, "36")
		case '-':
			line = colored(line, "31")
		case '+':
			line = colored(line, "32")
		}
		b.WriteString(line)
	}
	return b.String()
}

// colored puts the codes of a terminal around each line.
func colored(text, code string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("\x1b[" + code + "m" + strings.TrimSuffix(line, "\n") + "\x1b[m\n")
	}
	return b.String()
}
