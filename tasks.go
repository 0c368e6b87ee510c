// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The files task*.go and golden.go are the commands that work on templates as the daemon
// does, with its options, and end: for CI and for whoever writes a template. They need no
// store of their own, unlike the commands of ctl.go, which are a client of one.

// A task is one row of the table of these commands.
type task struct {
	name     string
	args     string // as the help shows them
	help     string
	detail   string
	min, max int      // of arguments; max -1 = any number
	flags    []option // beside those of the daemon
	codes    string   // what the exit codes mean
	examples []example

	// ready changes the settings before they are checked; nil = nothing.
	ready func(args *taskArgs)
	run   func(context.Context, *program, *taskArgs) int
}

// taskArgs is a command line of a task.
type taskArgs struct {
	words []string // the arguments
	flags []string // those of the daemon
	own   settings // the fields that the flags of the task set
}

// tasks returns the table.
func tasks() []task { return []task{checkTask(), diffTask(), renderTask(), goldenTask()} }

func taskNames() []string {
	var names []string
	for _, t := range tasks() {
		names = append(names, t.name)
	}
	return names
}

// runTask runs the task that the first argument names, and tells whether it names one.
// Wrong options are a failure, code 1: to some tasks 2 means that there are changes.
func runTask(ctx context.Context, args []string, sys system) (code int, isTask bool) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return 0, false
	}
	i := slices.IndexFunc(tasks(), func(t task) bool { return t.name == args[0] })
	if i < 0 {
		return 0, false
	}
	t := tasks()[i]
	parsed, err := t.parse(args[1:])
	if err == nil && parsed == nil {
		fmt.Fprint(sys.stdout, t.text())
		return exitOK, true
	}
	if err != nil {
		report(sys.stderr, err)
		return exitFailure, true
	}
	if t.ready != nil {
		t.ready(parsed)
	}
	s, err := loadSettings(parsed.flags, sys.machine)
	if err != nil && t.name == "check" {
		return checkWithout(sys, parsed, err), true
	}
	if err != nil {
		report(sys.stderr, err)
		return exitFailure, true
	}
	return t.run(ctx, makeProgram(sys, s), parsed), true
}

// parse takes the line apart. It returns nil if help is asked for.
func (t *task) parse(args []string) (*taskArgs, error) {
	parsed := &taskArgs{own: *newSettings()}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			parsed.words = append(parsed.words, args...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			parsed.words = append(parsed.words, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		if name == "help" || name == "h" {
			return nil, nil
		}
		i := slices.IndexFunc(t.flags, func(o option) bool { return o.name == name })
		o := optionNamed(name)
		switch {
		case i >= 0:
			o = &t.flags[i]
		case o == nil:
			return nil, hint(fmt.Errorf("%s knows no flag -%s", t.name, name), "%s", didYouMean(name, append(t.flagNames(), flagNames()...), "-", "confd "+t.name+" -help lists its flags"))
		}
		if !hasValue && o.isSwitch() {
			value, hasValue = "true", true
		}
		if !hasValue {
			if len(args) == 0 {
				return nil, fmt.Errorf("flag -%s needs a value: -%s %s", name, name, o.arg)
			}
			value, args = args[0], args[1:]
		}
		if i < 0 {
			parsed.flags = append(parsed.flags, "-"+name+"="+value)
			continue
		}
		values := []string{value}
		if list, ok := o.at(&parsed.own).(*[]string); ok {
			values = append(slices.Clone(*list), value)
		}
		if err := o.set(&parsed.own, fromFlag, "-"+o.name, values); err != nil {
			return nil, err
		}
	}
	return parsed, t.count(parsed.words)
}

// count tells whether there are as many arguments as the task takes.
func (t *task) count(words []string) error {
	switch {
	case len(words) < t.min:
		return hint(fmt.Errorf("%s wants %s", t.name, t.args), "confd %s -help", t.name)
	case t.max >= 0 && len(words) > t.max:
		return hint(fmt.Errorf("%s takes no argument %q", t.name, words[t.max]), "confd %s -help", t.name)
	}
	return nil
}

func (t *task) flagNames() []string {
	var names []string
	for _, o := range t.flags {
		names = append(names, o.name)
	}
	return names
}

// usage returns the command line of the task.
func (t *task) usage() string {
	return strings.TrimSpace("confd " + t.name + " [flags] " + t.args)
}

// text returns what "confd TASK -help" prints.
func (t *task) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "confd %s: %s\n\nUsage: %s\n\n%s\n", t.name, t.help, t.usage(), strings.Join(wrap(t.detail, helpWidth), "\n"))
	if len(t.flags) > 0 {
		b.WriteString("\nFlags\n")
		for _, o := range t.flags {
			writeRow(&b, strings.TrimSpace("-"+o.name+" "+o.arg), o.help)
		}
	}
	fmt.Fprintf(&b, "\nThe other flags are those of confd; \"confd -help\" lists them.\n\n%s\n\nExamples\n",
		strings.Join(wrap("Exit codes: "+t.codes+".", helpWidth), "\n"))
	for _, e := range t.examples {
		fmt.Fprintf(&b, "  %s:\n    %s\n", e.what, e.line)
	}
	return b.String()
}

// taskHelp prints the help of the task that the words name, and tells whether one is.
func taskHelp(sys system, words []string) bool {
	for _, t := range tasks() {
		if len(words) == 1 && words[0] == t.name {
			fmt.Fprint(sys.stdout, t.text())
			return true
		}
	}
	return false
}

// tasksDoc returns the part of docs/command-line.md about tasks.
func tasksDoc() string {
	var b strings.Builder
	b.WriteString("\n## Commands for templates\n\nThey take the flags above, before or behind their arguments, and those that are listed with them. How they\nare used is told in [CI](ci.md).\n")
	for _, t := range tasks() {
		fmt.Fprintf(&b, "\n### confd %s\n\n`%s`\n\n%s.\n%s\n", t.name, t.usage(), strings.ToUpper(t.help[:1])+t.help[1:], t.detail)
		if len(t.flags) > 0 {
			b.WriteString("\n| flag | meaning |\n|---|---|\n")
			for _, o := range t.flags {
				fmt.Fprintf(&b, "| %s | %s |\n", code(strings.TrimSpace("-"+o.name+" "+o.arg)), o.help)
			}
		}
		fmt.Fprintf(&b, "\nExit codes: %s.\n\n```\n", t.codes)
		for _, e := range t.examples {
			fmt.Fprintf(&b, "# %s\n%s\n", e.what, e.line)
		}
		b.WriteString("```\n")
	}
	return b.String()
}
