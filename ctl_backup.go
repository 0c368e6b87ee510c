// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"confd/raftkv/client"
)

// copyPatience is how long a server may take to begin with the listing of everything.
const copyPatience = time.Minute

// maxLinks is how many symbolic links are followed one after the other, as in Linux.
const maxLinks = 40

func copyCommands() []command {
	return []command{
		{
			name: "backup", args: "[KEY ...]", max: -1, endless: true, refused: ctlRefused,
			help:  "copy keys from the store to a file",
			flags: []ctlFlag{{name: "file", also: []string{"f"}, arg: "FILE", help: "where to; it is replaced when all is there, and only its owner may read it; what is no file, as a pipe, is written to (default standard output)"}},
			detail: "Copies everything, or what is at and below the given keys. The copy of one key is one point in time, and is one line: " +
				"the API's JSON for a recursive read, as curl would get it. " +
				"The API lists no hidden keys, those with a name that begins with \"_\": give them as KEY to copy them. " +
				"It says U+FFFD for bytes that are not UTF-8, which are lost; a warning counts the values that have it. Indexes, users, roles and members are not copied. " +
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
				"Keys that exist get the value of the copy; others stay. A key lives to the time in the copy, for a hundred years at most, and is left out if that has passed. " +
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
	info, err := os.Stat(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return failure("looking at the file: %w", err)
	case err == nil && c.isOutput(info): // /dev/stdout, whatever that is
		return c.copyKeys(ctx, c.out, keys)
	case err == nil && !info.Mode().IsRegular():
		return c.copyInto(ctx, path, keys)
	}
	return c.copyToFile(ctx, path, keys)
}

// isOutput tells whether a file is standard output.
func (c *call) isOutput(info fs.FileInfo) bool {
	f, ok := c.stdout.(*os.File)
	if !ok {
		return false
	}
	out, err := f.Stat()
	return err == nil && os.SameFile(info, out)
}

// copyInto writes to what is no regular file, such as a pipe or a device.
func (c *call) copyInto(ctx context.Context, path string, keys []string) error {
	type opened struct {
		f   *os.File
		err error
	}
	openings := make(chan opened, 1)
	go func() { // opening a pipe waits for a reader and cannot be ended; after an interrupt it dies with the process
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		openings <- opened{f, err}
	}()
	var o opened
	select {
	case <-ctx.Done():
		return ctx.Err()
	case o = <-openings:
	}
	if o.err != nil {
		return failure("opening the file: %w", o.err)
	}
	defer o.f.Close()
	defer context.AfterFunc(ctx, func() { _ = o.f.SetWriteDeadline(time.Unix(1, 0)) })() // a device has none
	if err := c.copyKeys(ctx, o.f, keys); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	err := o.f.Sync()
	if errors.Is(err, unix.EINVAL) { // a pipe has nothing to sync
		err = nil
	}
	if err := errors.Join(err, o.f.Close()); err != nil {
		return failure("writing the file: %w", err)
	}
	return nil
}

// copyToFile makes a file, or replaces it when the copy is whole.
func (c *call) copyToFile(ctx context.Context, path string, keys []string) error {
	path, err := followLinks(path)
	if err != nil {
		return failure("looking at the file: %w", err)
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

// followLinks returns the path of the file that a symbolic link leads to; that file
// need not exist.
func followLinks(path string) (string, error) {
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		target, err := os.Readlink(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL): // EINVAL: no link
			return path, nil
		case err != nil:
			return "", err
		case !filepath.IsAbs(target):
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", fmt.Errorf("%s: %w", path, unix.ELOOP)
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
