// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/integration/freeport"
)

// daemon is a confd process with the embedded store, in a folder of its own.
type daemon struct {
	dir, api, peer string
	args           []string // besides those that start gives
	log            *os.File
	cmd            *exec.Cmd
}

// newDaemon prepares a folder with the given files; start starts it.
func newDaemon(t testing.TB, files map[string]string) *daemon {
	t.Helper()
	d := &daemon{dir: t.TempDir(), api: freeport.Addr(t), peer: freeport.Addr(t)}
	for name, text := range files {
		path := filepath.Join(d.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if d.log, err = os.Create(filepath.Join(d.dir, "confd.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.kill()
		d.log.Close()
		if t.Failed() {
			data, _ := os.ReadFile(d.log.Name())
			t.Logf("log of the daemon:\n%s", data[max(0, len(data)-8192):])
		}
	})
	return d
}

func (d *daemon) start(t testing.TB) {
	t.Helper()
	d.launch(t)
	d.await(t)
}

// launch is start without waiting for the client API.
func (d *daemon) launch(t testing.TB) {
	t.Helper()
	d.cmd = exec.Command(filepath.Join(binDir, "confd"), append([]string{"-confdir", ".", "-data-dir", "data", "-addr", d.api, "-peer-addr", d.peer}, d.args...)...)
	d.cmd.Dir = d.dir
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// await waits until the client API answers.
func (d *daemon) await(t testing.TB) {
	t.Helper()
	eventually(t, "the client API answers", func() bool {
		resp, err := http.Get("http://" + d.api + "/version")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill is kill -9.
func (d *daemon) kill() {
	if d.cmd != nil {
		d.cmd.Process.Kill()
		d.cmd.Wait()
		d.cmd = nil
	}
}

// put writes a key and returns whether that was acknowledged.
func (d *daemon) put(ctx context.Context, key, value string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+d.api+"/v2/keys"+key,
		strings.NewReader(url.Values{"value": {value}}.Encode()))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false
	}
	return resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (d *daemon) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(d.dir, name))
	return string(data)
}

// TestKill kills the daemon with SIGKILL again and again in the middle of writes,
// renders and reloads. No acknowledged write may be lost, and in the end the file must
// equal the store and a reload must have seen it.
func TestKill(t *testing.T) {
	const writers, rounds = 4, 8
	d := newDaemon(t, map[string]string{
		"conf.d/all.toml": `[template]
src = "all.tmpl"
dest = "all.conf"
keys = ["/w"]
reload_cmd = "cp all.conf reloaded.new && mv reloaded.new reloaded.conf"
`,
		"templates/all.tmpl": `{{range gets "/w/*"}}{{.Key}}={{.Value}}
{{end}}`,
	})
	acked := make([]int, writers) // :: writer → last value that was acknowledged
	tried := make([]int, writers) // :: writer → last value that was sent
	total := 0
	for round := range rounds {
		d.start(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for ctx.Err() == nil {
					tried[w]++
					if !d.put(ctx, fmt.Sprintf("/w/%d", w), strconv.Itoa(tried[w])) {
						return // the outcome is open
					}
					acked[w] = tried[w]
				}
			})
		}
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond) // the moment of the kill is what varies
		d.kill()
		cancel()
		wg.Wait()

		d.start(t)
		for w := range writers {
			got := getValue(t, d.api, fmt.Sprintf("/w/%d", w))
			if got < acked[w] || got > tried[w] {
				t.Fatalf("round %d: writer %d: acknowledged up to %d, sent up to %d, the store has %d", round, w, acked[w], tried[w], got)
			}
			total += acked[w]
			tried[w], acked[w] = got, got
		}
		d.kill()
	}
	if total == 0 {
		t.Fatal("no write was acknowledged")
	}

	d.start(t)
	var want strings.Builder
	for w := range writers {
		fmt.Fprintf(&want, "/w/%d=%d\n", w, tried[w])
	}
	eventually(t, "the file equals the store", func() bool { return d.read("all.conf") == want.String() })
	eventually(t, "a reload has seen it", func() bool { return d.read("reloaded.conf") == want.String() })
	left, err := filepath.Glob(filepath.Join(d.dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

func getValue(t testing.TB, api, key string) int {
	t.Helper()
	resp, err := http.Get("http://" + api + "/v2/keys" + key)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusNotFound {
		return 0
	}
	_, rest, _ := strings.Cut(string(body), `"value":"`)
	text, _, _ := strings.Cut(rest, `"`)
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("GET %s: %s", key, body)
	}
	return n
}
