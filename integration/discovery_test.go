// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"confd/integration/freeport"
)

// TestDiscovery: three members of Debian's etcd find each other through a token that our
// store has made, and form one cluster. A fourth is told that the cluster is full.
func TestDiscovery(t *testing.T) {
	needs(t, "etcd")
	d := newDaemon(t, map[string]string{"conf.d/.keep": "", "templates/.keep": ""})
	d.start(t)
	token := getText(t, "http://"+d.api+"/discovery/new?size=3")
	if !strings.HasPrefix(token, "http://"+d.api+"/v2/keys/_etcd/registry/") {
		t.Fatalf("token URL %q", token)
	}
	var clients []string
	for i := range 3 {
		client := freeport.Addr(t)
		clients = append(clients, client)
		startDiscovering(t, fmt.Sprintf("m%d", i), client, token)
	}
	for _, client := range clients {
		eventually(t, client+" is in a cluster of three with a leader", func() bool {
			names, ok := memberNames("http://" + client)
			return ok && slices.Equal(names, []string{"m0", "m1", "m2"})
		})
	}
	var list struct {
		Node struct{ Nodes []struct{ Value string } }
	}
	if err := json.Unmarshal([]byte(getText(t, token)), &list); err != nil || len(list.Node.Nodes) != 3 {
		t.Errorf("the token has %d members, want 3 (%v)", len(list.Node.Nodes), err)
	}

	late := startDiscovering(t, "late", freeport.Addr(t), token)
	if err := late.cmd.Wait(); err == nil {
		t.Error("a fourth member ended without an error")
	}
	if log := late.text(t); !strings.Contains(log, "cluster is full") {
		t.Errorf("a fourth member was not told that the cluster is full:\n%s", log)
	}
}

// discovering is an etcd that joins by discovery.
type discovering struct {
	cmd *exec.Cmd
	log string
}

func (e discovering) text(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(e.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[max(0, len(b)-4096):])
}

// startDiscovering runs an etcd until the test ends.
func startDiscovering(t *testing.T, name, client, token string) discovering {
	t.Helper()
	dir, peer := t.TempDir(), "http://"+freeport.Addr(t)
	e := discovering{log: filepath.Join(dir, "log")}
	out, err := os.Create(e.log)
	if err != nil {
		t.Fatal(err)
	}
	e.cmd = exec.Command("etcd", "--enable-v2", "--name", name, "--data-dir", filepath.Join(dir, "data"),
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--discovery", token, "--discovery-fallback", "exit")
	e.cmd.Stdout, e.cmd.Stderr = out, out
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.cmd.Process.Kill() // it may have ended by itself
		_ = e.cmd.Wait()
		out.Close()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, e.text(t))
		}
	})
	return e
}

// memberNames returns the names of the members as that one shows them, sorted, and
// whether it knows a leader.
func memberNames(client string) ([]string, bool) {
	var list struct {
		Members []struct{ Name string }
	}
	for _, q := range []struct {
		path string
		to   any
	}{{"/v2/members/leader", &struct{}{}}, {"/v2/members", &list}} {
		resp, err := http.Get(client + q.path)
		if err != nil {
			return nil, false
		}
		err = json.NewDecoder(resp.Body).Decode(q.to)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return nil, false
		}
	}
	var names []string
	for _, m := range list.Members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names, true
}

// getText returns the body of a GET that must succeed.
func getText(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s %v", url, resp.StatusCode, b, err)
	}
	return string(b)
}
