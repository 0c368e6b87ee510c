// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"confd/raftkv"
	"confd/resource"
)

// TestStatus follows a resource that fails and comes right, from outside.
func TestStatus(t *testing.T) {
	dir, _ := newConfDir(t, `{{getv "/app/v"}}`)
	ok := filepath.Join(dir, "ok")
	f, err := os.OpenFile(filepath.Join(dir, "conf.d/app.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "check_cmd = 'echo \"what is wrong\"; test -e %s'\nreload_cmd = 'true'\n", ok)
	f.Close()
	d := startDaemon(t, "-backend=env", "-watch", "-confdir", dir, "-data-dir", t.TempDir(), "-status-addr", "127.0.0.1:0")
	url := strings.TrimSuffix(d.stderr.await(t, `serving the status url=(\S+)`)[1], "/status")
	addr := strings.TrimPrefix(url, "http://")
	d.stderr.await(t, `ERROR applying resource; it will be tried again resource=app.toml .*index=\d+ .*what is wrong`)

	page := statusOf(t, url)
	r := page.Resources[0]
	if page.UpToDate || !page.Backend.Reachable || r.State != "failed" || r.Failures == 0 || r.Retry == nil ||
		r.Seen == 0 || r.Rendered != r.Seen || r.Checked != 0 || !strings.Contains(r.Error, "checking: exit status 1: what is wrong") {
		t.Errorf("got %+v", page)
	}
	for path, want := range map[string]string{"/healthz": "200 ok\n", "/readyz": "503 app.toml: failed: checking: exit status 1: what is wrong\n", "/": "404 404 page not found\n"} {
		if code, body := send(t, http.MethodGet, url+path); fmt.Sprint(code, " ", body) != want {
			t.Errorf("%s: got %d %s", path, code, body)
		}
	}
	code, stdout, _ := ctl(t, "", nil, "status", "-status-addr", addr)
	if code != ctlUnhealthy || !regexp.MustCompile(`(?m)^app\.toml +failed +\d+ +\d+ +0 +0 +0 +/`).MatchString(stdout) ||
		!regexp.MustCompile(`(?m)^app\.toml: failed \d+ times?, tried again in \d+s: checking: exit status 1: what is wrong$`).MatchString(stdout) {
		t.Errorf("exit code %d\n%s", code, stdout)
	}

	if err := os.WriteFile(ok, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.stderr.await(t, `INFO  recovered resource=app.toml`)
	d.stderr.await(t, `INFO  reloaded resource=app.toml index=\d+`)
	for !statusOf(t, url).UpToDate { // the log is a moment earlier
		time.Sleep(time.Millisecond)
	}
	r = statusOf(t, url).Resources[0]
	if r.State != "up to date" || r.Reloaded != r.Seen || r.Written != r.Seen || r.Writes != 1 || r.Reloads != 1 || r.WrittenAt == nil || r.CheckSeconds <= 0 || r.Error != "" {
		t.Errorf("got %+v", r)
	}
	if code, _ := send(t, http.MethodGet, url+"/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
	_, body := send(t, http.MethodGet, url+"/metrics")
	for _, want := range []string{
		`confd_resource_up_to_date{resource="app.toml"} 1`, `confd_resource_writes_total{resource="app.toml"} 1`,
		fmt.Sprintf(`confd_resource_index{resource="app.toml",step="reloaded"} %d`, r.Reloaded), "confd_backend_reachable 1", "confd_backend_age_seconds 0",
		"process_resident_memory_bytes ", "go_goroutines ",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if code, stdout, stderr := ctl(t, "", []string{"CONFD_STATUS_ADDR=" + addr}, "status", "-o", "json"); code != exitOK || !strings.Contains(stdout, `"up_to_date": true`) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if code, _, stderr := ctl(t, "", nil, "status", "-status-addr", addr); code != ctlNoServer || !strings.Contains(stderr, "asking the daemon") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if code, _, stderr := ctl(t, "", nil, "status"); code != ctlFailure || !strings.Contains(stderr, "hint: name its address") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// TestStatusWhileTheStoreOpens checks that one can see what is waited for at the start: to
// be let into a cluster, for discovery, for SRV records.
func TestStatusWhileTheStoreOpens(t *testing.T) {
	dir, _ := newConfDir(t, "x")
	for _, args := range [][]string{
		{"-addr=127.0.0.1:0", "-peer-addr=127.0.0.1:0", "-peers=127.0.0.1:1"},
		{"-addr=127.0.0.1:0", "-peer-addr=127.0.0.1:0", "-discovery=http://127.0.0.1:1/v2/keys/x"},
		{"-backend=etcd", "-srv-record=_none._tcp.example.com"},
	} {
		d := startDaemon(t, append(args, "-watch", "-confdir", dir, "-data-dir", t.TempDir(), "-status-addr", "127.0.0.1:0")...)
		url := strings.TrimSuffix(d.stderr.await(t, `serving the status url=(\S+)`)[1], "/status")
		page := statusOf(t, url)
		if b := page.Backend; page.UpToDate || b.Reachable || b.Error != errNotOpen.Error() || len(page.Resources) != 1 || page.Resources[0].State != "not yet" {
			t.Errorf("%v: got %+v", args, page)
		}
		if code, body := send(t, http.MethodGet, url+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "it is not open yet") {
			t.Errorf("%v: /readyz: %d %s", args, code, body)
		}
		if code, _ := send(t, http.MethodGet, url+"/healthz"); code != http.StatusOK {
			t.Errorf("%v: /healthz: %d", args, code)
		}
		if _, body := send(t, http.MethodGet, url+"/metrics"); !strings.Contains(body, "\nconfd_backend_reachable 0\n") {
			t.Errorf("%v: /metrics:\n%s", args, body)
		}
		if code := d.stop(); code != exitOK {
			t.Errorf("%v: exit code %d\n%s", args, code, d.stderr)
		}
	}
}

// TestStatusOfABrokenEdit checks that an edit with a mistake is seen from outside while
// the version of before goes on, and that it is over with the next edit.
func TestStatusOfABrokenEdit(t *testing.T) {
	dir, _ := newConfDir(t, "x")
	d := startDaemon(t, "-backend=env", "-watch", "-confdir", dir, "-data-dir", t.TempDir(), "-status-addr", "127.0.0.1:0")
	url := strings.TrimSuffix(d.stderr.await(t, `serving the status url=(\S+)`)[1], "/status")
	d.stderr.await(t, `replaced file`)
	template := filepath.Join(dir, "templates/app.tmpl")
	if err := os.WriteFile(template, []byte("\n{{nosuch}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.stderr.await(t, `ERROR reading resources; those with faults go on as they were`)
	var page statusPage
	for len(page.Broken) == 0 { // the log is a moment earlier
		page = statusOf(t, url)
	}
	b, r := page.Broken[0], page.Resources[0]
	wrong := template + ":2:3: function \"nosuch\" not defined; the template of "
	if len(page.Broken) != 1 || page.UpToDate || !b.EarlierVersion || len(b.Resources) != 1 || b.Resources[0] != "app.toml" || b.Since.IsZero() ||
		b.File != filepath.Join(dir, "conf.d/app.toml") || len(b.Errors) != 1 || !strings.HasPrefix(b.Errors[0], wrong) || r.State != "edit broken" || r.UpToDate || r.Error != "" {
		t.Errorf("got %+v", page)
	}
	_, body := send(t, http.MethodGet, url+"/metrics")
	for _, want := range []string{`confd_resource_edit_broken{resource="app.toml"} 1`, `confd_resource_up_to_date{resource="app.toml"} 0`, "confd_files_broken 1"} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	addr := strings.TrimPrefix(url, "http://")
	code, stdout, _ := ctl(t, "", nil, "status", "-status-addr", addr)
	if code != ctlUnhealthy || !regexp.MustCompile(`(?m)^app\.toml +edit broken +1 `).MatchString(stdout) ||
		!regexp.MustCompile(`(?m)^app\.toml: edit broken for \d+s, the earlier version keeps working: `+regexp.QuoteMeta(wrong)).MatchString(stdout) {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if code, _ := send(t, http.MethodGet, url+"/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}

	// A new one that is broken has no earlier version.
	fresh := filepath.Join(dir, "conf.d/new.toml")
	if err := os.WriteFile(fresh, []byte("[template]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for len(page.Broken) != 2 {
		page = statusOf(t, url)
	}
	if code, body := send(t, http.MethodGet, url+"/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, fresh+": broken: "+fresh+":1:1: src is missing") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if _, stdout, _ := ctl(t, "", nil, "status", "-status-addr", addr); !strings.Contains(stdout, fresh+": edit broken for ") || !strings.Contains(stdout, "there is no earlier version: ") {
		t.Errorf("got\n%s", stdout)
	}

	if err := errors.Join(os.Remove(fresh), os.WriteFile(template, []byte("y"), 0o600)); err != nil {
		t.Fatal(err)
	}
	d.stderr.await(t, `all resource files are in order again`)
	for !page.UpToDate {
		page = statusOf(t, url)
	}
	if len(page.Broken) != 0 || page.Resources[0].State != "up to date" {
		t.Errorf("got %+v", page)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func statusOf(t *testing.T, url string) statusPage {
	t.Helper()
	_, body := send(t, http.MethodGet, url+"/status")
	var page statusPage
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	return page
}

// TestStatusOfABackendThatIsDown starts before the store does, which is no reason to end.
func TestStatusOfABackendThatIsDown(t *testing.T) {
	dir, _ := newConfDir(t, "x")
	d := startDaemon(t, "-backend=etcd", "-node=http://127.0.0.1:1", "-watch", "-confdir", dir, "-data-dir", t.TempDir(), "-status-addr", "127.0.0.1:0")
	url := strings.TrimSuffix(d.stderr.await(t, `serving the status url=(\S+)`)[1], "/status")
	d.stderr.await(t, `WARN  reading values does not work; trying again until it does`)
	page := statusOf(t, url)
	if b := page.Backend; page.UpToDate || b.Reachable || b.Age <= 0 || b.Error == "" || page.Resources[0].State != "not yet" {
		t.Errorf("got %+v", page)
	}
	_, stdout, _ := ctl(t, "", nil, "status", "-status-addr", strings.TrimPrefix(url, "http://"))
	if !strings.Contains(stdout, "backend etcd not reachable for ") {
		t.Errorf("got\n%s", stdout)
	}
	if code, body := send(t, http.MethodGet, url+"/readyz"); code != http.StatusServiceUnavailable ||
		!regexp.MustCompile(`^backend etcd not reachable: reading .*\napp\.toml: not yet\n$`).MatchString(body) {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestStatusAfterARollback checks what the table says while the version that was put back
// is not reloaded either: that is tried again, and the one that was taken back is not.
func TestStatusAfterARollback(t *testing.T) {
	now := time.Now()
	st := resource.Status{Name: "a.toml", Dest: "/a", Pending: true, Failures: 1,
		Err: errors.New("reloading: exit status 1; rolled back"), ReloadErr: errors.New("reloading: exit status 2"), ReloadRetry: now.Add(7 * time.Second)}
	text := func() string {
		var b strings.Builder
		writeStatus(&b, statusPage{Resources: []resourceStatus{rowOf(st)}}, now)
		_, text, _ := strings.Cut(b.String(), "  /a\n")
		return text
	}
	want := "a.toml: failed 1 time, not tried again by itself: reloading: exit status 1; rolled back\n" +
		"a.toml: the reload of the version that is in place is tried again in 7s: reloading: exit status 2\n"
	if got := text(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	st.Err, st.Retry = st.ReloadErr, st.ReloadRetry // without a rollback
	if got, want := text(), "a.toml: failed 1 time, tried again in 7s: reloading: exit status 2\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestMetricsOfNames checks that a name cannot break the page, and that all metrics are
// in docs/daemon.md.
func TestMetricsOfNames(t *testing.T) {
	if got := label("a", "x\"\\\ny"); got != `a="x\"\\\ny"` {
		t.Errorf("got %s", got)
	}
	s := &statusServer{}
	s.begin(resource.NewRunner(resource.Config{}))
	var page raftkv.MetricsPage
	s.writeMetrics(&page, time.Now())
	doc := readFile("docs/daemon.md")
	for line := range strings.Lines(string(page.Bytes())) {
		rest, ok := strings.CutPrefix(line, "# HELP ")
		if !ok {
			continue
		}
		name, help, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if !regexp.MustCompile("(?m)^\\| `" + name + "` \\| \\w+ \\| " + regexp.QuoteMeta(help) + " \\|$").MatchString(doc) {
			t.Errorf("docs/daemon.md should have the row of %s: %s", name, help)
		}
	}
}
