// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"confd/raftkv"
	"confd/raftkv/client"
)

// progressEvery is how often a long backup says how far it is.
const progressEvery = 5 * time.Second

func backupCommands() []command {
	return []command{
		{
			name: "backup", endless: true, refused: ctlRefused,
			help: "copy the whole state of confd's own store to a file, or look at such a file",
			flags: []ctlFlag{
				{name: "file", also: []string{"f"}, arg: "FILE", help: "where to; it is replaced when all is there, and only its owner may read it; what is no file, as a pipe, is written to (default standard output)"},
				{name: "stale", help: "take what the server has, without asking the others whether it is the newest; works without a leader"},
				{name: "verify", arg: "FILE", help: "ask no server, but read this backup to its end, as restore does, and print what is in it"},
			},
			detail: "The backup is one point in time, made while the store goes on: keys with their indexes and times to live, the last events, users, roles and the cluster's configuration. " +
				"It holds everything that was acknowledged before. restore makes a new store of it. " +
				"With authentication on it takes a user with the role root, as it has the hashes of all passwords; while there are users and authentication is off, it is refused.",
			examples: []example{
				{"Everything", "confd backup --file store.backup"},
				{"Is it whole?", "confd backup --verify store.backup"},
			},
			run: runBackup,
		},
		restoreCommand(),
		recoverCommand(),
	}
}

func runBackup(ctx context.Context, c *call) error {
	if file := c.text("verify"); file != "" {
		return c.verifyBackup(file)
	}
	if f, ok := c.stdout.(*os.File); ok && c.text("file") == "" && isTerminal(f) {
		return hint(failure("a backup is not for a terminal"), "name a file with --file, or send it on with \">\" or \"|\"")
	}
	if err := c.patient(copyPatience); err != nil {
		return err
	}
	var info raftkv.BackupInfo
	progress := &progressWriter{say: func(format string, args ...any) { fmt.Fprintf(c.stderr, format, args...) }, last: time.Now()}
	err := c.output(ctx, c.text("file"), func(to io.Writer) (err error) {
		progress.w = to
		info, err = c.copyBackup(ctx, progress)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "confd: made a backup of %s at index %d: %s\n", plural(info.Keys, "key"), info.Index, megabytes(progress.n))
	return nil
}

// copyBackup copies a backup from the server, and makes sure that it is whole.
func (c *call) copyBackup(ctx context.Context, to io.Writer) (raftkv.BackupInfo, error) {
	from, err := c.conn.Backup(ctx, c.on("stale"))
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Status == http.StatusNotFound {
		return raftkv.BackupInfo{}, hint(&ctlError{ctlRefused, errors.New("the server has no backups to give")},
			"only confd's own store has; confd export copies the keys of any")
	}
	if err != nil {
		return raftkv.BackupInfo{}, err
	}
	defer from.Close()
	info, err := raftkv.CopyBackup(to, from)
	if errors.Is(err, raftkv.ErrNoBackup) {
		return info, hint(&ctlError{ctlNoServer, fmt.Errorf("the answer of the server: %w", err)}, "the connection may have been cut, or the server ended; its log tells. Try again")
	}
	if err != nil {
		return info, failure("copying the backup: %w", err)
	}
	return info, nil
}

// A progressWriter says how much was written, if it takes long.
type progressWriter struct {
	w    io.Writer
	say  func(format string, args ...any)
	n    int64
	last time.Time
}

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	if now := time.Now(); now.Sub(p.last) >= progressEvery {
		p.last = now
		p.say("confd: %s so far\n", megabytes(p.n))
	}
	return n, err
}

// verifyBackup prints what is in a backup.
func (c *call) verifyBackup(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return failure("opening the backup: %w", err)
	}
	defer f.Close()
	b, err := raftkv.VerifyBackup(f)
	if err != nil {
		return badBackup(file, err)
	}
	c.say("whole      yes, %s in format %d", megabytes(b.Size), b.Format)
	c.say("made       %s by %s", b.Created.Format(time.RFC3339), b.Program)
	c.say("of         node %s (%s) of cluster %s", b.NodeName, b.NodeID, b.ClusterID)
	c.say("index      %d (raft: %d, term %d)", b.Index, b.RaftIndex, b.RaftTerm)
	c.say("keys       %d with directories, %d with a time to live", b.Keys, b.Expiring)
	count := func(prefix string) (n int) {
		for _, key := range b.Metadata {
			if strings.HasPrefix(key, prefix) {
				n++
			}
		}
		return n
	}
	c.say("users      %d, roles %d", count("auth/user/"), count("auth/role/"))
	return nil
}

// badBackup is the error for a file that cannot be used.
func badBackup(file string, err error) error {
	if errors.Is(err, raftkv.ErrNoBackup) {
		return hint(failure("%s: %w", file, err), "copy it again, or take another one; what confd export has made is read by confd import")
	}
	return failure("reading %s: %w", file, err)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// megabytes returns a size as people read it.
func megabytes(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
