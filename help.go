// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

const (
	helpWidth  = 80 // of a line of the help
	helpColumn = 24 // where the texts of the flags begin
)

const helpHead = `confd keeps configuration files equal to templates rendered from a key store,
checks each new file before it replaces the old one, and reloads the service
that reads it. The store comes bundled: without -backend, confd keeps the keys
itself and serves them over the etcd v2 HTTP API.

Usage: confd [flags]
       confd check|diff|render|test [flags] [arguments]
       confd COMMAND [flags] [arguments]

The first form keeps files; its flags follow. The second looks at resources and
templates and ends, as in CI; "confd check -help" and so on tell more. The third
is a client of the store, in place of etcdctl: confd get KEY, confd set KEY
VALUE and so on; "confd help" lists these commands.
`

const helpTail = `
Flags take one dash or two. A flag beats the environment, which beats
confd.toml, which beats the default. In the environment -log-level is
CONFD_LOG_LEVEL, in confd.toml log-level, and so on; docs/command-line.md lists
all names. The options of the store that etcd has too are also read from
ETCD_..., which CONFD_... beats, and from etcd 0.4's own file, -config.

Signals: SIGTERM and SIGINT end confd after a running reload, a second one at
once; SIGHUP reads the template resources again, as every edit of them does,
and tries again what was rolled back.

Exit codes: 0 all went well, 1 something failed, 2 wrong options. With -onetime
-noop -diff: 0 nothing would change, 1 something failed or wrong options, 2
something would change.
`

// An example is a command line of the help.
type example struct{ what, line string }

var examples = []example{
	{"Serve the embedded store and follow it", "confd -confdir /etc/confd"},
	{"The second node of a cluster", "confd -addr 10.0.0.2:4001 -peer-addr 10.0.0.2:7001 -peers 10.0.0.1:7001"},
	{"Change a key of it", "curl -X PUT http://127.0.0.1:4001/v2/keys/services/web/web1 -d value=10.0.0.1:8080"},
	{"Render once from files, as in CI", "confd -onetime -confdir . -file values.yaml"},
	{"Render once from the environment, as in a container's entry point", "confd -onetime -backend env"},
	{"Follow an etcd cluster", "confd -watch -node http://10.0.0.1:2379,http://10.0.0.2:2379"},
	{"Ask a daemon how its files are", "confd status -status-addr 127.0.0.1:4080"},
	{"See what would change", "confd diff -node http://127.0.0.1:4001"},
	{"Look for mistakes", "confd check -confdir ."},
}

// helpText returns what -help prints.
func helpText() string {
	var b strings.Builder
	b.WriteString(helpHead)
	for _, sec := range sections {
		fmt.Fprintf(&b, "\n%s\n", sec.title)
		for _, o := range sec.rows() {
			flag := "  -" + o.name
			if !o.isSwitch() {
				flag += " " + o.arg
			}
			lines := wrap(o.shownHelp()+o.defaultNote(), helpWidth-helpColumn)
			if len(flag) > helpColumn-2 {
				fmt.Fprintln(&b, flag)
				flag = ""
			}
			for _, l := range lines {
				fmt.Fprintf(&b, "%-*s%s\n", helpColumn, flag, l)
				flag = ""
			}
		}
	}
	b.WriteString(helpTail)
	b.WriteString("\nExamples\n")
	for _, e := range examples {
		fmt.Fprintf(&b, "  %s:\n    %s\n", e.what, e.line)
	}
	return b.String()
}

// rows returns what the section shows: its options and, for etcd's, further names of
// options in other sections.
func (sec section) rows() []option {
	rows := slices.Clone(sec.options)
	if sec.title != titleEtcd {
		return rows
	}
	for o := range options() {
		for _, name := range o.aliases {
			if o.etcd != noEtcd {
				rows = append(rows, option{name: name, arg: o.arg, alias: true, noFile: true, etcd: o.etcd, help: "the same as -" + o.name})
			}
		}
	}
	return rows
}

// shownEnv returns the names in the environment for the option's row: those of its
// aliases have rows of their own.
func (o *option) shownEnv() []string {
	if o.alias {
		return []string{envName("ETCD_", o.name)}
	}
	alone := *o
	alone.aliases = nil
	return alone.envNames()
}

// shownHelp returns the text for the option's row.
func (o *option) shownHelp() string {
	if o.idle {
		return "no effect: " + o.help
	}
	return o.help
}

// defaultNote returns the default in parentheses, "" if there is nothing to say.
func (o *option) defaultNote() string {
	if d := o.shownDefault(); d != "" {
		return " (default " + d + ")"
	}
	return ""
}

// shownDefault returns the default as the reader is told it, "" for none.
func (o *option) shownDefault() string {
	if o.defDoc != "" {
		return o.defDoc
	}
	return o.def
}

// wrap breaks a text into lines of at most width letters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

