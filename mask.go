// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"slices"
	"strings"

	"confd/template"
)

// A maskWriter masks secrets in what is written to it. Each call of Write brings whole
// lines, as those of a log and of report do.
type maskWriter struct {
	w       io.Writer
	secrets *template.Secrets
}

func (m *maskWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(m.w, m.secrets.Mask(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// maskEdits hides the secrets in a diff: those that templates have marked, and what was
// in their place before, which nobody knows. A removed line that looks like a line with
// a secret is masked in the same places. Where a line with a secret has replaced others
// and none of them looks like it, they are masked as a whole.
func maskEdits(edits []edit, secrets *template.Secrets) []edit {
	patterns := secretLines(edits, secrets, " +")
	masked := make([]edit, len(edits))
	for i := 0; i < len(edits); {
		end := i
		for end < len(edits) && (edits[end].kind != ' ') == (edits[i].kind != ' ') {
			end++
		}
		replaced := replacesUnknown(edits[i:end], secrets)
		for ; i < end; i++ {
			e := edits[i]
			if e.kind == '-' {
				e.line = maskOld(e.line, patterns, replaced)
			}
			masked[i] = edit{e.kind, secrets.Mask(e.line)}
		}
	}
	return masked
}

// secretLines returns the pieces around the secrets of the lines of some kinds that have
// any.
func secretLines(edits []edit, secrets *template.Secrets, kinds string) [][]string {
	var all [][]string
	for _, e := range edits {
		if pieces := secrets.Split(e.line); strings.IndexByte(kinds, e.kind) >= 0 && len(pieces) > 1 {
			all = append(all, pieces)
		}
	}
	return all
}

// replacesUnknown tells whether one of the new lines has a secret and none of the removed
// ones looks like it.
func replacesUnknown(edits []edit, secrets *template.Secrets) bool {
	for _, pieces := range secretLines(edits, secrets, "+") {
		if secretsOnly(pieces) || !slices.ContainsFunc(edits, func(e edit) bool { return e.kind == '-' && looksLike(e.line, pieces) }) {
			return true
		}
	}
	return false
}

// secretsOnly tells whether a line has nothing but secrets.
func secretsOnly(pieces []string) bool { return strings.TrimSpace(strings.Join(pieces, "")) == "" }

// hidden stands in a diff where a secret stood.
const hidden = "********"

// maskOld masks a removed line. replaced tells that a line with a secret, unlike any that
// was removed, may have taken its place.
func maskOld(line string, patterns [][]string, replaced bool) string {
	for _, pieces := range patterns {
		if (!secretsOnly(pieces) || replaced) && looksLike(line, pieces) {
			return strings.Join(pieces, hidden)
		}
	}
	if !replaced {
		return line
	}
	if strings.HasSuffix(line, "\n") {
		return hidden + "\n"
	}
	return hidden
}

// looksLike reports whether a line consists of the pieces, with anything between them.
func looksLike(line string, pieces []string) bool { return template.Between(line, pieces) != nil }
