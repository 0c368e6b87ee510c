// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"confd/template"
)

// A ctlFlag is a flag of one command, or of all.
type ctlFlag struct {
	name  string   // the long one, without dashes
	also  []string // other names
	arg   string   // what stands for the value in the help; "" = a switch
	kind  flagKind
	def   string
	env   string // its name in the environment; "" = none
	help  string
	quiet bool // known for the sake of old scripts, not shown in the help
	guard bool // it limits a change, so that an empty value or 0 must not count as none
}

// A flagKind is what the value of a flag must be.
type flagKind int

const (
	isText flagKind = iota
	isNumber
	isDuration
	isForm
)

// forms are the values of --output.
var forms = []string{"simple", "extended", "json"}

// globalFlags are those that every command takes, before its name or behind it.
var globalFlags = []ctlFlag{
	{name: "endpoints", arg: "URLS", env: "ETCDCTL_ENDPOINTS", def: "http://127.0.0.1:4001,http://127.0.0.1:2379",
		help: "servers of the store, with commas between; the first that can be reached is asked"},
	{name: "endpoint", arg: "URLS", env: "ETCDCTL_ENDPOINT", help: "the same", quiet: true},
	{name: "peers", also: []string{"C"}, arg: "URLS", env: "ETCDCTL_PEERS", help: "the same as --endpoints"},
	{name: "discovery-srv", also: []string{"D"}, arg: "DOMAIN", env: "ETCDCTL_DISCOVERY_SRV",
		help: "find the servers by the SRV records _etcd-client-ssl._tcp and _etcd-client._tcp of the domain"},
	{name: "insecure-discovery", env: "ETCDCTL_INSECURE_DISCOVERY", help: "use servers found by SRV record without TLS, too"},
	{name: "output", also: []string{"o"}, arg: "FORM", kind: isForm, def: "simple", help: "form of the output: simple, extended or json"},
	{name: "timeout", arg: "DURATION", kind: isDuration, def: "2s", help: "time for one server to answer, as in 500ms or 1m; 10s if the command writes, which the store may refuse after 7s only"},
	{name: "total-timeout", arg: "DURATION", kind: isDuration, def: "5s",
		help: "time for the command, unless it watches or copies; 10s if it writes; 0 is no limit"},
	{name: "username", also: []string{"u"}, arg: "USER[:PASSWORD]", env: "ETCDCTL_USERNAME",
		help: "user to log in as; without a password it is asked for, and read from standard input if that is no terminal"},
	{name: "cert-file", arg: "FILE", env: "ETCDCTL_CERT_FILE", help: "certificate to show to the server"},
	{name: "key-file", arg: "FILE", env: "ETCDCTL_KEY_FILE", help: "key of --cert-file"},
	{name: "ca-file", arg: "FILE", env: "ETCDCTL_CA_FILE", help: "certificates of the authorities that may vouch for the server"},
	{name: "debug", help: "print each request as a curl command, values included, passwords not"},
	{name: "no-sync", help: "does nothing: only the servers that were named are asked", quiet: true},
	{name: "help", also: []string{"h"}, help: "print what there is to know of the command and exit"},
}

// A ctlLine is a command line, taken apart as far as it can be without knowing which
// command it is.
type ctlLine struct {
	globals []string // the flags before the command's name
	word    string   // the first word of the name
	rest    []string
}

// splitCommand looks for the name of a command: the first argument that is not one of
// the flags of all commands or its value. Without a name, or with another flag before
// it, the line is the daemon's.
func splitCommand(args []string) (ctlLine, bool) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			return ctlLine{args[:i], arg, args[i+1:]}, arg == "help" || slices.Contains(firstWords(), arg)
		}
		f, _, hasValue, ok := lookFlag(arg, globalFlags)
		if !ok || f.name == "help" {
			return ctlLine{}, false
		}
		if !hasValue && f.arg != "" {
			i++
		}
	}
	return ctlLine{}, false
}

