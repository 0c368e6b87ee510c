// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"confd/raftkv/client"
)

const historyNote = "The store remembers its last 1000 changes; an index further back is refused."

func watchCommands() []command {
	afterFlag := ctlFlag{name: "after-index", arg: "INDEX", kind: isNumber, help: "begin with the changes after this index, from the store's memory; 0 is now"}
	recursive := ctlFlag{name: "recursive", also: []string{"r"}, help: "all that is below the key, too"}
	return []command{
		{
			name: "watch", args: "KEY", min: 1, max: 1, few: keyRequired, endless: true, refused: ctlRefused,
			help: "wait for a change of a key and print it", detail: "Changes of directories are passed over. " + historyNote,
			flags:    []ctlFlag{recursive, {name: "forever", also: []string{"f"}, help: "print all changes, until interrupted"}, afterFlag},
			examples: []example{{"The first change that the store remembers", "confd watch --recursive --after-index 1 /"}},
			run:      runWatch,
		},
		{
			name: "exec-watch", args: "KEY [--] PROGRAM [ARGUMENT ...]", min: 2, max: -1, few: "key and command to exec required",
			endless: true, program: true, refused: ctlRefused,
			help: "run a program at every change of a key",
			detail: "The program finds the change in ETCD_WATCH_ACTION, ETCD_WATCH_KEY, ETCD_WATCH_VALUE and " +
				"ETCD_WATCH_MODIFIED_INDEX. It runs once per change, in the order of the changes, one at a time; its exit code is not looked at. " +
				"Changes of directories are passed over. " + historyNote,
			flags:    []ctlFlag{recursive, afterFlag},
			examples: []example{{"Say what happens", `confd exec-watch --recursive /app -- sh -c 'echo "$ETCD_WATCH_ACTION $ETCD_WATCH_KEY"'`}},
			notRun:   true,
			run:      runExecWatch,
		},
	}
}

func runWatch(ctx context.Context, c *call) error {
	return c.follow(ctx, func(e *client.Event, index uint64) (bool, error) {
		if c.on("recursive") {
			c.say("[%s] %s", e.Action, e.Node.Key)
		}
		if err := c.printKey(e, index); err != nil {
			return false, err
		}
		if err := c.out.Flush(); err != nil {
			return false, failure("writing the output: %w", err)
		}
		return c.on("forever"), nil
	})
}

// follow calls next with each change of a value until it says or fails, or until it is
// interrupted, which is the way to end it and no error.
func (c *call) follow(ctx context.Context, next func(e *client.Event, index uint64) (more bool, err error)) error {
	w, err := c.conn.Watch(ctx, c.args[0], client.WatchOptions{Recursive: c.on("recursive"), After: c.number("after-index")})
	if err == nil {
		defer w.Close()
	}
	for more := true; err == nil && more; {
		var e *client.Event
		if e, err = w.Next(ctx); err == nil && !e.Node.Dir {
			more, err = next(e, w.Index())
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case client.IsCode(err, client.CodeEventIndexCleared):
		return hint(err, "changes have been missed; read the keys again, then watch after the index that came with them")
	}
	return err
}

func runExecWatch(ctx context.Context, c *call) error {
	argv := c.args[1:]
	if _, err := exec.LookPath(argv[0]); err != nil {
		return failure("looking for the program: %w", err)
	}
	return c.follow(ctx, func(e *client.Event, _ uint64) (bool, error) {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 5 * time.Second
		cmd.Env = append(c.environ(),
			"ETCD_WATCH_ACTION="+e.Action,
			fmt.Sprintf("ETCD_WATCH_MODIFIED_INDEX=%d", e.Node.Modified),
			"ETCD_WATCH_KEY="+e.Node.Key,
			"ETCD_WATCH_VALUE="+valueOf(e.Node))
		cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
			return false, failure("running the program: %w", err)
		}
		return true, nil
	})
}
