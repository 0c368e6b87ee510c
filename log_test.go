// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestTextLog(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, "text", "info")
	for _, test := range []struct {
		log  func()
		want string // after the time; "" = nothing
	}{
		{func() { log.Info("plain") }, "INFO  plain"},
		{func() { log.Warn("with", "dest", "/tmp/x", "n", 3) }, "WARN  with dest=/tmp/x n=3"},
		{func() { log.With("resource", "a b").Error("bad", "err", errors.New("x")) }, `ERROR bad resource="a b" err=x`},
		{func() { log.WithGroup("g").Info("grouped", "level", 1) }, "INFO  grouped g.level=1"},
		{func() { log.Info("two\nlines", "k", "v\nw") }, `INFO  two lines k="v\nw"`},
		{func() { log.Info("100%!") }, "INFO  100%!"},
		{func() { log.Debug("hidden") }, ""},
	} {
		out.Reset()
		test.log()
		if test.want == "" {
			if out.Len() > 0 {
				t.Errorf("got %q, want nothing", &out)
			}
			continue
		}
		pattern := `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ` + regexp.QuoteMeta(test.want) + "\n$"
		if !regexp.MustCompile(pattern).Match(out.Bytes()) {
			t.Errorf("got %q, want %q", &out, pattern)
		}
	}
}

func TestJSONLog(t *testing.T) {
	var out bytes.Buffer
	newLogger(&out, "json", "debug").Debug("message", "key", "value")
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line["msg"] != "message" || line["key"] != "value" || line["level"] != "DEBUG" {
		t.Errorf("got %v", line)
	}
}

func TestLogLevels(t *testing.T) {
	shown := map[string]string{"panic": "E", "fatal": "E", "error": "E", "warn": "EW", "info": "EWI", "debug": "EWID"}
	for _, name := range logLevelNames {
		var out bytes.Buffer
		log := newLogger(&out, "text", name)
		log.Error("m")
		log.Warn("m")
		log.Info("m")
		log.Debug("m")
		var got string
		for line := range strings.Lines(out.String()) {
			got += strings.Fields(line)[1][:1]
		}
		if got != shown[name] {
			t.Errorf("%s shows %q, want %q", name, got, shown[name])
		}
	}
}

// TestTextLogConcurrent writes from several goroutines; lines must stay whole.
func TestTextLogConcurrent(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, "text", "info")
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			mine := log.With("writer", w)
			for range 100 {
				mine.Info("message", "text", strings.Repeat("x", 50))
			}
		})
	}
	writing.Wait()
	count := 0
	for line := range strings.Lines(out.String()) {
		count++
		if !regexp.MustCompile(`^\S+ INFO  message writer=[0-3] text=x{50}\n$`).MatchString(line) {
			t.Fatalf("broken line %q", line)
		}
	}
	if count != 400 {
		t.Errorf("%d lines, want 400", count)
	}
}

func TestReport(t *testing.T) {
	inner := errors.Join(errors.New("a"), hint(errors.New("b"), "do %s", "this"))
	for _, test := range []struct {
		err  error
		want string
	}{
		{inner, "error: a\nerror: b\nhint: do this\n"},
		{errors.Join(inner, errors.New("c\nd")), "error: a\nerror: b\nhint: do this\nerror: c d\n"},
		{fmt.Errorf("while trying: %w", hint(errors.New("x"), "y")), "error: while trying: x\nhint: y\n"},
		{fmt.Errorf("two: %w, %w", errors.New("x"), errors.New("y")), "error: two: x, y\n"},
		{sameText{inner}, "error: a\nerror: b\nhint: do this\n"},
	} {
		var out bytes.Buffer
		report(&out, test.err)
		if got := strings.ReplaceAll(out.String(), "confd: ", ""); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// sameText is an error that only marks another, as resource.FileError does.
type sameText struct{ error }

func (s sameText) Unwrap() error { return s.error }
