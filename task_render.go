// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"confd/backends"
	"confd/backends/file"
	"confd/raftkv"
	"confd/template"
)

func renderTask() task {
	return task{
		name: "render", args: "TEMPLATE", min: 1, max: 1,
		help: "print what a template makes of values from a file",
		detail: "TEMPLATE is the path of a template, or its name below the templates of -confdir. It sees all keys; -prefix is cut " +
			"off. Without -data the values come from where the daemon has them from, as -node and the like say. What secret " +
			"marks is printed as it is.",
		flags: []option{
			{name: "data", arg: "FILE", at: func(s *settings) any { return &s.Data },
				help: "YAML, JSON or TOML file with the values, or a directory of them; may be repeated, the last wins"},
			{name: "missingkey", arg: "HOW", at: func(s *settings) any { return &s.MissingKey },
				help: "what comes of a field that a map does not have: error (the default) or zero"},
		},
		codes: "0 all went well, 1 something failed, or wrong options",
		examples: []example{
			{"Try a template", "confd render templates/nginx.conf.tmpl -data values.yaml"},
			{"With the values of the store", "confd render -node http://127.0.0.1:4001 -prefix /app nginx.conf.tmpl"},
		},
		ready: func(args *taskArgs) {
			args.flags = append([]string{"-log-level=warn"}, args.flags...)
			if args.own.Data != nil {
				args.flags = append(args.flags, "-backend=env") // any that needs no option
			}
		},
		run: func(ctx context.Context, p *program, args *taskArgs) int {
			return p.finish(p.renderOne(ctx, args))
		},
	}
}

// renderOne prints what one template makes.
func (p *program) renderOne(ctx context.Context, args *taskArgs) error {
	path, err := p.findTemplate(args.words[0])
	if err != nil {
		return err
	}
	opts := template.Options{Prefix: p.Prefix, Dir: p.templateDir(path), MissingKey: args.own.MissingKey, Secrets: p.secrets}
	switch opts.MissingKey {
	case "", "error", "zero", "default":
	default:
		return fmt.Errorf("-missingkey %q: want error or zero", opts.MissingKey)
	}
	t, err := template.Parse(path, opts)
	if err != nil {
		return err
	}
	keys, err := p.values(ctx, args.own.Data)
	if err != nil {
		return err
	}
	out, err := t.Render(ctx, keys)
	if err != nil {
		return err
	}
	if _, err := p.stdout.Write(out.Bytes); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// findTemplate returns the path of a template that is named by a path, or by its name
// below the templates of the confdir.
func (p *program) findTemplate(name string) (string, error) {
	below := filepath.Join(p.ConfDir, "templates", name)
	for _, path := range []string{name, below} {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
	}
	return "", hint(fmt.Errorf("template %q does not exist, and neither does %q", name, below), "name the directory that holds templates with -confdir")
}

// templateDir returns the folder from which the template includes others: that of the
// confdir or another called templates if it lies in one, else its own.
func (p *program) templateDir(path string) string {
	all := filepath.Join(p.ConfDir, "templates")
	own := filepath.Dir(path)
	for dir := own; ; dir = filepath.Dir(dir) {
		if dir == all || filepath.Base(dir) == "templates" {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return own
		}
	}
}

// values returns all keys of the files, or without any of the backend.
func (p *program) values(ctx context.Context, files []string) (backends.Keys, error) {
	if files != nil {
		return readValues(ctx, files...)
	}
	if p.Backend == "raftkv" && p.given["backend"] == fromDefault {
		return nil, hint(errors.New("there are no values to render from"), "give a file with -data, or a store with -node; -backend raftkv opens the one in -data-dir")
	}
	var node *raftkv.Reader
	if p.Backend == "raftkv" {
		if err := p.haveStore(); err != nil {
			return nil, err
		}
		var err error
		if node, err = p.openReader(ctx, ""); err != nil {
			return nil, err
		}
		defer node.Close()
	}
	backend, closeBackend, err := p.openBackend(ctx, node)
	if err != nil {
		return nil, err
	}
	defer closeBackend()
	snap, err := backend.Snapshot(ctx, []string{"/"})
	if err != nil {
		return nil, fmt.Errorf("reading values: %w", err)
	}
	return snap.Keys, nil
}

// readValues returns the keys of files. All must be there.
func readValues(ctx context.Context, paths ...string) (backends.Keys, error) {
	for _, path := range paths {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("file of values %q does not exist", path)
		}
	}
	b, err := file.Open(ctx, file.Config{Paths: paths})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	snap, err := b.Snapshot(ctx, []string{"/"})
	if err != nil {
		return nil, fmt.Errorf("reading values: %w", err)
	}
	return snap.Keys, nil
}
