// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"strings"
	"testing"

	"confd/backends"
	"confd/template"
)

// TestTemplateOptions holds that what a resource says of its template reaches it.
func TestTemplateOptions(t *testing.T) {
	c := newConfdir(t)
	c.file("templates/a.tmpl", `{{$m := map}}{{$m.none}}{{secret (getv "/a")}}`)
	c.file("conf.d/a.toml", "[template]\nsrc='a.tmpl'\ndest='/x'\nkeys=['/']\nmissingkey='zero'\n")
	c.file("conf.d/b.toml", "[template]\nsrc='a.tmpl'\ndest='/y'\nkeys=['/']\n")
	secrets := &template.Secrets{}
	resources, err := LoadDir(c.path, Options{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	keys := backends.NewMap()
	keys.Set("/a", "hunter2")
	out, err := resources[0].source.Render(t.Context(), keys.Keys())
	if err != nil || string(out.Bytes) != "<no value>hunter2" || secrets.Mask("hunter2") == "hunter2" {
		t.Errorf("got %q, %v, %q", out.Bytes, err, secrets.Mask("hunter2"))
	}
	if _, err = resources[1].source.Render(t.Context(), keys.Keys()); err == nil || !strings.Contains(err.Error(), "see hasKey and dig, or missingkey") {
		t.Errorf("got %v", err)
	}
}

// TestStatusMasked holds that a command that prints the file does not give it away.
func TestStatusMasked(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", "check_cmd='cat {{.src}}; exit 3'")
	c.file("templates/a.tmpl", `{{secret (getv "/a")}}`)
	opts := c.options()
	opts.Secrets = &template.Secrets{}
	resources := c.load(opts, nil)
	run := NewRunner(Config{Backend: newMemory("/a", "hunter2"), Resources: resources, Log: opts.Log})
	if err := run.Once(t.Context()); err == nil {
		t.Fatal("the check has not failed")
	}
	err := run.Status()[0].Err
	if err == nil || !strings.Contains(err.Error(), "********") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// TestFormerSecretsMasked holds that the secret that an earlier process has rendered is
// masked too: in what a check prints that compares the files, and in what the reload of
// the file that was put back prints.
func TestFormerSecretsMasked(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `check_cmd = "cat {{.dest}}; ! grep -q fault {{.src}}"`, `reload_cmd = "cat {{.dest}}; exit 3"`, "rollback = true")
	c.file("templates/a.tmpl", "user x\npassword {{secret (getv \"/a\")}}\n")
	pass := func(value string) Status {
		opts := c.options()
		opts.Secrets = &template.Secrets{}
		run := NewRunner(Config{Backend: newMemory("/a", value), Resources: c.load(opts, nil), Log: opts.Log})
		if err := run.Once(t.Context()); err == nil {
			t.Fatal("no command has failed")
		}
		return run.Status()[0]
	}
	c.file("out/a", "user x\npassword hunter2\n")
	for _, value := range []string{"fault-4711", "swordfish"} {
		st := pass(value)
		for _, err := range []error{st.Err, st.ReloadErr} {
			if err != nil && (!strings.Contains(err.Error(), "password ********") || !strings.Contains(err.Error(), "user x")) {
				t.Errorf("%s: got %v", value, err)
			}
		}
		if value == "swordfish" && st.ReloadErr == nil {
			t.Errorf("the file that was put back was reloaded: %v", st.Err)
		}
	}
	c.wantFile(c.dest("a"), "user x\npassword hunter2\n")
}