// firstWords returns the words that a command line may begin with.
func firstWords() []string {
	var words []string
	for _, c := range commands() {
		word, _, _ := strings.Cut(c.name, " ")
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

// nearestCommand returns the first word that a misspelt one was probably meant to be,
// "" if none is near.
func nearestCommand(word string) string {
	return template.Nearest(word, slices.Concat(firstWords(), taskNames(), []string{"help"}), min(2, len(word)-1))
}

// errGroupHelp asks for the help of a group such as "member".
var errGroupHelp = errors.New("the commands of a group are asked for")

// findCommand returns the command and what follows its name.
func findCommand(line ctlLine) (command, []string, error) {
	var second []string
	for _, c := range commands() {
		word, sub, _ := strings.Cut(c.name, " ")
		switch {
		case word != line.word:
		case sub == "":
			return c, line.rest, nil
		case len(line.rest) > 0 && line.rest[0] == sub:
			return c, line.rest[1:], nil
		default:
			second = append(second, sub)
		}
	}
	if len(line.rest) == 0 || slices.Contains([]string{"-h", "-help", "--help", "help"}, line.rest[0]) {
		return command{}, nil, errGroupHelp
	}
	err := hint(fmt.Errorf("%s has no command %q", line.word, line.rest[0]),
		"%s", didYouMean(line.rest[0], second, line.word+" ", "confd help "+line.word+" lists them"))
	return command{}, nil, &ctlError{ctlNoCommand, err}
}

// lookFlag finds the flag that an argument such as "--ttl=5" names.
func lookFlag(arg string, flags []ctlFlag) (f ctlFlag, value string, hasValue, ok bool) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
	for _, f := range flags {
		if f.name == name || slices.Contains(f.also, name) {
			return f, value, hasValue, true
		}
	}
	return ctlFlag{}, "", false, false
}

// parse takes the flags out of the arguments, wherever they stand, and counts what
// remains.
func (c *call) parse(args []string) error {
	c.flags = given{}
	known := slices.Concat(globalFlags, c.cmd.flags)
	for len(args) > 0 {
		arg := args[0]
		if c.cmd.program && len(c.args) > 1 {
			c.args = append(c.args, args...)
			break
		}
		args = args[1:]
		if arg == "--" {
			c.args = append(c.args, args...)
			break
		}
		f, value, hasValue, ok := lookFlag(arg, known)
		if !ok && c.cmd.daemon && isOption(arg) {
			o := optionOf(arg)
			c.options = append(c.options, arg)
			if !hasValue && !o.isSwitch() && len(args) > 0 {
				c.options, args = append(c.options, args[0]), args[1:]
			}
			continue
		}
		switch {
		case !strings.HasPrefix(arg, "-") || arg == "-" || !ok && c.cmd.dashValue && len(c.args) > 0:
			c.args = append(c.args, arg)
			continue
		case !ok:
			name := strings.TrimLeft(strings.SplitN(arg, "=", 2)[0], "-")
			return &ctlError{ctlFailure, hint(fmt.Errorf("%s knows no flag --%s", c.cmd.name, name),
				"%s", didYouMean(name, longNames(known), "--", "an argument that begins with a dash goes behind \"--\""))}
		case !hasValue && f.arg == "":
			value = "true"
		case !hasValue && len(args) == 0:
			return failure("flag --%s needs a value: --%s %s", f.name, f.name, f.arg)
		case !hasValue:
			value, args = args[0], args[1:]
		}
		if err := f.check(value); err != nil {
			return err
		}
		c.flags[f.name] = append(c.flags[f.name], value)
	}
	c.form = c.text("output")
	return c.count()
}

// isOption reports whether an argument names an option of the daemon.
func isOption(arg string) bool { return strings.HasPrefix(arg, "-") && optionOf(arg) != nil }

// optionOf returns the option of the daemon that an argument such as "-confdir=x" names, nil
// if it names none.
func optionOf(arg string) *option {
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
	return optionNamed(name)
}

// count tells whether there are as many arguments as the command takes.
func (c *call) count() error {
	switch n := len(c.args); {
	case c.on("help"):
		return nil
	case n < c.cmd.min:
		return failure("%s", c.cmd.few)
	case c.cmd.max == 0 && n > 0:
		return failure("No arguments accepted")
	case c.cmd.max >= 0 && n > c.cmd.max:
		return failure("%s takes no argument %q", c.cmd.name, c.args[c.cmd.max])
	}
	return nil
}

// check tells whether the flag can have the value.
func (f ctlFlag) check(value string) error {
	switch {
	case f.guard && value == "":
		return hint(failure("--%s: the value is empty", f.name),
			"the API cannot compare with an empty value; leave the flag out to change the key whatever it has")
	case f.arg == "":
		if _, err := strconv.ParseBool(value); err != nil {
			return failure("--%s: want true or false, not %q", f.name, value)
		}
	case f.kind == isNumber:
		n, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil:
			return failure("--%s: want a whole number, 0 or more, not %q", f.name, value)
		case f.guard && n == 0:
			return hint(failure("--%s: no key has index 0", f.name), "leave the flag out to change the key whenever it was last changed")
		}
	case f.kind == isDuration:
		if d, err := time.ParseDuration(value); err != nil || d < 0 {
			return failure("--%s: want a duration such as 5s, not %q", f.name, value)
		}
	case f.kind == isForm:
		if !slices.Contains(forms, value) {
			return failure("--%s: want %s, not %q", f.name, strings.Join(forms, ", "), value)
		}
	}
	return nil
}

func longNames(flags []ctlFlag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, f.name)
	}
	return names
}

// text returns the value of a flag: the last on the command line, else the
// environment's, else the default.
func (c *call) text(name string) string {
	if values := c.flags[name]; values != nil {
		return values[len(values)-1]
	}
	for _, f := range slices.Concat(globalFlags, c.cmd.flags) {
		if f.name != name {
			continue
		}
		if f.env != "" && c.getenv(f.env) != "" {
			return c.getenv(f.env)
		}
		return f.def
	}
	return ""
}

// on tells whether a switch is on. A switch is on by any value in the environment.
func (c *call) on(name string) bool {
	text := c.text(name)
	if c.flags[name] == nil {
		return text != ""
	}
	on, _ := strconv.ParseBool(text) // checked when it was parsed
	return on
}

// number returns the value of a flag that is a number, 0 if it was not given.
func (c *call) number(name string) uint64 {
	n, _ := strconv.ParseUint(c.text(name), 10, 64) // checked when it was parsed
	return n
}

// writePatience is how long a command that writes waits, unless it is told otherwise. A
// store without a leader refuses a write after 5 s and two election timeouts, 7 s as a
// rule; who gives up before that does not know what has become of it.
const writePatience = 10 * time.Second

// duration returns the value of a flag that is a duration.
func (c *call) duration(name string) time.Duration {
	if c.cmd.writes && c.flags[name] == nil && (name == "timeout" || name == "total-timeout") {
		return writePatience
	}
	d, _ := time.ParseDuration(c.text(name)) // checked when it was parsed
	return d
}
