// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A mistake of syntax has a column too, although text/template tells none.
func TestColumnOfSyntax(t *testing.T) {
	for _, tt := range []struct {
		text         string
		line, column int
	}{
		{"toupper {{toupper \"x\"}}", 1, 11},
		{"a\n  {{if toupperx}}{{toupper}}{{end}}", 2, 8},
		{"a\n\n x {{if}}", 3, 4},
		{"{{if true}}{{range}}", 1, 1},
		{"x {{end}}", 1, 5},
		{"{{if true}}\nend\n", 3, 1},
		{"a {{getv \"/x\" | $y}}", 1, 17},
		{"a {{getv \"/x}}", 1, 3},
		{"é {{nosuch}}", 1, 6},
	} {
		path := filepath.Join(t.TempDir(), "x.tmpl")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Parse(path, Options{})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Line != tt.line || e.Column != tt.column {
			t.Errorf("%q: got %v, want :%d:%d", tt.text, err, tt.line, tt.column)
		}
	}
}
