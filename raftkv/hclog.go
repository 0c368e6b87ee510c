// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// hcLogger is an hclog.Logger that writes to a slog.Logger. What raft calls Info is
// Debug here, and so is what it says of every single request: the node logs state changes
// in its own words.
type hcLogger struct {
	log  *slog.Logger
	name string
	args []any
}

var _ hclog.Logger = (*hcLogger)(nil)

// ofOneRequest is what raft 1.8.0 says as warnings and errors, again and again, while
// another node is away or has to catch up, and while a snapshot is written or removed.
var ofOneRequest = []string{
	"failed to appendEntries to", "failed to heartbeat to", "failed to contact", "failed to contact quorum of nodes, stepping down",
	"failed to make requestVote RPC", "failed to get previous log", "previous log term mis-match",
	"appendEntries rejected, sending older logs", "unable to get address for server, using fallback address",
	"failed to decode incoming command", "failed to flush response", "failed to send snapshot to", "failed to install snapshot",
	"peer has newer term, stopping replication", "rejecting vote request since we have a leader", "rejecting pre-vote request since we have a leader",
	"Election timeout reached, restarting election", "heartbeat timeout reached, starting election", "clearing log suffix",
	"rejecting appendEntries request since node is not in configuration", "rejecting vote request since node is not in configuration",
	"rejecting pre-vote request since node is not in configuration", "not part of stable configuration, aborting election",
	"heartbeat timeout reached, not part of a stable configuration or a non-voter, not triggering a leader election",
	"no known peers, aborting election", "found temporary snapshot",
}

func newHCLog(l *slog.Logger) *hcLogger { return &hcLogger{log: l} }

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Error:
		return slog.LevelError
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Trace:
		return slog.LevelDebug - 4
	}
	return slog.LevelDebug
}

func (h *hcLogger) Log(level hclog.Level, msg string, args ...any) {
	ctx := context.Background() // hclog has none to pass on
	l := slogLevel(level)
	if slices.Contains(ofOneRequest, msg) {
		l = slog.LevelDebug
	}
	if !h.log.Enabled(ctx, l) {
		return
	}
	attrs := make([]any, 0, len(h.args)+len(args)+2)
	attrs = append(attrs, h.args...)
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			a = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		if i%2 == 0 && a == "error" {
			a = "err"
		}
		attrs = append(attrs, a)
	}
	if h.name != "" {
		msg = h.name + ": " + msg
	}
	h.log.Log(ctx, l, msg, attrs...)
}

func (h *hcLogger) Trace(msg string, args ...any) { h.Log(hclog.Trace, msg, args...) }
func (h *hcLogger) Debug(msg string, args ...any) { h.Log(hclog.Debug, msg, args...) }
func (h *hcLogger) Info(msg string, args ...any)  { h.Log(hclog.Info, msg, args...) }
func (h *hcLogger) Warn(msg string, args ...any)  { h.Log(hclog.Warn, msg, args...) }
func (h *hcLogger) Error(msg string, args ...any) { h.Log(hclog.Error, msg, args...) }

func (h *hcLogger) is(level hclog.Level) bool {
	return h.log.Enabled(context.Background(), slogLevel(level))
}

func (h *hcLogger) IsTrace() bool { return h.is(hclog.Trace) }
func (h *hcLogger) IsDebug() bool { return h.is(hclog.Debug) }
func (h *hcLogger) IsInfo() bool  { return h.is(hclog.Info) }
func (h *hcLogger) IsWarn() bool  { return h.is(hclog.Warn) }
func (h *hcLogger) IsError() bool { return h.is(hclog.Error) }

func (h *hcLogger) ImpliedArgs() []any { return h.args }
func (h *hcLogger) Name() string       { return h.name }

func (h *hcLogger) With(args ...any) hclog.Logger {
	all := append(append([]any{}, h.args...), args...)
	return &hcLogger{log: h.log, name: h.name, args: all}
}

func (h *hcLogger) Named(name string) hclog.Logger {
	if h.name != "" {
		name = h.name + "." + name
	}
	return h.ResetNamed(name)
}

func (h *hcLogger) ResetNamed(name string) hclog.Logger {
	return &hcLogger{log: h.log, name: name, args: h.args}
}

// SetLevel does nothing: the slog.Logger decides.
func (h *hcLogger) SetLevel(hclog.Level) {}

func (h *hcLogger) GetLevel() hclog.Level {
	for _, l := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Warn} {
		if h.is(l) {
			return l
		}
	}
	return hclog.Error
}

func (h *hcLogger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(h.StandardWriter(opts), "", 0)
}

func (h *hcLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return lineWriter{h} }

// lineWriter logs each Write as one line.
type lineWriter struct{ h *hcLogger }

func (w lineWriter) Write(p []byte) (int, error) {
	w.h.Info(string(bytes.TrimRight(p, "\n")))
	return len(p), nil
}
