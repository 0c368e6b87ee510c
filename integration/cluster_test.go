// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newNode prepares a daemon that is the node of that name of a cluster, and renders
// nothing.
func newNode(t *testing.T, name string, args ...string) *daemon {
	t.Helper()
	d := newDaemon(t, nil)
	d.args = append([]string{"-store-only", "-name", name}, args...)
	return d
}

// roles returns what a node says of its cluster, as NAME=ROLE, sorted; the role of a member
// that does not answer is in parentheses.
func (d *daemon) roles(t *testing.T) string {
	t.Helper()
	var report struct {
		Members []struct {
			Name, Role string
			Answers    bool
		}
	}
	if err := json.Unmarshal([]byte(d.ask("GET", "/v2/stats/cluster", "")), &report); err != nil {
		return err.Error()
	}
	var all []string
	for _, m := range report.Members {
		if !m.Answers {
			m.Role = "(" + m.Role + ")"
		}
		all = append(all, m.Name+"="+m.Role)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (d *daemon) ask(method, path, form string) string {
	return ask(method, "http://"+d.api+path, form)
}

// ask returns the body of an answer, or why there is none.
func ask(method, url, form string) string {
	req, err := http.NewRequest(method, url, strings.NewReader(form))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// awaitRoles waits until a node says so of its cluster. In want * is a follower or the
// leader, of which there must be one.
func (d *daemon) awaitRoles(t *testing.T, want string) {
	t.Helper()
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("the cluster is %s, want %s", got, want)
		}
	}()
	eventually(t, "the cluster is "+want, func() bool {
		got = d.roles(t)
		votes := strings.NewReplacer("=leader", "=*", "=follower", "=*")
		return strings.Count(got, "=leader") == 1 && votes.Replace(got) == want
	})
}

// TestStandby: of four nodes one stands by. It serves reads, writes and watches, gets the
// vote of one that is killed, and that one stands by when it is back.
func TestStandby(t *testing.T) {
	a := newNode(t, "a", "-cluster-active-size=3", "-cluster-remove-delay=2", "-cluster-sync-interval=1")
	nodes := []*daemon{a, newNode(t, "b", "-peers", a.peer), newNode(t, "c", "-peers", a.peer), newNode(t, "d", "-peers", a.peer)}
	for i, d := range nodes {
		d.start(t)
		want := []string{"a=*", "a=* b=*", "a=* b=* c=*", "a=* b=* c=* d=standby"}[i]
		a.awaitRoles(t, want)
	}
	d := nodes[3]
	d.awaitRoles(t, "a=* b=* c=* d=standby")
	if got := getText(t, "http://"+d.peer+"/v2/admin/machines/d"); !strings.Contains(got, `"state":"standby"`) {
		t.Errorf("the standby as a machine: %s", got)
	}

	watch, err := http.Get("http://" + d.api + "/v2/keys/w?wait=true&recursive=true&stream=true")
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Body.Close()
	if got := d.ask("PUT", "/v2/keys/w/x", "value=1"); !strings.Contains(got, `"value":"1"`) {
		t.Errorf("a write at the standby: %s", got)
	}
	if got := d.ask("GET", "/v2/keys/w/x?quorum=true", ""); !strings.Contains(got, `"value":"1"`) {
		t.Errorf("a read at the standby: %s", got)
	}
	if line, err := bufio.NewReader(watch.Body).ReadString('\n'); err != nil || !strings.Contains(line, `"value":"1"`) {
		t.Errorf("a watch at the standby: %q, %v", line, err)
	}

	// One that leads is killed, the others have its place taken.
	killed := slices.IndexFunc(nodes, func(d *daemon) bool { return strings.Contains(d.ask("GET", "/v2/stats/self", ""), "StateLeader") })
	if killed < 0 {
		t.Fatal("nobody leads")
	}
	nodes[killed].kill()
	name := string("abcd"[killed])
	want := strings.Replace("a=* b=* c=* d=*", name+"=*", name+"=(standby)", 1)
	d.awaitRoles(t, want)
	if got := d.ask("PUT", "/v2/keys/w/x", "value=2"); !strings.Contains(got, `"value":"2"`) {
		t.Errorf("a write after that: %s", got)
	}
	nodes[killed].start(t)
	d.awaitRoles(t, strings.ReplaceAll(strings.ReplaceAll(want, "(", ""), ")", ""))
	eventually(t, "the one that was killed has what it missed", func() bool {
		return strings.Contains(nodes[killed].ask("GET", "/v2/keys/w/x", ""), `"value":"2"`)
	})
}

// TestMemberAdd adds members by "confd member add", and starts each with what that prints.
func TestMemberAdd(t *testing.T) {
	a := newNode(t, "a")
	a.start(t)
	want := "a=*"
	for _, name := range []string{"b", "c"} {
		d := newNode(t, name)
		out, err := exec.Command(filepath.Join(binDir, "confd"), "member", "add", name, "http://"+d.peer, "--endpoints", a.api).Output()
		if err != nil {
			t.Fatal(err)
		}
		id := strings.Fields(string(out))[6]
		env := filepath.Join(d.dir, "env")
		if err := os.WriteFile(env, out[strings.Index(string(out), "ETCD_"):], 0o644); err != nil {
			t.Fatal(err)
		}
		d.startWith(t, env)
		want += " " + name + "=*"
		a.awaitRoles(t, want)
		if got := d.ask("GET", "/v2/stats/self", ""); !strings.Contains(got, `"id":"`+id+`"`) {
			t.Errorf("%s was added as %s, and is %s", name, id, got)
		}
	}
}

// startWith starts the daemon with the variables of a file, without flags that say the
// same.
func (d *daemon) startWith(t *testing.T, env string) {
	t.Helper()
	d.cmd = exec.Command("sh", "-c", `set -a; . "$0"; exec "$@"`, env,
		filepath.Join(binDir, "confd"), "-store-only", "-data-dir", "data", "-addr", d.api, "-peer-addr", d.peer)
	d.cmd.Dir = d.dir
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.await(t)
}

// TestDiscoverEachOther starts three nodes at once that find each other by a key of a store:
// of confd and of etcd, in the protocol of 2.x and in that of 0.4. A fourth comes later, and
// the first again without its disk.
func TestDiscoverEachOther(t *testing.T) {
	needs(t, "etcd")
	service := newNode(t, "service")
	service.start(t)
	etcd, _ := startPlainEtcd(t)
	for _, test := range []struct{ name, url string }{
		{"confd", getText(t, "http://"+service.api+"/discovery/new?size=3")},
		{"etcd", sized(t, "http://"+etcd+"/v2/keys/found/1")},
		{"etcd 0.4's protocol", "http://" + service.api + "/v2/keys/_etcd/registry/old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var nodes []*daemon
			for _, name := range []string{"a", "b", "c"} {
				nodes = append(nodes, newNode(t, name, "-discovery", test.url))
			}
			for _, d := range nodes {
				d.launch(t)
			}
			for _, d := range nodes {
				d.awaitRoles(t, "a=* b=* c=*")
			}
			late := newNode(t, "late", "-discovery", test.url)
			late.start(t)
			nodes[0].awaitRoles(t, "a=* b=* c=* late=*")

			// Its data is gone: it must neither make a cluster of its own nor be taken for
			// the one that it was.
			nodes[0].stop(t)
			if err := os.RemoveAll(filepath.Join(nodes[0].dir, "data")); err != nil {
				t.Fatal(err)
			}
			nodes[0].launch(t)
			if err := nodes[0].cmd.Wait(); err == nil || !strings.Contains(nodes[0].read("confd.log"), `name belongs to another member: "a"`) {
				t.Errorf("without its disk: %v", err)
			}
			nodes[0].cmd = nil
		})
	}
}

// stop ends the daemon as its service manager does.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { d.cmd.Process.Kill() })
	defer timer.Stop()
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	d.cmd = nil
}

// sized has a token for three nodes made at that URL.
func sized(t *testing.T, url string) string {
	t.Helper()
	if answer := ask("PUT", url+"/_config/size", "value=3"); !strings.Contains(answer, `"action":"set"`) {
		t.Fatalf("making a token: %s", answer)
	}
	return url
}
