// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"confd/resource"
	"confd/template"
)

func goldenTask() task {
	return task{
		name: "test", args: "[TEMPLATE …]", max: -1,
		help: "render the test cases that are kept beside templates",
		detail: "The cases of NAME.tmpl are in the directory NAME.test beside it. CASE.yaml (or .json, .toml) has the values, CASE.out " +
			"what is to be rendered from them; or CASE.err a part of the error that is to come. If a resource names the template, " +
			"its keys, prefix and missingkey hold, so the values are as in the store. The environment is what CASE.env says, in lines " +
			"NAME=VALUE; the time is 2000-01-01, the machine is called host and has no addresses, and no name server answers.",
		flags: []option{
			{name: "update", at: func(s *settings) any { return &s.Update },
				help: "write what is rendered to CASE.out, and errors to CASE.err where there is one"},
		},
		codes: "0 all cases are as they should be, 1 one is not, or there is none, or wrong options",
		examples: []example{
			{"All cases", "confd test -confdir ."},
			{"Accept what nginx.conf.tmpl makes now", "confd test -confdir . -update nginx.conf.tmpl"},
		},
		ready: func(args *taskArgs) {
			args.flags = append([]string{"-log-level=warn"}, args.flags...)
			args.flags = append(args.flags, "-onetime", "-backend=env") // any that needs no option
		},
		run: func(ctx context.Context, p *program, args *taskArgs) int { return p.golden(ctx, args) },
	}
}

// A goldenCase is one case of one template.
type goldenCase struct {
	name     string // template and case, as it is shown
	template string // path
	data     string // path of the values
	base     string // path without the extension
}

// dataExtensions are those of files with values.
var dataExtensions = []string{".yaml", ".yml", ".json", ".toml"}

// golden runs the cases and returns the exit code.
func (p *program) golden(ctx context.Context, args *taskArgs) int {
	dir := filepath.Join(p.ConfDir, "templates")
	cases, err := findCases(dir, args.words)
	if err != nil {
		report(p.stderr, err)
		return exitFailure
	}
	opts := p.resourceOptions()
	opts.Elsewhere, opts.Noop, opts.Secrets = true, true, nil
	resources, broken := resource.LoadDir(p.ConfDir, opts)
	p.logBroken(broken) // their templates are rendered without a prefix
	var results []result
	failed := 0
	for _, c := range cases {
		r := result{Name: c.name, File: c.data, Result: resultOK}
		began := time.Now()
		text := p.runCase(ctx, dir, c, resources, args.own.Update)
		r.Seconds = secondsOf(time.Since(began))
		if text != "" {
			failed++
			r.Result, r.Errors = resultFailed, []string{text}
			if !p.reportsToOutput() {
				fmt.Fprintf(p.stdout, "FAIL %s\n%s\n", c.name, strings.TrimRight(text, "\n"))
			}
		}
		results = append(results, r)
	}
	err = p.writeReport("test", results)
	if failed > 0 {
		err = errors.Join(err, hint(fmt.Errorf("%d of %s failed", failed, plural(len(cases), "case")), "confd test -update accepts what is rendered now"))
	}
	if err != nil {
		report(p.stderr, err)
		return exitFailure
	}
	if !p.reportsToOutput() {
		fmt.Fprintf(p.stdout, "%s passed\n", plural(len(cases), "case"))
	}
	return exitOK
}

// findCases returns the cases below dir, of the templates that are named or of all.
func findCases(dir string, only []string) ([]goldenCase, error) {
	var cases []goldenCase
	var errs []error
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() || !strings.HasSuffix(path, ".test") {
			return nil
		}
		found, err := casesIn(dir, path, only)
		cases, errs = append(cases, found...), append(errs, err)
		return filepath.SkipDir
	})
	errs = append(errs, err)
	for _, name := range only {
		if !slices.ContainsFunc(cases, func(c goldenCase) bool { return c.of(dir, name) }) {
			errs = append(errs, hint(fmt.Errorf("template %q has no cases", name), "they belong in %s.test beside it", strings.TrimSuffix(name, ".tmpl")))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		return nil, hint(fmt.Errorf("there are no cases below %q", dir), "those of NAME.tmpl belong in NAME.test: CASE.yaml and CASE.out")
	}
	return cases, nil
}

// of tells whether the case is of the template with this path, or name below dir.
func (c goldenCase) of(dir, name string) bool {
	return filepath.Clean(name) == c.template || filepath.Join(dir, name) == c.template
}

