// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"

	"confd/raftkv/client"
)

const (
	keyRequired   = "key required"
	stdinNote     = "Without VALUE it is read from standard input, as it stands."
	dashValueNote = "A VALUE that begins with a dash and is no flag needs nothing; else put \"--\" before KEY."
)

var (
	ttlFlag    = ctlFlag{name: "ttl", arg: "SECONDS", kind: isNumber, help: "remove the key after so many seconds; 0 is never"}
	quorumFlag = ctlFlag{name: "quorum", also: []string{"q"}, help: "read the newest state of the cluster, not the server's own copy"}
	sortFlag   = ctlFlag{name: "sort", help: "sort by key"}
)

func writeCommands() []command {
	return []command{
		{
			name: "set", writes: true, args: "KEY [VALUE]", min: 1, max: 2, few: keyRequired, dashValue: true, refused: ctlRefused,
			help: "store a value", detail: stdinNote + " " + dashValueNote,
			flags: []ctlFlag{
				ttlFlag,
				{name: "swap-with-value", arg: "VALUE", guard: true, help: "only if the key has this value, which must not be empty"},
				{name: "swap-with-index", arg: "INDEX", kind: isNumber, guard: true, help: "only if the key was last changed at this index, 1 or more"},
			},
			examples: []example{
				{"Store a value", "confd set /app/port 8080"},
				{"Only if it is what you think it is", "confd set --swap-with-value 8080 /app/port 8081"},
				{"A file", "confd set /app/motd < README.md"},
			},
			run: runSet,
		},
		{
			name: "mk", writes: true, args: "KEY [VALUE]", min: 1, max: 2, few: keyRequired, dashValue: true, refused: ctlRefused,
			help: "store a value under a key that does not exist yet", detail: stdinNote + " " + dashValueNote,
			flags: []ctlFlag{ttlFlag, {name: "in-order", help: "make a key below KEY, whose name sorts behind those made before"}},
			examples: []example{
				{"Make a key", "confd mk /app/host 10.0.0.1"},
				{"Append to a queue", "confd mk --in-order /jobs 'mail the report'"},
			},
			run: runMk,
		},
		{
			name: "update", writes: true, args: "KEY [VALUE]", min: 1, max: 2, few: keyRequired, dashValue: true, refused: ctlRefused,
			help: "change the value of a key that exists", detail: stdinNote + " " + dashValueNote + " Without --ttl the key is to stay for ever.",
			flags:    []ctlFlag{ttlFlag},
			examples: []example{{"Change a value", "confd update /app/host 10.0.0.2"}},
			run:      runUpdate,
		},
		{
			name: "mkdir", writes: true, args: "KEY", min: 1, max: 1, few: keyRequired, refused: ctlRefused,
			help: "make a directory that does not exist yet", flags: []ctlFlag{ttlFlag},
			examples: []example{{"Make a directory", "confd mkdir /services"}},
			run: func(ctx context.Context, c *call) error {
				return c.more(c.conn.Create(ctx, c.args[0], "", client.SetOptions{Dir: true, TTL: c.number("ttl")}))
			},
		},
		{
			name: "setdir", writes: true, args: "KEY", min: 1, max: 1, few: keyRequired, refused: ctlRefused,
			help: "make a directory, in place of a value if there is one", flags: []ctlFlag{ttlFlag},
			detail:   "A directory that exists is refused; updatedir changes its time to live.",
			examples: []example{{"Make a directory that goes after an hour", "confd setdir --ttl 3600 /sessions"}},
			run: func(ctx context.Context, c *call) error {
				return c.more(c.conn.Set(ctx, c.args[0], "", client.SetOptions{Dir: true, TTL: c.number("ttl")}))
			},
		},
		{
			name: "updatedir", writes: true, args: "KEY", min: 1, max: 2, few: keyRequired, refused: ctlRefused,
			help: "change the time to live of a directory", flags: []ctlFlag{ttlFlag},
			detail:   "Without --ttl the directory is to stay for ever. A second argument, which etcdctl asks for, is ignored.",
			examples: []example{{"Another hour", "confd updatedir --ttl 3600 /sessions"}},
			run: func(ctx context.Context, c *call) error {
				return c.more(c.conn.Update(ctx, c.args[0], "", client.SetOptions{Dir: true, TTL: c.number("ttl")}))
			},
		},
	}
}

func readCommands() []command {
	return []command{
		{
			name: "get", args: "KEY", min: 1, max: 1, few: keyRequired, refused: ctlRefused,
			help: "print the value of a key", flags: []ctlFlag{quorumFlag, sortFlag},
			examples: []example{
				{"Print a value", "confd get /app/port"},
				{"With all that is known of it", "confd get -o extended /app/port"},
			},
			run: runGet,
		},
		{
			name: "ls", args: "[KEY]", max: 1, refused: ctlRefused,
			help: "print the keys of a directory",
			flags: []ctlFlag{
				{name: "recursive", also: []string{"r"}, help: "with all that is below"},
				{name: "p", help: "print a slash behind directories"},
				sortFlag, quorumFlag,
			},
			examples: []example{
				{"The top", "confd ls"},
				{"Everything", "confd ls --recursive --sort -p /"},
			},
			run: runLs,
		},
	}
}

