// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import "strings"

// Nearest returns the word that a misspelt one was probably meant to be: the first of
// those that are alike most, at most far letters away; "" if none is. The case of letters
// does not count, and "-" is "_". It is for hints, here and in the rooms above, and stands
// here because all of them see this one.
func Nearest(misspelt string, words []string, far int) string {
	plain := strings.NewReplacer("-", "_")
	from := []rune(plain.Replace(strings.ToLower(misspelt)))
	best := ""
	for _, w := range words {
		d := distance(from, []rune(plain.Replace(strings.ToLower(w))))
		if d <= far && d < len(w) {
			best, far = w, d-1
		}
	}
	return best
}

// distance is how many letters must be put in, left out, changed or swapped with their
// neighbour to make a into b.
func distance(a, b []rune) int {
	var before, last []int // rows for a[:i-2] and a[:i-1]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
