// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNotify plays systemd: ready once the files are there, alive, reloading, stopping.
func TestNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	told := newOutput()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			told.Write([]byte("<" + strings.ReplaceAll(string(buf[:n]), "\n", "|") + ">\n"))
		}
	}()
	dir, dest := newConfDir(t, `{{getv "/app/v" "none"}}`)
	d := startDaemonIn(t, []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=300000"}, "-backend=env", "-watch", "-confdir", dir, "-data-dir", t.TempDir())
	told.await(t, `^(<WATCHDOG=1.*>\n)*<READY=1\|STATUS=1 of 1 files are up to date>\n`)
	if got := readFile(dest); got != "from-environment" {
		t.Errorf("ready, and the file has %q", got)
	}
	told.await(t, `<WATCHDOG=1\|STATUS=1 of 1 files are up to date>\n`)
	told.await(t, `<WATCHDOG=1\|STATUS=.*>\n`)
	d.hangups <- syscall.SIGHUP
	told.await(t, `<RELOADING=1\|MONOTONIC_USEC=\d+>\n(<WATCHDOG=1.*>\n)*<READY=1>\n`)
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	told.await(t, `<STOPPING=1>\n`)
}

// TestNotifier checks what the environment says.
func TestNotifier(t *testing.T) {
	for _, test := range []struct {
		env      []string
		addr     string
		watchdog time.Duration
	}{
		{nil, "", 0},
		{[]string{"WATCHDOG_USEC=1000000"}, "", 0},
		{[]string{"NOTIFY_SOCKET=/run/x"}, "/run/x", 0},
		{[]string{"NOTIFY_SOCKET=@x", "WATCHDOG_USEC=1000000"}, "\x00x", time.Second},
		{[]string{"NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1000000", "WATCHDOG_PID=1"}, "/run/x", 0},
		{[]string{"NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=x"}, "/run/x", 0},
	} {
		p := newProgram(t)
		p.machine = testMachine(test.env...)
		n := p.newNotifier()
		addr := ""
		if n.addr != nil {
			addr = n.addr.Name
		}
		if addr != test.addr || n.watchdog != test.watchdog {
			t.Errorf("%q: got %q, %v", test.env, addr, n.watchdog)
		}
		n.send("READY=1") // a socket that is not there does no harm
	}
}
