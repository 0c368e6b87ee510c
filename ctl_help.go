// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

const ctlHead = `confd reads and changes the keys of a store: its own, or that of etcd 2.x, 3.4
with --enable-v2 or 0.4. The commands are etcdctl's, with ETCDCTL_API=2.

Usage: confd COMMAND [flags] [arguments]
`

const ctlTail = `
Flags take one dash or two, and may stand before the command, before its
arguments or behind them. "confd help COMMAND" tells all of a command.

Exit codes: 0 done, 1 wrong arguments or a refusal that is not about a key, 2 no
server could be reached, 3 no such command, 4 the store refused (as for a key
that is not there), 5 the cluster is not healthy.
`

// printHelp prints the help of the command that the words name, or of all.
func printHelp(sys system, words []string) int {
	if len(words) == 0 {
		fmt.Fprint(sys.stdout, ctlHelp())
		return exitOK
	}
	if taskHelp(sys, words) {
		return exitOK
	}
	var found []string
	for _, c := range commands() {
		if strings.Join(words, " ") == c.name {
			found = append(found, commandHelp(&c))
		}
	}
	if len(found) == 0 && len(words) == 1 {
		if text := groupHelp(words[0]); text != "" {
			found = append(found, text)
		}
	}
	if len(found) == 0 {
		otherwise := "confd help lists all commands"
		if near := nearestCommand(words[0]); near != "" {
			otherwise = "did you mean confd help " + near + "?"
		}
		report(sys.stderr, hint(fmt.Errorf("no command %q", strings.Join(words, " ")), "%s", otherwise))
		return ctlNoCommand
	}
	fmt.Fprint(sys.stdout, found[0])
	return exitOK
}

// ctlHelp lists all commands and the flags that each of them takes.
func ctlHelp() string {
	var b strings.Builder
	b.WriteString(ctlHead)
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n%s\n", g.title)
		for _, c := range g.commands {
			writeRow(&b, c.name, c.help)
		}
	}
	fmt.Fprint(&b, "\nTemplates, with the flags of \"confd -help\" in place of those below\n")
	for _, t := range tasks() {
		writeRow(&b, t.name, t.help)
	}
	fmt.Fprint(&b, "\nFlags of all commands\n")
	writeFlags(&b, globalFlags)
	b.WriteString(ctlTail)
	return b.String()
}

// groupHelp lists the commands whose first word this is, "" if there are none.
func groupHelp(word string) string {
	var b strings.Builder
	for _, c := range commands() {
		if strings.HasPrefix(c.name, word+" ") {
			writeRow(&b, c.name, c.help)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("Usage: confd %s COMMAND [flags] [arguments]\n\n%s", word, b.String())
}

// commandHelp returns what "confd help COMMAND" prints.
func commandHelp(c *command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "confd %s: %s\n\nUsage: confd %s\n", c.name, c.help, c.usage())
	if c.detail != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(wrap(c.detail, helpWidth), "\n"))
	}
	if len(c.flags) > 0 {
		fmt.Fprint(&b, "\nFlags\n")
		writeFlags(&b, c.flags)
	}
	fmt.Fprint(&b, "\nThe flags of all commands are listed by \"confd help\".\n\nExamples\n")
	for _, e := range c.examples {
		fmt.Fprintf(&b, "  %s:\n    %s\n", e.what, e.line)
	}
	return b.String()
}

// usage returns the command with its arguments.
func (c *command) usage() string {
	usage := c.name
	if len(c.flags) > 0 {
		usage += " [flags]"
	}
	if c.args != "" {
		usage += " " + c.args
	}
	return usage
}

func writeFlags(b *strings.Builder, flags []ctlFlag) {
	for _, f := range flags {
		if !f.quiet {
			writeRow(b, f.shown(), f.help+f.notes())
		}
	}
}

// shown returns the flag as it is typed.
func (f ctlFlag) shown() string {
	text := dashed(f.name)
	for _, name := range f.also {
		text += ", " + dashed(name)
	}
	if f.arg != "" {
		text += " " + f.arg
	}
	return text
}

// notes returns the default and the name in the environment, in parentheses.
func (f ctlFlag) notes() string {
	notes := ""
	if f.def != "" {
		notes += " (default " + f.def + ")"
	}
	if f.env != "" {
		notes += " ($" + f.env + ")"
	}
	return notes
}

