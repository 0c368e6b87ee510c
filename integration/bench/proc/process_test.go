// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(t.TempDir(), filepath.Join(t.TempDir(), "log"), []string{"SAYS=it"}, "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestEnded(t *testing.T) {
	p := start(t, "echo why $SAYS ended; exit 3")
	<-p.Done()
	if err := p.Failed(); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "why it ended") {
		t.Errorf("of a program that has ended: %v", err)
	}
	if err := p.Stop(); err == nil {
		t.Error("a program that had ended was stopped")
	}
}

func TestUsage(t *testing.T) {
	p := start(t, "while :; do :; done")
	if err := p.Failed(); err != nil {
		t.Errorf("of a program that runs: %v", err)
	}
	for used := time.Duration(0); used < 10*time.Millisecond; {
		var err error
		if used, err = p.CPU(); err != nil || used > time.Minute {
			t.Fatalf("used %v, %v", used, err)
		}
	}
	rss, peak, err := p.Memory()
	if err != nil || rss < 100<<10 || peak < rss {
		t.Errorf("memory %d, peak %d, %v", rss, peak, err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, _, err := p.Memory(); err == nil {
		t.Error("the memory of a program that has ended")
	}
}
