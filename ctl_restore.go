// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"confd/raftkv"
)

// storeFlags are the options of the daemon that say where its store is. They are read as
// the daemon reads them: environment, confd.toml and defaults too.
func storeFlags() []ctlFlag {
	return []ctlFlag{
		{name: "data-dir", arg: "DIR", help: "as the daemon's -data-dir, with the same default"},
		{name: "name", arg: "NAME", help: "as the daemon's -name"},
		{name: "peer-addr", arg: "HOST:PORT", help: "as the daemon's -peer-addr"},
		{name: "config-file", arg: "FILE", help: "as the daemon's -config-file"},
	}
}

// skipFlag says how far the index leaps ahead.
var skipFlag = ctlFlag{name: "index-skip", arg: "N", kind: isNumber, def: strconv.Itoa(raftkv.DefaultIndexSkip),
	help: "let the index go on so far ahead: by more than the changes that may have been made after what is there now"}

func restoreCommand() command {
	return command{
		name: "restore", endless: true, offline: true, refused: ctlFailure,
		help: "make a new store from a backup, on a machine whose confd is not running",
		flags: append([]ctlFlag{
			{name: "file", also: []string{"f"}, arg: "FILE", help: "the backup"},
			skipFlag,
		}, storeFlags()...),
		detail: "The store is the only member of a new cluster: keys, users, roles and the cluster's configuration are those of the backup, the members are not. " +
			"Start its node, and then the others with empty data directories and -peers. A directory that has a store is left alone. " +
			"Keys whose time has passed since the backup expire at the start. " +
			"Clients that watch, and have seen indexes of the old store, are answered with error 401 and read anew.",
		examples: []example{{"On a new machine", "confd restore --file store.backup --data-dir restored"}},
		run:      runRestore,
	}
}

func recoverCommand() command {
	return command{
		name: "recover", endless: true, offline: true, refused: ctlFailure,
		help: "go on with this node alone, when most members are lost for ever",
		flags: append([]ctlFlag{
			{name: "yes", help: "do not ask"},
			{name: "peers-json", arg: "FILE", help: "go on with these members instead, as in Consul's peers.json: [{\"id\": \"…\", \"address\": \"host:port\", \"non_voter\": false}, …]; run it with the same file on each of them before any is started"},
			skipFlag,
		}, storeFlags()...),
		detail: "Run it on the node with the newest data, while it is stopped. What this node has not received is lost, and what had not been committed counts as committed. " +
			"The cluster gets a new id, so that the other members cannot get in its way when they come back: they are started anew with empty data directories and -peers.",
		examples: []example{{"The other machines have burnt down", "confd recover --data-dir restored --yes"}},
		run:      runRecover,
	}
}

// A storePlace is where the daemon has its store.
type storePlace struct {
	dir      string
	peerAddr string
	start    string // the command that starts the node
}

// place finds the store.
func (c *call) place() (storePlace, error) {
	args := []string{"-backend=raftkv"}
	start := "confd"
	for _, f := range storeFlags() {
		if c.flags[f.name] != nil {
			args = append(args, "-"+f.name+"="+c.text(f.name))
			start += " -" + f.name + " " + c.text(f.name)
		}
	}
	s, err := loadSettings(args, c.machine)
	if err != nil {
		return storePlace{}, &ctlError{ctlFailure, err}
	}
	return storePlace{filepath.Join(s.DataDir, "store"), cmp.Or(s.net.peerHost, s.net.peer.addr), start}, nil
}

func runRestore(_ context.Context, c *call) error {
	file := c.text("file")
	if file == "" {
		return hint(failure("no backup was named"), "confd restore --file FILE")
	}
	at, err := c.place()
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return failure("opening the backup: %w", err)
	}
	defer f.Close()
	r, err := raftkv.Restore(raftkv.RestoreConfig{DataDir: at.dir, PeerAddr: at.peerAddr, IndexSkip: c.number("index-skip")}, f)
	switch {
	case errors.Is(err, raftkv.ErrHasStore):
		return failure("%w", err)
	case err != nil:
		return badBackup(file, err)
	}
	if err := matchOwner(at.dir); err != nil {
		return err
	}
	c.say("Restored %s into %s", plural(r.Keys, "key"), at.dir)
	c.say("from a backup of cluster %s, made %s at index %d.", r.ClusterID, r.Created.Format("2006-01-02 15:04:05 MST"), r.Index)
	c.say("The new cluster is %s, its only member %s, its index %d.", r.NewClusterID, r.NewNodeID, r.NewIndex)
	c.say("Next: start this node (%s), then the others with empty data directories and -peers %s.", at.start, at.peerAddr)
	return nil
}

