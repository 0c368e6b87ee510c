// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import "context"

func diffTask() task {
	return task{
		name: "diff", help: "print what would change",
		detail: "The resources are rendered, and compared with their destinations; nothing is written or run. What would change " +
			"is printed as a unified diff that patch understands, coloured on a terminal. Values that templates mark by the " +
			"function secret are masked. It is the same as -onetime -noop -diff, with less said on standard error.",
		codes: "0 nothing would change, 2 something would, 1 something failed, or wrong options",
		examples: []example{
			{"What would a start of confd change", "confd diff -node http://127.0.0.1:4001"},
			{"What does this change of a template come to", "confd diff -confdir . -file values.yaml"},
		},
		ready: func(args *taskArgs) {
			args.flags = append([]string{"-log-level=warn"}, args.flags...)
			args.flags = append(args.flags, "-onetime", "-noop", "-diff")
		},
		run: func(ctx context.Context, p *program, _ *taskArgs) int { return p.finish(p.once(ctx, "diff")) },
	}
}
