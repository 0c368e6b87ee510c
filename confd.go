// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Command confd keeps configuration files equal to templates rendered from a key store,
// which it can serve itself.
//
// options.go is the table of all options; flags.go and config.go bring them together,
// help.go prints them. backend.go is the only place that knows the names of backends.
// once.go is one pass, daemon.go the process that stays, with status.go to look at it and
// sdnotify.go to tell systemd; store.go the embedded store with its ports. ctl.go is the table of commands, with which confd is a client of a
// store.
//
// # Decisions
//
// The log goes to standard error; standard output has what was asked for: help,
// version, and the few lines with which a daemon says where it listens.
//
// Precedence is flag, environment, file, default. confd 0.16 let confd.toml win over
// flags, against its own documentation; a flag is what one types to make an exception.
//
// The embedded store takes etcd's options and ETCD_ variables, CONFD_ beating ETCD_, and
// confd.toml beating etcd's own file. They count for the store only: on a machine with
// an etcd of its own, a confd that follows that one must not take its data directory.
//
// Started as etcd was, by its options and where no confdir is, confd serves the store
// and renders nothing. A confdir that was named must be there.
//
// An option of etcd that would make this node part of a cluster is refused while nodes
// cannot join: starting alone would look like success.
//
// The flags are parsed here and not by package flag, whose errors cannot be told
// apart, and so cannot propose the flag that was meant.
//
// A template resource that is broken at start is reported, and the others are rendered:
// one broken file must not take down the configuration of everything else on the
// machine. A one-shot run exits with 1 for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	ends := make(chan os.Signal, 2)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM)
	go func() { // lives as long as the process
		<-ends
		cancel()
		<-ends
		os.Exit(exitFailure)
	}()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	os.Exit(run(ctx, os.Args[1:], system{
		machine: machine{
			getenv:   os.Getenv,
			hostname: os.Hostname,
			root:     os.Geteuid() == 0,
		},
		environ: os.Environ,
		lookupSRV: func(ctx context.Context, name string) ([]*net.SRV, error) {
			_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
			return records, err
		},
		stdin:   os.Stdin,
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		hangups: hangups,
	}))
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// A system is what confd takes from its surroundings.
type system struct {
	machine
	environ        func() []string // for the env backend
	lookupSRV      func(ctx context.Context, name string) ([]*net.SRV, error)
	stdin          io.Reader // nil is empty
	stdout, stderr io.Writer
	hangups        <-chan os.Signal // SIGHUP: read the resources again
}

// A program is one run of confd: what was asked for, and where it runs.
type program struct {
	system
	*settings
	log *slog.Logger
}

// run does what args ask for and returns the exit code. It ends early, and in order,
// when ctx does.
func run(ctx context.Context, args []string, sys system) int {
	if code, isCommand := runCommand(ctx, args, sys); isCommand {
		return code
	}
	s, err := loadSettings(args, sys.machine)
	if err != nil {
		report(sys.stderr, err)
		return exitUsage
	}
	switch {
	case s.Help:
		fmt.Fprint(sys.stdout, helpText())
		return exitOK
	case s.Version:
		fmt.Fprintln(sys.stdout, versionLine())
		return exitOK
	}
	p := &program{sys, s, newLogger(sys.stderr, s.LogFormat, s.LogLevel)}
	if flags := useless(s); flags != nil {
		p.log.Warn("flags without meaning for this backend", "backend", s.Backend, "flags", flags)
	}
	if names := idle(s); names != nil {
		p.log.Warn("options that are taken for etcd's sake, and have no effect", "options", names)
	}
	if s.Onetime {
		err = p.once(ctx)
	} else {
		err = p.daemon(ctx)
	}
	if err != nil {
		report(sys.stderr, err)
		return exitFailure
	}
	return exitOK
}

// report prints every single error on a line of its own, each hint on the next.
func report(w io.Writer, err error) {
	for _, e := range flatten(err) {
		fmt.Fprintf(w, "confd: error: %s\n", oneLine(e.Error()))
		if h, ok := errors.AsType[*hinted](e); ok {
			fmt.Fprintf(w, "confd: hint: %s\n", h.hint)
		}
	}
}
