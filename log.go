// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// logLevelNames are the levels of confd 0.16, the gravest first.
var logLevelNames = []string{"panic", "fatal", "error", "warn", "info", "debug"}

// logLevel returns the level that a name stands for. panic and fatal show what error
// shows: nothing here is logged above it.
func logLevel(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "info":
		return slog.LevelInfo
	case "warn":
		return slog.LevelWarn
	}
	return slog.LevelError
}

// newLogger returns a logger that writes to w in one of the formats of -log-format.
func newLogger(w io.Writer, format, level string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: logLevel(level)}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(newTextHandler(w, opts.Level))
}

// A textHandler writes lines for people:
//
//	2026-11-23T01:09:02Z INFO  replaced file resource=nginx.toml dest=/etc/nginx/nginx.conf
//
// The attributes are left to slog's own text handler, which writes them to a buffer.
type textHandler struct {
	sink  *textSink
	attrs slog.Handler // writes to sink.line
}

// A textSink is shared by all loggers derived from one.
type textSink struct {
	mu   sync.Mutex
	w    io.Writer
	line bytes.Buffer
}

func newTextHandler(w io.Writer, level slog.Leveler) *textHandler {
	sink := &textSink{w: w}
	dropHead := func(groups []string, a slog.Attr) slog.Attr {
		head := a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey
		if len(groups) == 0 && head {
			return slog.Attr{}
		}
		return a
	}
	return &textHandler{sink, slog.NewTextHandler(&sink.line, &slog.HandlerOptions{Level: level, ReplaceAttr: dropHead})}
}

// Enabled implements slog.Handler.
func (h *textHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &textHandler{h.sink, h.attrs.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *textHandler) WithGroup(name string) slog.Handler {
	return &textHandler{h.sink, h.attrs.WithGroup(name)}
}

// Handle implements slog.Handler.
func (h *textHandler) Handle(ctx context.Context, r slog.Record) error {
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	line := &h.sink.line
	line.Reset()
	line.WriteString(r.Time.UTC().Format(time.RFC3339))
	line.WriteString(" ")
	line.WriteString((r.Level.String() + "     ")[:5])
	line.WriteString(" ")
	line.WriteString(oneLine(r.Message))
	head := line.Len()
	if err := h.attrs.Handle(ctx, r); err != nil { // ends the line
		return err
	}
	if line.Len() > head+1 {
		whole := line.String()
		line.Reset()
		line.WriteString(whole[:head] + " " + whole[head:])
	}
	_, err := h.sink.w.Write(line.Bytes())
	return err
}

// oneLine keeps a text on one line, so that no one can forge a second.
func oneLine(s string) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, []byte(s)))
}
