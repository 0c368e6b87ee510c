// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

const (
	systemdPath    = dbus.ObjectPath("/org/freedesktop/systemd1")
	systemdManager = "org.freedesktop.systemd1.Manager"
)

// A systemd stands on a message bus under systemd's name, and notes what it is asked for.
type systemd struct {
	conn *dbus.Conn
	mu   sync.Mutex
	jobs uint32
	asks []string
}

// Subscribe is a method of systemd's.
func (s *systemd) Subscribe() *dbus.Error { return nil }

// ReloadOrTryRestartUnit is one, too. Of units with "bad" in their name the job fails.
func (s *systemd) ReloadOrTryRestartUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks = append(s.asks, unit+" "+mode)
	if strings.Contains(unit, "none") {
		return "", dbus.NewError("org.freedesktop.systemd1.NoSuchUnit", []any{"Unit " + unit + " not found."})
	}
	s.jobs++
	job := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", s.jobs))
	result := "done"
	if strings.Contains(unit, "bad") {
		result = "failed"
	}
	if err := s.conn.Emit(systemdPath, systemdManager+".JobRemoved", s.jobs, job, unit, result); err != nil {
		return "", dbus.MakeFailedError(err)
	}
	return job, nil
}

func (s *systemd) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asks
}

// startBus starts a message bus of its own and returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	needs(t, "dbus-daemon")
	dir := t.TempDir()
	config := filepath.Join(dir, "bus.conf")
	text := `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=` + filepath.Join(dir, "bus") + `</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "dbus-daemon", "--nofork", "--print-address", "--config-file="+config)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// TestReloadUnit has confd reload units over a real message bus. systemd itself is ours:
// it needs a machine of its own.
func TestReloadUnit(t *testing.T) {
	address := startBus(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	manager := &systemd{conn: conn}
	if err := conn.Export(manager, systemdPath, systemdManager); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName("org.freedesktop.systemd1", dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("%v, %v", reply, err)
	}
	for _, test := range []struct {
		unit, want string // the error; "" = none
	}{
		{"good.service", ""},
		{"bad.service", `reloading unit bad.service: systemd says "failed"`},
		{"none.service", "reloading unit none.service: Unit none.service not found."},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"templates/a.tmpl": "x",
			"conf.d/a.toml":    fmt.Sprintf("[template]\nsrc = 'a.tmpl'\ndest = %q\nreload_unit = %q\n", filepath.Join(dir, "a"), test.unit),
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(ctx, filepath.Join(binDir, "confd"), "-onetime", "-backend", "env", "-confdir", dir, "-data-dir", filepath.Join(dir, "data"))
		cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+address)
		out, err := cmd.CombinedOutput()
		if (err == nil) != (test.want == "") || !strings.Contains(string(out), test.want) {
			t.Errorf("%s: %v\n%s", test.unit, err, out)
		}
		if asked := manager.asked(); len(asked) == 0 || asked[len(asked)-1] != test.unit+" replace" {
			t.Errorf("asked for %q", asked)
		}
	}
}
