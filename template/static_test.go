// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"os"
	"path/filepath"
	"testing"

	"confd/backends"
)

// With Static a template goes on as it was parsed while its file is broken, and Same
// tells when the file says something else.
func TestStatic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tmpl")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	parse := func() *Template {
		parsed, err := Parse(path, Options{Static: true})
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	write("one")
	old, again := parse(), parse()
	if !old.Same(again) || !old.Same(old) {
		t.Error("the same file, and not the same template")
	}
	write("{{broken")
	out, err := old.Render(t.Context(), backends.NewMap().Keys())
	if err != nil || string(out.Bytes) != "one" {
		t.Errorf("got %q, %v", out.Bytes, err)
	}
	write("two")
	if fresh := parse(); old.Same(fresh) {
		t.Error("another text, and the same template")
	}
}
