// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

const (
	systemdName    = "org.freedesktop.systemd1"
	systemdPath    = "/org/freedesktop/systemd1"
	systemdManager = "org.freedesktop.systemd1.Manager"
)

// A unitHook has systemd reload a unit, or restart it if it cannot be reloaded. A unit
// that does not run is left alone.
type unitHook struct{ name string }

func (h *unitHook) id() string     { return "unit " + h.name }
func (h *unitHook) String() string { return h.name }

// run asks for the job and waits for its end, as systemctl try-reload-or-restart does,
// which it does not run: the message bus needs no program of that name.
func (h *unitHook) run(ctx context.Context, r *Resource, _ values) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	result, err := h.job(ctx)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("reloading unit %s: %w", h.name, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("reloading unit %s: %w", h.name, err)
	case result != "done" && result != "skipped":
		return fmt.Errorf("reloading unit %s: systemd says %q; journalctl -u %s tells more", h.name, result, h.name)
	}
	r.log.Debug("unit was reloaded", "unit", h.name, "result", result)
	return nil
}

// job returns how the job ended.
func (h *unitHook) job(ctx context.Context) (result string, err error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("connecting to the system's message bus: %w", err)
	}
	defer conn.Close()
	systemd := conn.Object(systemdName, systemdPath)
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(systemdManager), dbus.WithMatchMember("JobRemoved"))
	if err != nil {
		return "", fmt.Errorf("listening for the end of jobs: %w", err)
	}
	ended := make(chan *dbus.Signal, 16)
	conn.Signal(ended)
	if err := systemd.CallWithContext(ctx, systemdManager+".Subscribe", 0).Err; err != nil {
		return "", fmt.Errorf("listening for the end of jobs: %w", err)
	}
	var job dbus.ObjectPath
	if err := systemd.CallWithContext(ctx, systemdManager+".ReloadOrTryRestartUnit", 0, h.name, "replace").Store(&job); err != nil {
		return "", err
	}
	for {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case signal, ok := <-ended:
			if !ok {
				return "", fmt.Errorf("the system's message bus has hung up")
			}
			var id uint32
			var path dbus.ObjectPath
			var unit string
			if dbus.Store(signal.Body, &id, &path, &unit, &result) == nil && path == job {
				return result, nil
			}
		}
	}
}
