// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Table is what a section has measured.
type Table struct {
	Title string
	Notes []string // what the reader must know, each a sentence or more
	Ours  string   // name of our program
	Peer  string   // name of what it is compared with
	Rows  []Row
}

// Add appends rows.
func (t *Table) Add(rows ...Row) { t.Rows = append(t.Rows, rows...) }

// lines returns the heading and the rows as text, without columns that are empty.
func (t *Table) lines() [][]string {
	lines := [][]string{{"what", "goal", t.Ours, t.Peer, "ratio", "", t.Ours + " p50 / p99, ms", t.Peer + " p50 / p99, ms"}}
	used := make([]bool, len(lines[0]))
	for _, row := range t.Rows {
		cells := row.cells()
		for i, cell := range cells {
			used[i] = used[i] || cell != ""
		}
		lines = append(lines, cells)
	}
	for n, line := range lines {
		var kept []string
		for i, cell := range line {
			if used[i] {
				kept = append(kept, cell)
			}
		}
		lines[n] = kept
	}
	return lines
}

// Text returns the table for a terminal.
func (t *Table) Text() string {
	lines := t.lines()
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", t.Title)
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			text.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	for _, note := range t.Notes {
		b.WriteString("\n" + note + "\n")
	}
	return b.String()
}

// Markdown returns the table for a page.
func (t *Table) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", t.Title)
	for _, note := range t.Notes {
		b.WriteString(note + "\n\n")
	}
	for i, line := range t.lines() {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(line)) + "|\n")
		}
	}
	return b.String()
}

// Missed returns what has missed its goal.
func (t *Table) Missed() []string {
	var all []string
	for _, row := range t.Rows {
		if cells := row.cells(); cells[5] == "missed" {
			section, _, _ := strings.Cut(t.Title, ":")
			all = append(all, fmt.Sprintf("%s: %s (goal %s, is %s, ratio %s)", section, row.What, row.Goal.text, cells[2], cells[4]))
		}
	}
	return all
}

// Reached returns how many goals were reached.
func (t *Table) Reached() int {
	n := 0
	for _, row := range t.Rows {
		if row.cells()[5] == "reached" {
			n++
		}
	}
	return n
}