// dashed puts as many dashes before a name as etcdctl shows.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// writeRow writes a row of two columns.
func writeRow(b *strings.Builder, left, right string) {
	left = "  " + left
	if len(left) > helpColumn-2 {
		fmt.Fprintln(b, left)
		left = ""
	}
	for _, l := range wrap(right, helpWidth-helpColumn) {
		fmt.Fprintf(b, "%-*s%s\n", helpColumn, left, l)
		left = ""
	}
}

const ctlDocHead = `<!-- Made from the table of commands by "go test -run TestDocs . -update". Do not edit. -->

# confd as a client

Besides keeping files, confd reads and changes the keys of a store from the command line:
its own store, or that of etcd 2.x, 3.4 with ` + "`--enable-v2`" + ` or 0.4. The commands, their
output and exit codes are those of etcdctl with ` + "`ETCDCTL_API=2`" + `, so that
` + "`alias etcdctl=confd`" + ` serves old scripts. Start a store with nothing to render:

` + "```sh daemon\nmkdir -p empty/conf.d\nconfd -confdir empty\n```" + `

and in another terminal:

` + "```sh\nconfd set /greeting hello\nconfd get /greeting\nconfd get -o json /greeting\n```" + `

` + "```text\nhello\nhello\n" + `{"action":"get","node":{"key":"/greeting","value":"hello","nodes":null,"createdIndex":…,"modifiedIndex":…},"prevNode":null}` + "\n```" + `

## Which server

Without ` + "`--endpoints`" + ` confd asks ` + "`http://127.0.0.1:4001`" + `, its own default address, and if nobody
listens there ` + "`http://127.0.0.1:2379`" + `, etcd's. Of several servers the first that can be reached is
asked; a write that was sent and not answered is not sent again. Only servers that were
named are asked: unlike etcdctl, confd does not replace them by the addresses that the members
advertise. Addresses without a scheme mean ` + "`http`" + `, or ` + "`https`" + ` if a certificate option is given.

## Exit codes

| code | meaning |
|---|---|
| 0 | done; also a watch that was interrupted |
| 1 | wrong arguments, or a refusal that is not about a key |
| 2 | no server could be reached, or none answered in time |
| 3 | no such command |
| 4 | the store refused, as for a key that is not there |
| 5 | the cluster is not healthy |

A refusal about a key is one line on standard error, etcdctl's:
` + "`Error:  100: Key not found (/nope) [7]`" + `, with the code of the v2 API, the cause, and the index
of the store. All other errors begin with ` + "`confd: error:`" + `.

## Other than etcdctl

Flags may stand anywhere; behind ` + "`--`" + ` there are none. Too many arguments, a negative
` + "`--ttl`" + ` and an unknown ` + "`--output`" + ` are refused rather than passed over, and so is a comparison with an
empty value or index 0, which etcdctl drops: with a variable that is unset,
` + "`rm --with-value \"$old\" KEY`" + ` must not remove the key. ` + "`user add`" + ` refuses a
user who exists, ` + "`user passwd`" + ` one who does not. ` + "`--roles`" + ` takes commas. ` + "`exec-watch`" + ` runs
its program once per change, one at a time. ` + "`export`" + ` and ` + "`import`" + ` work over the API,
and ` + "`backup`" + ` makes a file of confd's own.
Passwords are never shown, not by ` + "`--debug`" + ` either; those on a command line are seen by other
users of the machine, so let confd ask.

## Flags of all commands

`

// ctlDocText returns the text of docs/ctl.md.
func ctlDocText() string {
	var b strings.Builder
	b.WriteString(ctlDocHead)
	writeFlagTable(&b, globalFlags)
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n## %s\n", g.title)
		for _, c := range g.commands {
			fmt.Fprintf(&b, "\n### %s\n\n`confd %s`\n\n%s.\n", c.name, c.usage(), strings.ToUpper(c.help[:1])+c.help[1:])
			if c.detail != "" {
				fmt.Fprintf(&b, "%s\n", c.detail)
			}
			if len(c.flags) > 0 {
				b.WriteString("\n")
				writeFlagTable(&b, c.flags)
			}
			fence := "sh"
			if c.notRun {
				fence = ""
			}
			fmt.Fprintf(&b, "\n```%s\n", fence)
			for _, e := range c.examples {
				fmt.Fprintf(&b, "# %s\n%s\n", e.what, e.line)
			}
			b.WriteString("```\n")
		}
	}
	return b.String()
}

func writeFlagTable(b *strings.Builder, flags []ctlFlag) {
	b.WriteString("| flag | meaning |\n|---|---|\n")
	for _, f := range flags {
		if !f.quiet {
			fmt.Fprintf(b, "| %s | %s%s |\n", code(f.shown()), f.help, f.notes())
		}
	}
}
