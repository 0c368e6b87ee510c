// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"confd/raftkv/client"
)

// copyPatience is how long a server may take to begin with the listing of everything.
const copyPatience = time.Minute

func copyCommands() []command {
	return []command{
		{
			name: "export", args: "[KEY ...]", max: -1, endless: true, refused: ctlRefused,
			help:  "copy keys from the store to a file, as JSON",
			flags: []ctlFlag{{name: "file", also: []string{"f"}, arg: "FILE", help: "where to; it is replaced when all is there, and only its owner may read it; what is no file, as a pipe, is written to (default standard output)"}},
			detail: "Copies everything, or what is at and below the given keys. The copy of one key is one point in time, and is one line: " +
				"the API's JSON for a recursive read, as curl would get it. " +
				"The API lists no hidden keys, those with a name that begins with \"_\": give them as KEY to copy them. " +
				"It says U+FFFD for bytes that are not UTF-8, which are lost; a warning counts the values that have it. Indexes, users, roles and members are not copied: backup has them. " +
				"The whole copy passes through memory, up to 512 MiB.",
			examples: []example{
				{"Everything", "confd export --file keys.json"},
				{"Only the application, for reading", "confd export /app"},
			},
			run: runExport,
		},
		{
			name: "import", writes: true, args: "[FILE]", max: 1, endless: true, refused: ctlRefused,
			help:  "write the keys of a copy into the store",
			flags: []ctlFlag{{name: "keep", help: "leave keys alone that exist"}},
			detail: "FILE is what export wrote, or the answer of the API to GET /v2/keys/?recursive=true of any etcd with the v2 API, " +
				"or etcdctl's with -o json; without FILE it is standard input. It is read to its end before the first key is written. " +
				"Keys that exist get the value of the copy; others stay. A key lives to the time in the copy, for a hundred years at most, and is left out if that has passed. " +
				"If a write fails the command stops; it can be run again. Indexes are new. " +
				"Plain YAML or JSON files need no import: -backend file renders from them.",
			examples: []example{{"Put everything back", "confd import keys.json"}},
			run:      runImport,
		},
	}
}

func runExport(ctx context.Context, c *call) error {
	if err := c.patient(copyPatience); err != nil {
		return err
	}
	keys := c.args
	if len(keys) == 0 {
		keys = []string{"/"}
	}
	return c.output(ctx, c.text("file"), func(to io.Writer) error { return c.copyKeys(ctx, to, keys) })
}

func (c *call) copyKeys(ctx context.Context, to io.Writer, keys []string) error {
	for _, key := range keys {
		r, err := c.conn.Get(ctx, key, client.GetOptions{Recursive: true, Sorted: true, Quorum: true})
		if err != nil {
			return fmt.Errorf("reading %q: %w", key, err)
		}
		if err := json.NewEncoder(to).Encode(r.Event); err != nil {
			return failure("writing the copy: %w", err)
		}
		fmt.Fprintf(c.stderr, "confd: copied %d keys of %s at index %d\n", countFiles(r.Event.Node), key, r.Index)
		if n := countReplaced(r.Event.Node); n > 0 {
			fmt.Fprintf(c.stderr, "confd: warning: %d values of %s have U+FFFD, which the API says for bytes that are not UTF-8: those bytes are not in the copy\n", n, key)
		}
	}
	return nil
}

// countReplaced counts the values with U+FFFD, a few of which may be stored that way.
func countReplaced(n *client.Node) int {
	count := 0
	if strings.ContainsRune(valueOf(n), utf8.RuneError) {
		count++
	}
	for _, child := range n.Nodes {
		count += countReplaced(child)
	}
	return count
}

func countFiles(n *client.Node) int {
	if !n.Dir {
		return 1
	}
	count := 0
	for _, child := range n.Nodes {
		count += countFiles(child)
	}
	return count
}
