// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

// taskSettings are what the flags of single tasks set.
type taskSettings struct {
	Elsewhere  bool     // check: the files are for another machine
	Data       []string // render: files of values
	MissingKey string   // render
	Update     bool     // test: write what is rendered
}

// ciOptions are those for runs that somebody looks at.
var ciOptions = []option{
	{name: "diff", at: func(s *settings) any { return &s.Diff },
		help: "with -noop: print what would change as a unified diff, the values that templates mark by secret masked; with -onetime the exit code is 2 if anything would"},
	{name: "diff-context", arg: "N", at: func(s *settings) any { return &s.DiffContext }, def: "3",
		help: "lines around each change of a diff"},
	{name: "color", at: func(s *settings) any { return &s.Color }, defDoc: "true on a terminal, unless NO_COLOR is set",
		help: "colour diffs"},
	{name: "report", arg: "FORMAT[:FILE]", at: func(s *settings) any { return &s.Report },
		help: "with -onetime: write what came of each resource as json or junit, to standard output or a file"},
}
