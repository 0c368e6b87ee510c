// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"confd/raftkv/client"
)

// copyPatience is how long a server may take to begin with the listing of everything.
const copyPatience = time.Minute

func copyCommands() []command {
	return []command{
		{
			name: "backup", args: "[KEY ...]", max: -1, endless: true, refused: ctlRefused,
			help:  "copy keys from the store to a file",
			flags: []ctlFlag{{name: "file", also: []string{"f"}, arg: "FILE", help: "where to; it is replaced when all is there, and only its owner may read it (default standard output)"}},
			detail: "Copies everything, or what is at and below the given keys. The copy of one key is one point in time, and is one line: " +
				"the API's JSON for a recursive read, as curl would get it. " +
				"The API lists no hidden keys, those with a name that begins with \"_\": give them as KEY to copy them. " +
				"It says U+FFFD for bytes that are not UTF-8. Indexes, users, roles and members are not copied. " +
				"The whole copy passes through memory, up to 512 MiB.",
			examples: []example{
				{"Everything", "confd backup --file keys.json"},
				{"Only the application, for reading", "confd backup /app"},
			},
			run: runBackup,
		},
		{
			name: "import", args: "[FILE]", max: 1, endless: true, refused: ctlRefused,
			help:  "write the keys of a copy into the store",
			flags: []ctlFlag{{name: "keep", help: "leave keys alone that exist"}},
			detail: "FILE is what backup wrote, or the answer of the API to GET /v2/keys/?recursive=true of any etcd with the v2 API, " +
				"or etcdctl's with -o json; without FILE it is standard input. It is read to its end before the first key is written. " +
				"Keys that exist get the value of the copy; others stay. A key lives to the time in the copy, and is left out if that has passed. " +
				"If a write fails the command stops; it can be run again. Indexes are new. " +
				"Plain YAML or JSON files need no import: -backend file renders from them.",
			examples: []example{{"Put everything back", "confd import keys.json"}},
			run:      runImport,
		},
	}
}

func runBackup(ctx context.Context, c *call) error {
	if err := c.patient(copyPatience); err != nil {
		return err
	}
	keys := c.args
	if len(keys) == 0 {
		keys = []string{"/"}
	}
	path := c.text("file")
	if path == "" {
		return c.copyKeys(ctx, c.out, keys)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return failure("making the file: %w", err)
	}
	defer os.Remove(f.Name()) // nothing is left there after the rename
	defer f.Close()
	if err := c.copyKeys(ctx, f, keys); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return failure("writing the file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return failure("putting the file in its place: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return failure("putting the file in its place: %w", err)
	}
	return nil
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
	}
	return nil
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
