// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// newConfDir makes a confdir with one resource, whose keys are below /app and whose
// template is given. It returns the directory and the destination.
func newConfDir(t *testing.T, template string) (dir, dest string) {
	t.Helper()
	dir = t.TempDir()
	dest = filepath.Join(dir, "app.conf")
	for name, text := range map[string]string{
		"conf.d/app.toml":    fmt.Sprintf("[template]\nsrc = \"app.tmpl\"\ndest = %q\nkeys = [\"/app\"]\n", dest),
		"templates/app.tmpl": template,
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, dest
}

// readFile returns a file's text, "" if there is none.
func readFile(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// An output is a writer that can be waited on.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced by each Write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await blocks until a part of the output that was not awaited yet matches, and
// returns the submatches.
func (o *output) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(30 * time.Second)
	for {
		o.mu.Lock()
		if at := re.FindSubmatchIndex(o.text.Bytes()); at != nil {
			var parts []string
			for _, part := range re.FindSubmatch(o.text.Bytes()) {
				parts = append(parts, string(part))
			}
			o.text.Next(at[1])
			o.mu.Unlock()
			return parts
		}
		more := o.more
		o.mu.Unlock()
		select {
		case <-more:
		case <-limit:
			t.Fatalf("waited in vain for %q; there is\n%s", pattern, o)
		}
	}
}

// A daemon is a run of confd beside the test.
type daemon struct {
	stdout, stderr *output
	hangups        chan os.Signal
	cancel         context.CancelFunc
	code           chan int
}

// startDaemon runs confd until the test ends.
func startDaemon(t *testing.T, args ...string) *daemon {
	t.Helper()
	return startDaemonIn(t, nil, args...)
}

// startDaemonIn does so in an environment.
func startDaemonIn(t *testing.T, env []string, args ...string) *daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{newOutput(), newOutput(), make(chan os.Signal, 1), cancel, make(chan int, 1)}
	sys := system{
		machine: testMachine(env...),
		environ: func() []string { return []string{"APP_V=from-environment"} },
		lookupSRV: func(context.Context, string) ([]*net.SRV, error) {
			return nil, errors.New("no name server")
		},
		stdout:  d.stdout,
		stderr:  d.stderr,
		hangups: d.hangups,
	}
	var running sync.WaitGroup
	running.Go(func() { d.code <- run(ctx, append(args, noConfig(t)), sys) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return d
}

// stop ends the daemon as SIGTERM does and returns the exit code.
func (d *daemon) stop() int {
	d.cancel()
	return <-d.code
}

// storeArgs are the flags of a daemon with its own store on free ports.
func storeArgs(confdir, dataDir string) []string {
	return []string{"-confdir", confdir, "-data-dir", dataDir, "-addr", "127.0.0.1:0", "-peer-addr", "127.0.0.1:0"}
}

const replaced = `INFO +replaced file .*\n`

// send makes a request with an empty body, or with a value.
func send(t *testing.T, method, target string, value ...string) (int, string) {
	t.Helper()
	var body io.Reader
	if len(value) > 0 {
		body = strings.NewReader(url.Values{"value": value}.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
