// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import "testing"

// BenchmarkCommand measures a command from before its start until its end is known: one that
// the shell carries out itself, one that is another program, and a program without a shell.
func BenchmarkCommand(b *testing.B) {
	for _, c := range []struct {
		name string
		command
	}{
		{"shell alone", command{line: ":"}},
		{"shell and program", command{line: "/bin/true"}},
		{"program", command{args: []string{"/bin/true"}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := runCommand(b.Context(), discard, c.command); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