func runRecover(ctx context.Context, c *call) error {
	at, err := c.place()
	if err != nil {
		return err
	}
	cfg := raftkv.RecoverConfig{DataDir: at.dir, PeerAddr: at.peerAddr, IndexSkip: c.number("index-skip")}
	if file := c.text("peers-json"); file != "" {
		if cfg.Peers, err = raftkv.ReadPeers(file); err != nil {
			return failure("%w", err)
		}
	}
	r, err := raftkv.OpenRecovery(cfg)
	switch {
	case errors.Is(err, raftkv.ErrLocked):
		return hint(failure("%w", err), "recover is for a node that is stopped")
	case errors.Is(err, fs.ErrNotExist):
		return hint(failure("%w", err), "--data-dir names the directory of the daemon")
	case err != nil:
		return failure("%w", err)
	}
	defer r.Close()
	c.explain(r, cfg.Peers)
	if err := c.confirm(ctx); err != nil {
		return err
	}
	id, err := r.Run()
	if err != nil {
		return hint(failure("%w", err), "run it again when the cause is gone")
	}
	if err := matchOwner(at.dir); err != nil {
		return err
	}
	c.say("Recovered. The cluster is %s now.", id)
	if len(cfg.Peers) > 1 {
		c.say("Next: run this on the other members of the list, too, and then start all of them.")
		return nil
	}
	c.say("Next: start this node (%s), then the others with empty data directories and -peers %s.", at.start, at.peerAddr)
	return nil
}

// explain says what is there and what will happen.
func (c *call) explain(r *raftkv.Recovery, peers []raftkv.Peer) {
	c.say("This node is %s of cluster %s. It has %s at index %d, up to entry %d of term %d.",
		r.NodeID, r.ClusterID, plural(r.Keys, "key"), r.Index, r.LastIndex, r.LastTerm)
	c.say("The members it knows:")
	for _, m := range r.Members {
		c.say("  %s  %s  %s", m.ID, cmp.Or(m.Name, "(never started)"), strings.Join(m.PeerURLs, ","))
	}
	if len(peers) > 1 {
		c.say("It will be one of the %d members of a new cluster.", len(peers))
	} else {
		c.say("It will be the only member of a new cluster.")
	}
	c.say("- What others have acknowledged and this node has not received is lost for ever.")
	c.say("- What this node has received counts, even if it was never acknowledged.")
	c.say("- Members that are not part of it must never be started with their old data: enough of them together")
	c.say("  would go on as the old cluster. Delete their data directories first.")
}

// confirm asks whether to go on.
func (c *call) confirm(ctx context.Context) error {
	if c.on("yes") {
		return nil
	}
	f, ok := c.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		return hint(failure("nothing was changed: this takes a word"), "confd recover --yes")
	}
	if err := c.out.Flush(); err != nil {
		return failure("writing the output: %w", err)
	}
	fmt.Fprint(c.stderr, "Type yes to go on: ")
	lines := make(chan string, 1)
	go func() { // a read of a terminal cannot be ended; after an interrupt it dies with the process
		line, _ := c.in.ReadString('\n')
		lines <- line
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-lines:
		if strings.TrimSpace(line) != "yes" {
			return failure("nothing was changed")
		}
	}
	return nil
}

// matchOwner gives what root has made in a data directory to the owner of the directory
// around it, as whom the daemon runs.
func matchOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return failure("looking at the data directory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
	if err != nil {
		return failure("giving the files to their owner: %w", err)
	}
	return nil
}