// casesIn returns the cases of one directory, and what is in it that belongs to none.
func casesIn(dir, path string, only []string) ([]goldenCase, error) {
	base := strings.TrimSuffix(path, ".test")
	source := base + ".tmpl"
	if _, err := os.Stat(source); err != nil {
		if source = base; isMissing(source) {
			return nil, fmt.Errorf("%s: there is no template %s.tmpl", path, base)
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var errs []error
	all := make(map[string]goldenCase) // :: path without the extension → case
	for _, entry := range entries {
		ext := filepath.Ext(entry.Name())
		if !slices.Contains(dataExtensions, ext) {
			continue
		}
		data := filepath.Join(path, entry.Name())
		c := goldenCase{template: source, data: data, base: strings.TrimSuffix(data, ext)}
		c.name, _ = filepath.Rel(dir, c.base)
		if other, ok := all[c.base]; ok {
			errs = append(errs, fmt.Errorf("%s and %s are of one case", other.data, data))
		}
		if only == nil || slices.ContainsFunc(only, func(name string) bool { return c.of(dir, name) }) {
			all[c.base] = c
		}
	}
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		ext := filepath.Ext(name)
		if _, ok := all[strings.TrimSuffix(name, ext)]; !ok && only == nil && slices.Contains([]string{".out", ".err", ".env"}, ext) {
			errs = append(errs, fmt.Errorf("%s belongs to no case; its values would be in %s.yaml", name, strings.TrimSuffix(name, ext)))
		}
	}
	var cases []goldenCase
	for _, key := range slices.Sorted(maps.Keys(all)) {
		cases = append(cases, all[key])
	}
	return cases, errors.Join(errs...)
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return err != nil
}

// runCase renders a case, and returns what is wrong with it, or "".
func (p *program) runCase(ctx context.Context, dir string, c goldenCase, resources []*resource.Resource, update bool) string {
	got, err := renderCase(ctx, dir, c, resources)
	if update {
		if err := c.update(got, err); err != nil {
			return err.Error()
		}
		return ""
	}
	want, wantErr := os.ReadFile(c.base + ".out")
	part, partErr := os.ReadFile(c.base + ".err")
	switch {
	case wantErr == nil && partErr == nil:
		return fmt.Sprintf("there are both %s.out and %s.err; keep one of them", c.base, c.base)
	case wantErr != nil && partErr != nil:
		return fmt.Sprintf("there is no %s.out; confd test -update writes it", c.base)
	case partErr == nil && err == nil:
		return "rendered, where an error is to come"
	case partErr == nil:
		if text := strings.TrimSpace(string(part)); !strings.Contains(err.Error(), text) {
			return fmt.Sprintf("the error is\n  %v\nwithout\n  %s", err, text)
		}
		return ""
	case err != nil:
		return err.Error()
	case string(want) == string(got):
		return ""
	}
	d := &differ{context: p.DiffContext}
	d.color = p.newDiffer().color
	return d.text(resource.Change{Name: "rendered", Dest: c.base + ".out", Exists: true, Old: want, New: got})
}

// renderCase renders a case as the first resource does that has the template.
func renderCase(ctx context.Context, dir string, c goldenCase, resources []*resource.Resource) ([]byte, error) {
	environment, err := readEnv(c.base + ".env")
	if err != nil {
		return nil, err
	}
	keys, err := readValues(ctx, c.data)
	if err != nil {
		return nil, err
	}
	opts := template.Options{
		Dir:       dir,
		Getenv:    func(name string) string { return environment[name] },
		Hostname:  func() (string, error) { return "host", nil },
		Interface: func(string) []netip.Addr { return nil },
		Now:       func() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) },
		Resolver:  noResolver{},
	}
	for _, r := range resources {
		if r.Src == c.template {
			opts.Prefix, opts.MissingKey = r.Prefix, r.MissingKey
			keys = keys.Under(r.Keys)
			break
		}
	}
	t, err := template.Parse(c.template, opts)
	if err != nil {
		return nil, err
	}
	out, err := t.Render(ctx, keys)
	return out.Bytes, err
}

// update writes what was rendered, or the error if one was expected.
func (c goldenCase) update(got []byte, err error) error {
	if err == nil {
		if err := os.Remove(c.base + ".err"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.WriteFile(c.base+".out", got, 0o644)
	}
	if isMissing(c.base + ".err") {
		return err
	}
	text := strings.TrimPrefix(err.Error(), c.template+":")
	return os.WriteFile(c.base+".err", []byte(text+"\n"), 0o644)
}

// readEnv reads lines NAME=VALUE. A file that is missing has none.
func readEnv(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	environment := make(map[string]string)
	line := 0
	for text := range strings.Lines(string(text)) {
		line++
		if text = strings.TrimSpace(text); text == "" || text[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("%s:%d:1: want NAME=VALUE", path, line)
		}
		environment[name] = value
	}
	return environment, err
}

// noResolver knows no names.
type noResolver struct{}

func (noResolver) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (noResolver) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