func removeCommands() []command {
	return []command{
		{
			name: "rm", writes: true, args: "KEY", min: 1, max: 1, few: keyRequired, refused: ctlRefused,
			help: "remove a key",
			flags: []ctlFlag{
				{name: "recursive", also: []string{"r"}, help: "or a directory with all that is below"},
				{name: "dir", help: "or an empty directory"},
				{name: "with-value", arg: "VALUE", guard: true, help: "only if the key has this value, which must not be empty"},
				{name: "with-index", arg: "INDEX", kind: isNumber, guard: true, help: "only if the key was last changed at this index, 1 or more"},
			},
			examples: []example{
				{"Remove a key", "confd rm /app/motd"},
				{"Remove a directory", "confd rm --recursive /jobs"},
			},
			run: runRm,
		},
		{
			name: "rmdir", writes: true, args: "KEY", min: 1, max: 1, few: keyRequired, refused: ctlRefused,
			help: "remove an empty directory, or a key", examples: []example{{"Remove a directory", "confd rmdir /services"}},
			run: func(ctx context.Context, c *call) error {
				return c.removed(c.conn.Delete(ctx, c.args[0], client.DeleteOptions{Dir: true}))
			},
		},
	}
}

func runSet(ctx context.Context, c *call) error {
	value, err := c.argument(1)
	if err != nil {
		return err
	}
	opts := client.SetOptions{TTL: c.number("ttl")}
	cmp := client.Compare{Value: c.text("swap-with-value"), Index: c.number("swap-with-index")}
	if cmp != (client.Compare{}) {
		return c.value(c.conn.CompareAndSwap(ctx, c.args[0], value, cmp, opts))
	}
	return c.value(c.conn.Set(ctx, c.args[0], value, opts))
}

func runMk(ctx context.Context, c *call) error {
	value, err := c.argument(1)
	if err != nil {
		return err
	}
	opts := client.SetOptions{TTL: c.number("ttl")}
	if c.on("in-order") {
		return c.value(c.conn.CreateInOrder(ctx, c.args[0], value, opts))
	}
	return c.value(c.conn.Create(ctx, c.args[0], value, opts))
}

func runUpdate(ctx context.Context, c *call) error {
	value, err := c.argument(1)
	if err != nil {
		return err
	}
	return c.value(c.conn.Update(ctx, c.args[0], value, client.SetOptions{TTL: c.number("ttl")}))
}

func runGet(ctx context.Context, c *call) error {
	r, err := c.conn.Get(ctx, c.args[0], client.GetOptions{Sorted: c.on("sort"), Quorum: c.on("quorum")})
	if err == nil && r.Event.Node.Dir {
		return hint(failure("%s: is a directory", r.Event.Node.Key), "confd ls prints its keys")
	}
	return c.value(r, err)
}

func runLs(ctx context.Context, c *call) error {
	key := "/"
	if len(c.args) > 0 {
		key = c.args[0]
	}
	r, err := c.conn.Get(ctx, key, client.GetOptions{
		Sorted: c.on("sort"), Recursive: c.on("recursive"), Quorum: c.on("quorum"),
	})
	if err != nil {
		return err
	}
	if c.form != "simple" {
		return c.printKey(r.Event, r.Index)
	}
	if !r.Event.Node.Dir {
		c.say("%s", r.Event.Node.Key)
	}
	c.list(r.Event.Node)
	return nil
}

// list prints the keys below a node.
func (c *call) list(n *client.Node) {
	for _, child := range n.Nodes {
		key := child.Key
		if child.Dir && c.on("p") && !strings.HasSuffix(key, "/") {
			key += "/"
		}
		c.say("%s", key)
		c.list(child)
	}
}

func runRm(ctx context.Context, c *call) error {
	cmp := client.Compare{Value: c.text("with-value"), Index: c.number("with-index")}
	if cmp != (client.Compare{}) {
		return c.removed(c.conn.CompareAndDelete(ctx, c.args[0], cmp))
	}
	return c.removed(c.conn.Delete(ctx, c.args[0], client.DeleteOptions{Dir: c.on("dir"), Recursive: c.on("recursive")}))
}

// value prints the answer of an operation on a value.
func (c *call) value(r *client.Response, err error) error {
	if err != nil {
		return err
	}
	return c.printKey(r.Event, r.Index)
}

// more prints the answer of an operation on a directory.
func (c *call) more(r *client.Response, err error) error {
	if err != nil {
		return err
	}
	return c.printMore(r.Event, r.Index)
}

// removed prints the answer of a delete.
func (c *call) removed(r *client.Response, err error) error {
	if err == nil && r.Event.Node.Dir {
		return c.more(r, err)
	}
	return c.value(r, err)
}
