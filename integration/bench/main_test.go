// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuick runs one section at its smallest against the real programs.
func TestQuick(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.md")
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"-quick", "-only", "put", "-rounds", "2", "-round", "10ms", "-dir", dir, "-markdown", file}, &stdout, &stderr)
	if code != 0 || stderr.Len() > 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, &stdout, &stderr)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"command:    bench -quick -only put", "fdatasync:", "etcd:       3.", "## put: ", "| put, 256 connections, op/s | ≥ 3× | ",
		"| floor of a server, put, 256 connections, op/s |  | ", "| floor of a server, put, 1 connection, server CPU µs/op |  | ", "| what confd has of the floor, op/s, % |  | "} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if t.Failed() {
		t.Logf("the report:\n%s", page)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestFailingPeer checks that a peer that is not there fails the run, and says what helps.
func TestFailingPeer(t *testing.T) {
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"-quick", "-only", "put", "-dir", t.TempDir(), "-etcd", "false"}, &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "make deps") {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args   string
		code   int
		output string
	}{
		{"-help", 0, "bench -only put,get -rounds 9"},
		{"-list", 0, "writes of 256 B to one node"},
		{"-only nothing", 2, `no section "nothing"; -list has all`},
		{"-rounds -1", 2, "rounds must be above 0"},
		{"-unknown", 2, "not defined"},
		{"more", 2, `unexpected argument "more"`},
	} {
		var output strings.Builder
		code := run(t.Context(), strings.Fields(test.args), &output, &output)
		if code != test.code || !strings.Contains(output.String(), test.output) {
			t.Errorf("bench %s: exit code %d, want %d, and %q in\n%s", test.args, code, test.code, test.output, &output)
		}
	}
}
