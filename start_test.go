// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"runtime"
	"testing"
)

// TestSettingsCost bounds the memory that the options take at each start, with no file of
// them: copies of their table took 580 KB, and a page fault for every 4 of those.
func TestSettingsCost(t *testing.T) {
	const starts, most = 20, 64 << 10
	args := []string{"-onetime", "-confdir", ".", "-data-dir", "store", "-peer-addr", "127.0.0.1:7001", "-log-level", "warn"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range starts {
		runTask(t.Context(), args, system{})
		runCommand(t.Context(), args, system{})
		flags, err := parseFlags(args)
		environment, names := readEnvironment(testMachine().getenv)
		s := newSettings()
		err = errors.Join(err, firstPass(s, flags), lay(s, sources{flags: flags, environment: environment, names: names}))
		err = errors.Join(err, deduce(s, testMachine()), validate(s))
		if err != nil || useless(s) != nil || idle(s) != nil {
			t.Fatal(err, useless(s), idle(s))
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / starts; each > most {
		t.Errorf("the options have taken %d bytes, want at most %d", each, most)
	}
}
