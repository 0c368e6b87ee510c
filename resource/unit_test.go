// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// A fakeBus is a message bus with systemd on it. It speaks the wire protocol.
type fakeBus struct {
	t      *testing.T
	units  map[string]string // :: unit → how its job ends; "" = never, "hang up" ends the connection
	early  bool              // the end of a job is told before its number
	mu     sync.Mutex
	called []string
	serial uint32
}

func startBus(t *testing.T, units map[string]string) *fakeBus {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	bus := &fakeBus{t: t, units: units}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { bus.serve(conn) })
		}
	})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return bus
}

// serve lets a client in, and answers it until one of both ends.
func (bus *fakeBus) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch line = strings.Trim(line, "\x00\r\n"); {
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			io.WriteString(conn, "OK 1234567890abcdef1234567890abcdef\r\n")
			continue
		case line == "AUTH":
			io.WriteString(conn, "REJECTED EXTERNAL\r\n")
			continue
		case line == "NEGOTIATE_UNIX_FD":
			io.WriteString(conn, "AGREE_UNIX_FD\r\n")
			continue
		case line != "BEGIN":
			io.WriteString(conn, "ERROR\r\n")
			continue
		}
		break
	}
	for {
		msg, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if !bus.answer(conn, msg) {
			return
		}
	}
}

func (bus *fakeBus) answer(conn net.Conn, msg *dbus.Message) bool {
	member, _ := msg.Headers[dbus.FieldMember].Value().(string)
	call := member
	for _, v := range msg.Body {
		call += fmt.Sprintf(" %v", v)
	}
	bus.mu.Lock()
	bus.called = append(bus.called, call)
	bus.mu.Unlock()
	switch member {
	case "Hello":
		return bus.send(conn, msg, ":1.7")
	case "AddMatch", "Subscribe":
		return bus.send(conn, msg)
	case "ReloadOrTryRestartUnit":
		result, known := bus.units[msg.Body[0].(string)]
		if !known {
			return bus.fail(conn, msg, "org.freedesktop.systemd1.NoSuchUnit", "Unit "+msg.Body[0].(string)+" not found.")
		}
		if result == "hang up" {
			return false
		}
		removed := func() {
			bus.removed(conn, 6, "/job/6", "other.service", "failed")
			if result != "" {
				bus.removed(conn, 7, "/job/7", msg.Body[0].(string), result)
			}
		}
		if bus.early {
			removed()
			return bus.send(conn, msg, dbus.ObjectPath("/job/7"))
		}
		ok := bus.send(conn, msg, dbus.ObjectPath("/job/7"))
		removed()
		return ok
	}
	return bus.fail(conn, msg, "org.freedesktop.DBus.Error.UnknownMethod", "no "+member)
}

func (bus *fakeBus) write(conn net.Conn, typ dbus.Type, headers map[dbus.HeaderField]dbus.Variant, body ...any) bool {
	bus.mu.Lock()
	defer bus.mu.Unlock()
	bus.serial++
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	headers[dbus.FieldSender] = dbus.MakeVariant(systemdName)
	var buf bytes.Buffer
	msg := &dbus.Message{Type: typ, Headers: headers, Body: body}
	if err := msg.EncodeTo(&buf, binary.LittleEndian); err != nil {
		bus.t.Error(err)
		return false
	}
	binary.LittleEndian.PutUint32(buf.Bytes()[8:], bus.serial) // the library sets it for its own messages only
	_, err := conn.Write(buf.Bytes())
	return err == nil
}

func (bus *fakeBus) send(conn net.Conn, to *dbus.Message, body ...any) bool {
	return bus.write(conn, dbus.TypeMethodReply, map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(to.Serial())}, body...)
}

func (bus *fakeBus) fail(conn net.Conn, to *dbus.Message, name, text string) bool {
	return bus.write(conn, dbus.TypeError, map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(to.Serial()), dbus.FieldErrorName: dbus.MakeVariant(name),
	}, text)
}

func (bus *fakeBus) removed(conn net.Conn, id uint32, job, unit, result string) {
	bus.write(conn, dbus.TypeSignal, map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(systemdPath)), dbus.FieldInterface: dbus.MakeVariant(systemdManager),
		dbus.FieldMember: dbus.MakeVariant("JobRemoved"),
	}, id, dbus.ObjectPath(job), unit, result)
}

func TestReloadUnit(t *testing.T) {
	for _, test := range []struct {
		unit, result string
		early        bool
		want         string // the error; "" = none
	}{
		{"nginx.service", "done", false, ""},
		{"nginx.service", "done", true, ""},
		{"nginx.service", "skipped", false, ""},
		{"nginx.service", "failed", false, `reloading: reloading unit nginx.service: systemd says "failed"; journalctl -u nginx.service tells more`},
		{"nginx.service", "hang up", false, "reloading unit nginx.service: "},
		{"nginx.service", "", false, "timed out after 300ms"},
		{"other.service", "", false, "Unit other.service not found."},
	} {
		t.Run(test.unit+" "+test.result, func(t *testing.T) {
			bus := startBus(t, map[string]string{"nginx.service": test.result})
			bus.early = test.early
			c := newConfdir(t)
			c.resource("a", fmt.Sprintf("reload_unit = %q", test.unit), `reload_cmd_timeout = "300ms"`)
			start := time.Now()
			err := c.runner(newMemory("/a", "1"), nil).Once(t.Context())
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			bus.mu.Lock()
			defer bus.mu.Unlock()
			if got := bus.called[len(bus.called)-1]; got != "ReloadOrTryRestartUnit "+test.unit+" replace" {
				t.Errorf("called %q", bus.called)
			}
		})
	}
}

func TestReloadUnitWithoutABus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
	c := newConfdir(t)
	c.resource("a", `reload_unit = "x.service"`)
	err := c.runner(newMemory("/a", "1"), nil).Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "connecting to the system's message bus") {
		t.Errorf("got %v", err)
	}
	c.wantMarkers(1)
}