const docHead = `<!-- Made from the table of options by "go test -run TestDocs . -update". Do not edit. -->

# Command line

` + "```\nconfd [flags]\n```" + `

` + "`confd COMMAND`" + ` is a client of the store: [confd as a client](ctl.md). ` + "`confd check`, `diff`, `render` and `test`" + `
are [below the flags](#commands-for-templates).

Every option can be given in three places. A flag beats the environment, the
environment beats confd.toml, and confd.toml beats the default. For the embedded store
there are also the names and the file of etcd: from the strongest to the weakest, flag,
` + "`CONFD_`" + ` variable, ` + "`ETCD_`" + ` variable, confd.toml, the file of ` + "`-config`" + `, default.

- **Flags** take one dash or two, and their value follows behind ` + "`=`" + ` or as the next
  argument. A switch takes a value only behind ` + "`=`" + `: ` + "`-watch=false`" + `.
- **The environment.** An empty variable counts as not set. Lists are separated by
  commas. ` + "`ETCD_`" + ` variables count only where confd serves the embedded store.
- **confd.toml**, read from ` + "`-config-file`" + `. An unknown key is an error. Every key may be
  written with dashes or with underscores; the tables show the spelling of confd 0.16.
  Lists are arrays: ` + "`nodes = [\"http://10.0.0.1:4001\"]`" + `.
- **The file of etcd 0.4**, read from ` + "`-config`" + ` if that is given; /etc/etcd/etcd.conf is not
  looked for. The keys are those of etcd: ` + "`-data-dir`" + ` is ` + "`data_dir`" + `, ` + "`-peer-bind-addr`" + ` is ` + "`bind_addr`" + `
  in the table ` + "`[peer]`" + `, ` + "`-cluster-active-size`" + ` is ` + "`active_size`" + ` in ` + "`[cluster]`" + `. An unknown
  key is an error.
`

const docTail = `
## Which backend

Without ` + "`-backend`" + `, confd takes ` + "`etcd`" + ` if ` + "`-node`, `-srv-domain` or `-srv-record`" + ` is given, as confd
0.16 did, ` + "`file`" + ` if ` + "`-file`" + ` is, and else the embedded store, ` + "`raftkv`" + `. If the embedded store of a
data directory is already being served by another confd, follow that one with
` + "`-backend etcd -node http://127.0.0.1:4001`" + `.

## In place of etcd

A command line, environment or configuration file of etcd 0.4, or the usual ones of 2.x,
starts the embedded store: give confd to whatever started etcd. If it was given nothing but
options of etcd, and /etc/confd does not exist, confd serves the store and renders nothing,
as with ` + "`-store-only`" + `. Where etcd guessed the data directory from the name (NAME.etcd), confd
takes its own default. The data of an etcd is not read.

` + "`-addr`" + ` is the address that others are told, as it was with etcd. Unless it is a loopback
address, the store is served on all interfaces; ` + "`-bind-addr`" + ` narrows that, and takes a
list, and a URL with ` + "`http://`" + ` or ` + "`https://`" + ` to serve one address without TLS and another with.

` + "`-peers`" + `, ` + "`-discovery`" + ` and ` + "`-initial-cluster`" + ` count for the first start; from then on the data directory
knows the cluster. A node that was told of others waits for them, for as long as it takes, rather
than start alone. [A cluster](cluster.md) has how they are used.

confd 0.16's flags for other backends and for encrypted values (%s) are refused with an error: these
backends, and encrypted values, are not in this version.

## Signals

| signal | effect |
|---|---|
| SIGTERM, SIGINT | end after a running reload; a second one ends confd at once, with exit code 1 |
| SIGHUP | read the template resources and templates again, one by one: a broken one is reported and goes on as it was; try again what was rolled back |

## Exit codes

| code | meaning |
|---|---|
| 0 | all went well |
| 1 | something failed; with ` + "`-onetime`" + `, each resource that did is a line on standard error |
| 2 | wrong options; with ` + "`-onetime -noop -diff`" + `, where wrong options are 1: something would change |

## Examples

`

// docText returns the text of docs/command-line.md.
func docText() string {
	var b strings.Builder
	b.WriteString(docHead)
	for _, sec := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| flag | environment | confd.toml | default | meaning |\n|---|---|---|---|---|\n", sec.title)
		for _, o := range sec.rows() {
			flag := "-" + o.name
			if !o.isSwitch() {
				flag += " " + o.arg
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", code(flag), code(o.shownEnv()...), code(first(o.fileKeys())...), o.docDefault(), o.shownHelp())
		}
	}
	b.WriteString(tasksDoc())
	var flags []string
	for _, name := range sortedKeys(foreign) {
		flags = append(flags, code("-"+name))
	}
	fmt.Fprintf(&b, docTail, strings.Join(flags, ", "))
	b.WriteString("```\n")
	for i, e := range examples {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# %s\n%s\n", e.what, e.line)
	}
	b.WriteString("```\n")
	return b.String()
}

// docDefault returns the default for a cell of the table.
func (o *option) docDefault() string {
	if o.defDoc != "" {
		return o.defDoc
	}
	if o.def != "" {
		return code(o.def)
	}
	return ""
}

// code returns the words as Markdown code, separated by commas.
func code(words ...string) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, "`"+w+"`")
	}
	return strings.Join(quoted, ", ")
}

// first returns the first item only.
func first(items []string) []string { return items[:min(1, len(items))] }
