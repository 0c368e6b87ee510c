// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Bench measures confd beside what it is compared with, on this machine, in one run: both
// programs stay up and are measured by turns. It prints what was reached of the goals that
// confd has set itself. The exit code is 0 even if goals are missed, 1 if a program has
// failed or an answer was wrong, 2 if the command line is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"confd/integration/bench/report"
)

// A section measures one subject and adds rows to its table, which has a title, and the
// names of confd and etcd unless the section changes them.
type section struct {
	name, about string
	run         func(ctx context.Context, b *bench, t *report.Table) error
}

// sections is all that is measured, in this order.
func sections() []section {
	return []section{
		{"put", "writes of 256 B to one node", runPut},
		{"get", "reads of keys of 256 B", runGet},
		{"quorum-get", "the same with quorum=true", runQuorumGet},
		{"list", "recursive reads of a directory of keys of 256 B", runList},
		{"memory", "memory for keys of 256 B", runMemory},
		{"large", "writes of large values", runLarge},
		{"change", "one template of one key, from the acknowledgement of a write on", runChange},
		{"scale", "1,000 templates over 100,000 keys", runScale},
		{"onetime", "one pass and its process", runOnetime},
		{"nested", "one pass over a template that lists 500 directories of 100 keys", runNested},
		{"cluster", "three nodes on one machine", runCluster},
		{"leader-loss", "kill -9 of the leader of three", runLeaderLoss},
		{"slow-disk", "every sync of the disk takes 5 ms longer", runSlowDisk},
		{"one-cpu", "servers that have one processor", runOneCPU},
		{"watches", "10,000 open watches of one node", runWatches},
		{"fan-out", "1,000 streams that are told of each write", runFanOut},
		{"size", "1,000,000 keys of 256 B", runSize},
	}
}

const usage = `Bench measures confd beside Debian's etcd 3.4 with --enable-v2, on this machine. Both
stay up and are measured by turns, so that a ratio holds though the machine is busy.

Usage: bench [flags]

%s
Examples
  Everything, half an hour and more:
    bench -markdown report.md
  Whether it works at all, at most 2 minutes:
    bench -quick
  Only two sections, with more rounds:
    bench -only put,get -rounds 9
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	case o.list:
		for _, s := range sections() {
			fmt.Fprintf(stdout, "%-12s %s\n", s.name, s.about)
		}
		return 0
	}
	if err := measure(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	o := options{command: "bench " + strings.Join(args, " ")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.quick, "quick", false, "few small rounds, to see that everything works")
	only := flags.String("only", "", "the `sections` to run, separated by commas")
	flags.IntVar(&o.rounds, "rounds", 0, "rounds of each measurement (default 5, quick 2)")
	flags.DurationVar(&o.round, "round", 0, "length of a round (default 2s, quick 100ms)")
	flags.StringVar(&o.markdown, "markdown", "", "write the report to this `file` too, in Markdown")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "folder for the data of the servers, on the disk to measure")
	flags.StringVar(&o.etcd, "etcd", "/usr/bin/etcd", "the etcd to compare with")
	flags.BoolVar(&o.peers, "peers", false, "build the peers of the renderer into the user's cache first, some 10 minutes")
	flags.BoolVar(&o.list, "list", false, "list the sections")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			var text strings.Builder
			flags.SetOutput(&text)
			flags.PrintDefaults()
			fmt.Fprintf(stderr, usage, &text)
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.complete(*only)
}

// complete sets what was left to its default, and chooses the sections.
func (o *options) complete(only string) error {
	rounds, round := 5, 2*time.Second
	if o.quick {
		rounds, round = 2, 100*time.Millisecond
	}
	if o.rounds == 0 {
		o.rounds = rounds
	}
	if o.round == 0 {
		o.round = round
	}
	if o.rounds < 0 || o.round < 0 {
		return errors.New("rounds must be above 0, and so must their length")
	}
	o.sections = sections()
	if only == "" {
		return nil
	}
	o.sections = nil
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(sections(), func(s section) bool { return s.name == name })
		if i < 0 {
			return fmt.Errorf("no section %q; -list has all", name)
		}
		o.sections = append(o.sections, sections()[i])
	}
	return nil
}
