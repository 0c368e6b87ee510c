// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Command confd keeps configuration files equal to templates rendered from a key store,
// which it can serve itself.
//
// options.go is the table of all options; flags.go and config.go bring them together,
// help.go prints them. backend.go is the only place that knows the names of backends.
// once.go is one pass, daemon.go the process that stays, with status.go to look at it and
// sdnotify.go to tell systemd; garbage.go tunes the garbage collector, and
// processors.go how much may wait for the disk. store.go is the
// embedded store with its ports; config_cluster.go, cluster.go and discovery.go find the
// nodes that it belongs to. tasks.go is the table of commands for templates and CI, ctl.go
// that of commands with which confd is a client of a store.
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
// A node that was told of others never starts alone, which would look like success. -peers
// only joins, as with etcd 0.4: nodes that all name each other with it wait for ever, and
// say so. What makes a cluster is no list at all, a list that says it does
// (-initial-cluster), or what the nodes find in one place (-discovery). A node that waits is
// not given up after some attempts, as etcd 0.4 did: the service manager would start it again.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"confd/template"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	ends := make(chan os.Signal, 2)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM)
	garbage := loosen(os.Getenv)
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
		garbage: garbage,

		processors: spareAsNeeded(os.Getenv),
	}))
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitDiffers = 2 // of a run that was asked for a diff, whose wrong options are a failure
)

// A system is what confd takes from its surroundings.
type system struct {
	machine
	environ        func() []string // for the env backend
	lookupSRV      func(ctx context.Context, name string) ([]*net.SRV, error)
	stdin          io.Reader // nil is empty
	stdout, stderr io.Writer
	hangups        <-chan os.Signal // SIGHUP: read the resources again
	garbage        *collector       // nil = as Go does it
	processors     *processors      // nil = as Go does it
}

// A program is one run of confd: what was asked for, and where it runs.
type program struct {
	system
	*settings
	log     *slog.Logger
	secrets *template.Secrets // what is masked in all that is printed
	differ  *differ           // prints what would change; nil = nobody asked
	began   time.Time         // for the durations of reports
}

// run does what args ask for and returns the exit code. It ends early, and in order,
// when ctx does.
func run(ctx context.Context, args []string, sys system) int {
	if code, isTask := runTask(ctx, args, sys); isTask {
		return code
	}
	if code, isCommand := runCommand(ctx, args, sys); isCommand {
		return code
	}
	s, err := loadSettings(args, sys.machine)
	if err != nil {
		report(sys.stderr, err)
		if slices.ContainsFunc(args, asksForDiff) {
			return exitFailure // the other code means that there are changes
		}
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
	p := makeProgram(sys, s)
	if flags := useless(s); flags != nil {
		p.log.Warn("flags without meaning for this backend", "backend", s.Backend, "flags", flags)
	}
	if names := idle(s); names != nil {
		p.log.Warn("options that are taken for etcd's sake, and have no effect", "options", names)
	}
	if s.Onetime {
		err = p.once(ctx, "onetime")
	} else {
		err = p.daemon(ctx)
	}
	return p.finish(err)
}

// asksForDiff tells whether an argument is -diff, in one of its spellings.
func asksForDiff(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return name == "diff" && strings.HasPrefix(arg, "-")
}

// makeProgram returns a run of confd. From here on, secrets are masked.
func makeProgram(sys system, s *settings) *program {
	p := &program{system: sys, settings: s, secrets: &template.Secrets{}, began: time.Now()}
	p.stderr = &maskWriter{sys.stderr, p.secrets}
	p.log = newLogger(p.stderr, s.LogFormat, s.LogLevel)
	if s.Diff {
		p.differ = p.newDiffer()
	}
	return p
}

// finish reports the error and returns the exit code.
func (p *program) finish(err error) int {
	changed := 0
	if p.differ != nil {
		var failed error
		changed, failed = p.differ.count()
		err = errors.Join(err, failed)
	}
	switch {
	case err != nil:
		report(p.stderr, err)
		return exitFailure
	case changed > 0 && p.Onetime:
		return exitDiffers
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
