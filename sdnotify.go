// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"confd/resource"
)

// A notifier tells systemd how the daemon does: a datagram to the socket that systemd
// has named in the environment (sd_notify(3)). Without one it says nothing.
type notifier struct {
	addr     *net.UnixAddr // nil = nobody listens
	watchdog time.Duration // systemd wants a sign of life this often; 0 = it does not
	log      *slog.Logger
}

func (p *program) newNotifier() *notifier {
	n := &notifier{log: p.log}
	name := p.getenv("NOTIFY_SOCKET")
	if name == "" {
		return n
	}
	if strings.HasPrefix(name, "@") { // an abstract name
		name = "\x00" + name[1:]
	}
	n.addr = &net.UnixAddr{Name: name, Net: "unixgram"}
	pid := p.getenv("WATCHDOG_PID")
	if pid != "" && pid != strconv.Itoa(unix.Getpid()) {
		return n
	}
	if usec, err := strconv.ParseInt(p.getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// send sends the lines.
func (n *notifier) send(lines ...string) {
	if n.addr == nil {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, n.addr)
	if err == nil {
		_, err = conn.Write([]byte(strings.Join(lines, "\n")))
		conn.Close()
	}
	if err != nil {
		n.log.Debug("telling systemd", "err", err)
	}
}

// reloading says that the configuration is being read again; READY=1 ends it.
func (n *notifier) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail for this clock
	n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// run says that confd is ready when every resource was tried once, and then that it
// lives, as long as it does.
func (n *notifier) run(ctx context.Context, runner *resource.Runner) {
	if n.addr == nil {
		return
	}
	beat := n.watchdog / 3
	if beat <= 0 {
		beat = time.Hour // nobody waits for it
	}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	passed := runner.Passed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-passed:
			passed = nil
			n.send("READY=1", "STATUS="+summary(runner.State()))
		case <-ticker.C:
			if state := runner.State(); len(state.Stuck) == 0 {
				n.send("WATCHDOG=1", "STATUS="+summary(state))
			}
		}
	}
}

// summary returns the state in one line.
func summary(s resource.State) string {
	behind := 0
	for _, r := range s.Resources {
		if !r.UpToDate() {
			behind++
		}
	}
	text := fmt.Sprintf("%d of %d files are up to date", len(s.Resources)-behind, len(s.Resources))
	if len(s.Broken) > 0 {
		text += "; broken: " + plural(len(s.Broken), "resource file")
	}
	if s.Err != nil {
		text += "; the backend cannot be reached"
	}
	return text
}
