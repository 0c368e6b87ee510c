// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"confd/template"
)

// given holds the values of options as they were written in one place, in order
// :: name of the option → values.
type given map[string][]string

// A hinted error carries a line that tells the user what to do about it.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// hint adds a line of advice to an error.
func hint(err error, format string, args ...any) error {
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// parseFlags reads the command line. Options begin with one dash or two, and their
// value follows behind "=" or as the next argument; a switch takes a value only behind
// "=".
func parseFlags(args []string) (given, error) {
	got := given{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" && len(args) == 0 {
			break
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if !strings.HasPrefix(arg, "-") || name == "" || name[0] == '-' {
			return nil, strayArgument(arg)
		}
		o := optionNamed(name)
		if o == nil && foreign[name] != "" {
			return nil, foreignOption("-"+name, name)
		}
		if o == nil {
			return nil, hint(fmt.Errorf("unknown flag -%s", name), "%s", didYouMean(name, flagNames(), "-", "confd -help lists all flags"))
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
		got[o.name] = append(got[o.name], value)
	}
	return got, nil
}

// strayArgument is the error for an argument that is neither a flag nor its value.
func strayArgument(arg string) error {
	err := fmt.Errorf("unexpected argument %q", arg)
	if _, isBool := strconv.ParseBool(arg); isBool == nil {
		return hint(err, "a switch takes its value behind \"=\", as in -watch=%s", arg)
	}
	if slices.Contains(flagNames(), arg) {
		return hint(err, "did you mean -%s?", arg)
	}
	if slices.Contains(backendNames, arg) {
		return hint(err, "did you mean -backend %s?", arg)
	}
	return hint(err, "confd -help lists the flags, confd help the commands")
}

// foreignOption is the error for an option of a backend that is not here.
func foreignOption(as, name string) error {
	return hint(fmt.Errorf("%s is for %s, which this version does not have", as, foreign[name]),
		"the backends are %s", strings.Join(backendNames, ", "))
}

// readEnvironment picks the options out of an environment, and returns the name that
// each was found by. A variable that is set to nothing counts as not set.
func readEnvironment(getenv func(string) string) (given, map[string]string) {
	got, spelt := given{}, map[string]string{}
	for o := range options() {
		for _, name := range o.envNames() {
			if v := getenv(name); v != "" {
				got[o.name], spelt[o.name] = []string{v}, name
				break
			}
		}
	}
	return got, spelt
}

// withoutEtcd returns what was found in an environment by names that are not etcd's.
func withoutEtcd(environment given, names map[string]string) given {
	own := maps.Clone(environment)
	maps.DeleteFunc(own, func(option string, _ []string) bool { return strings.HasPrefix(names[option], "ETCD_") })
	return own
}

// set gives the option's field the values that were written in one place. as is how the
// reader finds that place, for the error.
func (o *option) set(s *settings, from origin, as string, values []string) error {
	last := values[len(values)-1]
	s.given[o.name], s.spelt[o.name] = from, as
	if last == "" && o.def != "" {
		last = o.def // "-log-level=" is the default, as in confd 0.16
	}
	var err error
	switch field := o.at(s).(type) {
	case *bool:
		*field, err = strconv.ParseBool(last)
		if err != nil {
			return fmt.Errorf("%s: want true or false, not %q", as, last)
		}
	case *int:
		*field, err = strconv.Atoi(last)
		if err != nil {
			return fmt.Errorf("%s: want a whole number, not %q", as, last)
		}
	case *float64:
		*field, err = strconv.ParseFloat(last, 64)
		if err != nil {
			return fmt.Errorf("%s: want a number, not %q", as, last)
		}
	case *string:
		*field = last
	case *[]string:
		*field = splitList(values, o.commas || from == fromEnvironment)
	}
	return nil
}

// splitList returns the items that are not empty, split at commas if asked to.
func splitList(values []string, commas bool) []string {
	var items []string
	for _, v := range values {
		parts := []string{v}
		if commas {
			parts = strings.Split(v, ",")
		}
		for _, p := range parts {
			if p = strings.TrimSpace(p); p != "" {
				items = append(items, p)
			}
		}
	}
	return items
}

// flagNames returns the names of all flags.
func flagNames() []string {
	var names []string
	for o := range options() {
		names = append(names, o.flags()...)
	}
	return names
}

// sortedKeys returns the keys of a table in order.
func sortedKeys(table map[string]string) []string { return slices.Sorted(maps.Keys(table)) }

// didYouMean proposes the candidate that is nearest to a name, with mark before it, or
// says otherwise if none is near.
func didYouMean(name string, candidates []string, mark, otherwise string) string {
	best := template.Nearest(name, candidates, len(name)/2)
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s%s?", mark, best)
}

// flatten returns the single errors of a joined error, in order.
func flatten(err error) []error {
	if wrapper, ok := err.(interface{ Unwrap() error }); ok {
		if _, isHint := err.(*hinted); !isHint && wrapper.Unwrap() != nil && wrapper.Unwrap().Error() == err.Error() {
			return flatten(wrapper.Unwrap()) // it says nothing that the inner one does not
		}
		return []error{err}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	var text []string
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
		text = append(text, e.Error())
	}
	if err.Error() != strings.Join(text, "\n") {
		return []error{err} // it says more than its parts do
	}
	return all
}
