// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package env makes environment variables a source of values.
//
// The variable APP_DB_HOST is the key "/app/db/host": in lower case, with "/" for "_".
// A prefix is turned the other way round, so "/app", "/APP" and "/app_db" find the
// variables APP and APP_…, and APP_DB and APP_DB_….
//
// # Decisions
//
// The keys and values are those of confd 0.16, which means that a variable with lower
// case letters in its name is found only by a prefix that ends before them ("/" finds
// all), and that two underscores make an empty component ("/app//x"). It differs in
// that a prefix ends with a component: "/app" does not find APPLE. And where two
// variables make the same key, the one whose name sorts first wins, so APP before app.
//
// The environment of a process is given to it at its start, so it is read once and
// Wait never has news.
package env

import (
	"context"
	"slices"
	"strings"

	"confd/backends"
)

// A Backend holds the environment variables. It implements [backends.Backend] and may
// be used concurrently.
type Backend struct {
	all *keys
}

// New returns the variables of environ, which has the form of os.Environ and is called
// once.
func New(environ func() []string) *Backend {
	byName := make(map[string]string) // :: name → value, the last one wins
	for _, entry := range environ() {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			byName[name] = value
		}
	}
	vars := make([]variable, 0, len(byName))
	for name, value := range byName {
		vars = append(vars, variable{name, value})
	}
	slices.SortFunc(vars, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	return &Backend{all: newKeys(vars)}
}

// Snapshot returns the variables under the prefixes. It never fails, and its index is
// always 1.
func (b *Backend) Snapshot(_ context.Context, prefixes []string) (backends.Snapshot, error) {
	return backends.Snapshot{Keys: b.all.Under(prefixes), Index: 1}, nil
}

// Wait returns at once if index is not that of a snapshot, else it blocks until ctx
// ends.
func (b *Backend) Wait(ctx context.Context, _ []string, index uint64) error {
	if index != 1 {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

type variable struct{ name, value string }

// keys are some variables by their keys.
type keys struct {
	backends.Keys
	vars []variable // in the order of their names
}

func newKeys(vars []variable) *keys {
	m := backends.NewMap()
	for _, v := range slices.Backward(vars) { // so that the first one wins
		m.Set(key(v.name), v.value)
	}
	return &keys{Keys: m.Keys(), vars: vars}
}

// Under selects by the names of the variables, since the key no longer tells how a
// name was spelled. Environments are small.
func (k *keys) Under(prefixes []string) backends.Keys {
	names := make([]string, len(prefixes))
	for i, p := range prefixes {
		names[i] = name(p)
	}
	under := func(v variable) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			rest, ok := strings.CutPrefix(v.name, n)
			return ok && (n == "" || rest == "" || rest[0] == '_')
		})
	}
	var vars []variable
	for _, v := range k.vars {
		if under(v) {
			vars = append(vars, v)
		}
	}
	return newKeys(vars)
}

// name returns the variable that a key stands for.
func name(key string) string {
	key = strings.TrimPrefix(backends.Clean(key), "/")
	return strings.ToUpper(strings.ReplaceAll(key, "/", "_"))
}

// key returns the key of a variable.
func key(name string) string {
	return "/" + strings.ReplaceAll(strings.ToLower(name), "_", "/")
}
