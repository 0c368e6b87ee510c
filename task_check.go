// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"confd/resource"
	"confd/template"
)

func checkTask() task {
	return task{
		name: "check", help: "look for mistakes in resources, templates and confd.toml",
		detail: "Nothing is rendered, written or run, and no store is asked. Every fault of every file is told at once, " +
			"each on a line FILE:LINE:COLUMN: WHAT of standard output: unknown keys, templates that do not parse or that " +
			"call functions in a wrong way, two resources with one dest, commands whose program is not in PATH, users, " +
			"groups and directories that are not there. Templates that no resource names are looked at as well.",
		flags: []option{
			{name: "elsewhere", at: func(s *settings) any { return &s.Elsewhere },
				help: "the files are for another machine, as in CI: do not look for programs, users, groups and directories on this one"},
		},
		codes: "0 all is in order, 1 there are faults, or wrong options",
		examples: []example{
			{"Before the daemon is told to read its files again", "confd check -confdir /etc/confd"},
			{"In CI, where nginx is not installed", "confd check -elsewhere -confdir . -report junit:confd.xml"},
		},
		ready: func(args *taskArgs) { args.flags = append(args.flags, "-onetime") }, // for -report
		run:   func(_ context.Context, p *program, args *taskArgs) int { return p.check(args.own.Elsewhere, nil) },
	}
}

// check looks for mistakes, beside those of the settings, and returns the exit code.
func (p *program) check(elsewhere bool, inSettings error) int {
	opts := p.resourceOptions()
	opts.Strict, opts.Elsewhere, opts.Noop = true, elsewhere, true
	resources, broken := resource.LoadDir(p.ConfDir, opts)
	results := brokenResults(broken)
	for _, r := range resources {
		results = append(results, result{Name: r.Path, File: r.Path, Result: resultOK, Seconds: secondsOf(r.LoadTook)})
	}
	if inSettings != nil {
		r := result{Name: "confd.toml", Result: resultFailed}
		for _, e := range flatten(inSettings) {
			r.Errors = append(r.Errors, e.Error())
		}
		results = append([]result{r}, results...)
	}
	results = append(results, checkOrphans(filepath.Join(p.ConfDir, "templates"), resources, results)...)
	return p.finishCheck(results)
}

// finishCheck prints the faults, each once, and the report.
func (p *program) finishCheck(results []result) int {
	faults, files := 0, 0
	told := make(map[string]bool)
	for _, r := range results {
		if r.Result == resultFailed {
			files++
		}
		for _, text := range r.Errors {
			if !told[text] && !p.reportsToOutput() {
				fmt.Fprintln(p.stdout, oneLine(p.secrets.Mask(text)))
			}
			if !told[text] {
				faults++
			}
			told[text] = true
		}
	}
	err := p.writeReport("check", results)
	if faults > 0 {
		err = errors.Join(err, fmt.Errorf("%s in %s", plural(faults, "fault"), plural(files, "file")))
	}
	if err != nil {
		report(p.stderr, err)
		return exitFailure
	}
	if !p.reportsToOutput() {
		fmt.Fprintf(p.stdout, "%s in order\n", plural(len(results), "file"))
	}
	return exitOK
}

// reportsToOutput tells whether standard output belongs to the report.
func (p *program) reportsToOutput() bool {
	_, path, _ := strings.Cut(p.Report, ":")
	return p.Report != "" && (path == "" || path == "-")
}

// checkOrphans looks at the templates that no resource names: parts that others include,
// and those that wait for their resource.
func checkOrphans(dir string, resources []*resource.Resource, results []result) []result {
	var orphans []result
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(entry.Name(), ".") && path != dir:
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir() || filepath.Ext(path) != ".tmpl":
			return nil
		case slices.ContainsFunc(resources, func(r *resource.Resource) bool { return r.Src == path }):
			return nil
		}
		began := time.Now()
		t, err := template.Parse(path, template.Options{Dir: dir})
		if err == nil {
			err = t.Check()
		}
		r := result{Name: path, File: path, Result: resultOK, Seconds: secondsOf(time.Since(began))}
		if err != nil && !mentions(results, err) {
			r.Result = resultFailed
			for _, e := range flatten(err) {
				r.Errors = append(r.Errors, e.Error())
			}
		}
		orphans = append(orphans, r)
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		orphans = append(orphans, result{Name: dir, Result: resultFailed, Errors: []string{err.Error()}})
	}
	return orphans
}

// mentions tells whether the faults are in the results already, for a broken resource.
func mentions(results []result, err error) bool {
	for _, r := range results {
		for _, text := range r.Errors {
			if strings.Contains(text, err.Error()) {
				return true
			}
		}
	}
	return false
}

// checkWithout checks the files although the settings are wrong, which is one more fault.
func checkWithout(sys system, args *taskArgs, wrong error) int {
	flags, err := parseFlags(args.flags)
	if err != nil {
		report(sys.stderr, wrong)
		return exitFailure
	}
	s := newSettings()
	environment, names := readEnvironment(sys.getenv)
	err = lay(s, sources{flags: flags, environment: withoutEtcd(environment, names), names: names})
	if err != nil || checkReport(s.Report) != nil {
		report(sys.stderr, wrong)
		return exitFailure
	}
	s.Diff = false
	return makeProgram(sys, s).check(args.own.Elsewhere, wrong)
}
