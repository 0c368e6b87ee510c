// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"confd/raftkv/client"
)

// The files ctl*.go are confd as the client of a store, in place of etcdctl: ctl.go has
// what a command is, ctl_parse.go and ctl_help.go read and print the table, ctl_conn.go
// connects, and the others hold the commands.
//
// Standard output and exit code are those of etcdctl 3.4 with ETCDCTL_API=2;
// integration/ctl_test.go holds the differences and their reasons. Standard error has
// etcdctl's line for the errors of keys, and confd's own for all else.

// The exit codes of commands, which are etcdctl's.
const (
	ctlFailure   = 1 // wrong arguments, or a refusal that is not about a key
	ctlNoServer  = 2
	ctlNoCommand = 3
	ctlRefused   = 4 // the store refused, as for a key that is not there
	ctlUnhealthy = 5
)

// A command is one row of the table that the command line, the help and docs/ctl.md
// are made from.
type command struct {
	name   string // one word or two
	args   string // as the help shows them
	min    int    // of arguments
	max    int    // of arguments; -1 = any number
	few    string // the error if there are less than min
	help   string
	detail string // further sentences for the help
	flags  []ctlFlag

	dashValue bool // the value may begin with "-"
	program   bool // the arguments behind the first are a program's, with its flags
	writes    bool // it waits longer for an answer: see writePatience
	endless   bool // --total-timeout does not hold
	offline   bool // no server is asked
	daemon    bool // it is about files and not a store, and takes the daemon's options

	refused  int // exit code of a server's refusal
	examples []example
	notRun   bool // the examples need more than a daemon of one's own
	run      func(context.Context, *call) error
}

// A group is a heading of the help, and the commands below it.
type group struct {
	title    string
	commands []command
}

// groups returns the table of all commands.
func groups() []group {
	return []group{
		{"Keys", slices.Concat(writeCommands(), readCommands(), removeCommands())},
		{"Changes", watchCommands()},
		{"Copies", copyCommands()},
		{"The whole store", backupCommands()},
		{"Cluster", slices.Concat(clusterCommands(), memberCommands())},
		{"Files", daemonCommands()},
		{"Users and roles", slices.Concat(userCommands(), roleCommands(), authCommands())},
	}
}

// commands returns the rows of the table.
func commands() []command {
	var all []command
	for _, g := range groups() {
		all = append(all, g.commands...)
	}
	return all
}

// A call is one run of a command.
type call struct {
	system
	cmd     command
	args    []string
	flags   given
	options []string // of the daemon, for a command that takes them
	form    string   // of the output: simple, extended or json
	conn    *client.Client
	cfg     client.Config // of conn
	limit   *time.Timer   // ends the command; nil without --total-timeout
	in      *bufio.Reader // standard input
	out     *bufio.Writer // standard output
}

// A ctlError is an error with an exit code of its own.
type ctlError struct {
	code int
	err  error // nil says nothing: what is to be said has been
}

func (e *ctlError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *ctlError) Unwrap() error { return e.err }

// failure returns an error with exit code 1.
func failure(format string, args ...any) error {
	return &ctlError{ctlFailure, fmt.Errorf(format, args...)}
}

// runCommand runs the command that args name, or reports that they misspell one. It
// tells whether they do either; else they are for the daemon.
func runCommand(ctx context.Context, args []string, sys system) (code int, isCommand bool) {
	line, ok := splitCommand(args)
	if line.word == "" {
		return 0, false
	}
	if !ok {
		near := nearestCommand(line.word)
		if near == "" || slices.Contains(flagNames(), line.word) || slices.Contains(backendNames, line.word) {
			return 0, false
		}
		report(sys.stderr, hint(fmt.Errorf("unexpected argument %q", line.word), "did you mean confd %s?", near))
		return exitUsage, true
	}
	if line.word == "help" {
		return printHelp(sys, line.rest), true
	}
	c := &call{system: sys, out: bufio.NewWriter(sys.stdout)}
	err := c.carryOut(ctx, line)
	return c.finish(err), true
}

