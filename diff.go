// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// maxEdits bounds the search for the shortest way from one text to another, and so its
// memory. What takes more is shown as all old lines and all new ones.
const maxEdits = 1000

// An edit is a line of a diff.
type edit struct {
	kind byte // ' ', '-' or '+'
	line string
}

// diffLines returns the shortest way from the old lines to the new ones.
func diffLines(old, fresh []string) []edit {
	var edits []edit
	add := func(kind byte, lines ...string) {
		for _, line := range lines {
			edits = append(edits, edit{kind, line})
		}
	}
	start := 0
	for start < len(old) && start < len(fresh) && old[start] == fresh[start] {
		start++
	}
	end := 0
	for end < len(old)-start && end < len(fresh)-start && old[len(old)-1-end] == fresh[len(fresh)-1-end] {
		end++
	}
	add(' ', old[:start]...)
	a, b := old[start:len(old)-end], fresh[start:len(fresh)-end]
	if path := shortest(a, b); path != nil {
		edits = append(edits, path...)
	} else {
		add('-', a...)
		add('+', b...)
	}
	add(' ', old[len(old)-end:]...)
	return edits
}

// shortest is the algorithm of E. Myers, "An O(ND) Difference Algorithm": for each number
// of edits, how far one comes on each diagonal x-y. It returns nil if there are too many.
func shortest(a, b []string) []edit {
	n, m := len(a), len(b)
	limit := min(n+m, maxEdits)
	reach := make([]int, 2*limit+3) // :: diagonal + limit + 1 → x
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, append([]int(nil), reach[limit-d:limit+d+3]...))
		for k := -d; k <= d; k += 2 {
			at := limit + 1 + k
			x := reach[at-1] + 1
			if k == -d || k != d && reach[at-1] < reach[at+1] {
				x = reach[at+1]
			}
			for x < n && x-k < m && a[x] == b[x-k] {
				x++
			}
			reach[at] = x
			if x >= n && x-k >= m {
				return walkBack(a, b, trace)
			}
		}
	}
	return nil
}

// walkBack returns the edits that the trace of shortest has found.
func walkBack(a, b []string, trace [][]int) []edit {
	var back []edit
	x, y := len(a), len(b)
	for d := len(trace) - 1; d > 0; d-- {
		reach, k := trace[d], x-y
		at := d + 1 + k // as in reach of shortest, cut to what d could reach
		before := k - 1
		if k == -d || k != d && reach[at-1] < reach[at+1] {
			before = k + 1
		}
		prevX := reach[d+1+before]
		prevY := prevX - before
		for x > prevX && y > prevY {
			x, y = x-1, y-1
			back = append(back, edit{' ', a[x]})
		}
		if before == k+1 {
			y--
			back = append(back, edit{'+', b[y]})
		} else {
			x--
			back = append(back, edit{'-', a[x]})
		}
	}
	for x > 0 {
		x--
		back = append(back, edit{' ', a[x]})
	}
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	return back
}

// splitLines returns the lines of a text, each with its line feed if it has one.
func splitLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, line)
	}
	return lines
}

// unified returns the hunks of a unified diff, with so many lines around each change.
func unified(edits []edit, context int) string {
	var b strings.Builder
	oldLine, newLine := 0, 0 // before edits[i]
	for i := 0; i < len(edits); {
		if edits[i].kind == ' ' {
			i, oldLine, newLine = i+1, oldLine+1, newLine+1
			continue
		}
		first := max(i-context, 0)
		last := hunkEnd(edits, i, context)
		before := i - first
		writeHunk(&b, edits[first:last], oldLine-before, newLine-before)
		for ; i < last; i++ {
			if edits[i].kind != '+' {
				oldLine++
			}
			if edits[i].kind != '-' {
				newLine++
			}
		}
	}
	return b.String()
}

// hunkEnd returns where the hunk ends that has a change at i: changes with less than
// twice the context between them are in one.
func hunkEnd(edits []edit, i, context int) int {
	end := i
	for j := i; j < len(edits) && j <= end+2*context+1; j++ {
		if edits[j].kind != ' ' {
			end = j
		}
	}
	return min(end+1+context, len(edits))
}

func writeHunk(b *strings.Builder, edits []edit, oldLine, newLine int) {
	oldCount, newCount := 0, 0
	for _, e := range edits {
		if e.kind != '+' {
			oldCount++
		}
		if e.kind != '-' {
			newCount++
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", hunkRange(oldLine, oldCount), hunkRange(newLine, newCount))
	for _, e := range edits {
		b.WriteByte(e.kind)
		b.WriteString(e.line)
		if !strings.HasSuffix(e.line, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// hunkRange returns a range as diff writes it: of no lines, it is behind the line before.
func hunkRange(before, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, count)
}