// carryOut parses the rest of the line, connects, and runs the command.
func (c *call) carryOut(ctx context.Context, line ctlLine) error {
	cmd, rest, err := findCommand(line)
	if errors.Is(err, errGroupHelp) {
		fmt.Fprint(c.out, groupHelp(line.word))
		return nil
	}
	if err != nil {
		return err
	}
	c.cmd = cmd
	if err := c.parse(append(slices.Clone(line.globals), rest...)); err != nil {
		if _, ok := errors.AsType[*hinted](err); ok {
			return err
		}
		return hint(err, "confd help %s", cmd.name)
	}
	if c.on("help") {
		fmt.Fprint(c.out, commandHelp(&cmd))
		return nil
	}
	if c.stdin == nil {
		c.stdin = strings.NewReader("")
	}
	c.in = bufio.NewReader(c.stdin)
	if !cmd.offline && !cmd.daemon {
		if err := c.connect(ctx); err != nil {
			return err
		}
		defer func() { c.conn.Close() }()
	}
	return c.within(ctx)
}

// within runs the command, for as long as --total-timeout says. Time that a person
// takes to type does not count.
func (c *call) within(ctx context.Context) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if d := c.duration("total-timeout"); d > 0 && !c.cmd.endless {
		c.limit = time.AfterFunc(d, func() { cancel(fmt.Errorf("no answer within %v (--total-timeout)", d)) })
		defer c.limit.Stop()
	}
	err := c.cmd.run(within, c)
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		err = context.Cause(within)
	}
	return err
}

// finish reports the error and returns the exit code.
func (c *call) finish(err error) int {
	if flushErr := c.out.Flush(); flushErr != nil && err == nil {
		err = &ctlError{ctlFailure, fmt.Errorf("writing the output: %w", flushErr)}
	}
	if err == nil {
		return exitOK
	}
	var own *ctlError
	var refusal *client.Error
	switch {
	case errors.As(err, &own):
		if own.err != nil {
			report(c.stderr, bare(err))
		}
		return own.code
	case errors.Is(err, context.Canceled):
		report(c.stderr, errors.New("interrupted"))
		return ctlFailure
	case errors.As(err, &refusal) && refusal.Code != 0:
		// Scripts look for this line; it is etcdctl's, to the second blank.
		fmt.Fprintf(c.stderr, "Error:  %d: %s (%s) [%d]\n", refusal.Code, refusal.Message, refusal.Cause, refusal.Index)
		return c.cmd.refused
	case errors.As(err, &refusal):
		if refusal.Status < 500 {
			err = errors.New(refusal.Message)
		}
		report(c.stderr, err)
		return c.cmd.refused
	case errors.Is(err, client.ErrBadName):
		report(c.stderr, err)
		return ctlFailure
	case errors.Is(err, client.ErrOutcomeUnknown):
		report(c.stderr, err)
		return ctlNoServer
	}
	report(c.stderr, hint(err, "asked %s; another server is named by --endpoints", strings.Join(c.endpoints(), " and ")))
	return ctlNoServer
}

// bare takes the exit code off an error, so that its hint is seen.
func bare(err error) error {
	if own, ok := err.(*ctlError); ok {
		return own.err
	}
	return err
}

// endpoints returns the servers that are asked.
func (c *call) endpoints() []string {
	if c.conn == nil {
		return nil
	}
	return c.conn.Endpoints()
}

// say prints a line of the result.
func (c *call) say(format string, args ...any) {
	fmt.Fprintf(c.out, format+"\n", args...)
}

// pause stops the time of --total-timeout until the function that it returns is called,
// which gives the command all of it again.
func (c *call) pause() (resume func()) {
	if c.limit == nil {
		return func() {}
	}
	c.limit.Stop()
	return func() { c.limit.Reset(c.duration("total-timeout")) }
}

// argument returns an argument, or all of standard input if it was not given.
func (c *call) argument(i int) (string, error) {
	if i < len(c.args) {
		return c.args[i], nil
	}
	if f, ok := c.stdin.(*os.File); ok && isTerminal(f) {
		fmt.Fprintln(c.stderr, "confd: reading the value; end it with Ctrl-D")
	}
	defer c.pause()()
	var b strings.Builder
	if _, err := c.in.WriteTo(&b); err != nil {
		return "", failure("reading the value from standard input: %w", err)
	}
	if b.Len() == 0 {
		return "", failure("value required")
	}
	return b.String(), nil
}
