// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"confd/backends"
)

// TestDaemon starts the embedded store, does what the banner says to try, has the
// resources read again, ends, and starts again on the same data.
func TestDaemon(t *testing.T) {
	dir, dest := newConfDir(t, `[{{range gets "/app/*"}}{{.Key}}={{.Value}} {{end}}]`)
	data := t.TempDir()
	d := startDaemon(t, storeArgs(dir, data)...)
	d.stdout.await(t, `^confd \S+, node here\n`)
	api := d.stdout.await(t, `client API  (http://127\.0\.0\.1:\d+)\n`)[1]
	peer := d.stdout.await(t, `peer port   (127\.0\.0\.1:\d+)\n`)[1]
	d.stdout.await(t, `renders     app\.toml -> `+regexp.QuoteMeta(dest)+"\n")
	try := d.stdout.await(t, `try         curl -X PUT (\S+) -d value=(\S+)\n`)
	d.stderr.await(t, replaced)
	if got := readFile(dest); got != "[]" {
		t.Errorf("from the empty store: %q", got)
	}

	if code, body := send(t, http.MethodPut, try[1], try[2]); code != http.StatusCreated {
		t.Errorf("%s: status %d, %s", try[0], code, body)
	}
	d.stderr.await(t, replaced)
	if got, want := readFile(dest), "[/app/web1="+try[2]+" ]"; got != want {
		t.Errorf("after what the banner says: %q, want %q", got, want)
	}
	if code, body := send(t, http.MethodGet, "http://"+peer+"/version"); code != http.StatusOK {
		t.Errorf("peer port, /version: status %d, %s", code, body)
	}
	if code, _ := send(t, http.MethodGet, "http://"+peer+"/v2/keys/"); code != http.StatusNotFound {
		t.Errorf("peer port, keys: status %d", code)
	}

	testHangup(t, d, dir, dest, try[2])

	// An open watch does not hold up the end.
	watch, err := http.Get(api + "/v2/keys/app?wait=true&recursive=true&stream=true")
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Body.Close()
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d, %s", code, d.stderr)
	}

	d = startDaemon(t, storeArgs(dir, data)...)
	try = d.stdout.await(t, `try         curl -X PUT (\S+) -d value=(\S+)\n`)
	if !strings.HasSuffix(try[1], "/app/web2") {
		t.Errorf("the second start would have one write the same again: %s", try[0])
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d, %s", code, d.stderr)
	}
}

// testHangup changes the resources of a daemon whose store has one value.
func testHangup(t *testing.T, d *daemon, dir, dest, value string) {
	template := filepath.Join(dir, "templates/app.tmpl")
	if err := os.WriteFile(template, []byte(`{{.Broken`), 0o644); err != nil {
		t.Fatal(err)
	}
	d.hangups <- syscall.SIGHUP
	d.stderr.await(t, `ERROR reading resources; those with faults go on as they were err=.*app\.tmpl.*\n`)

	if err := os.WriteFile(template, []byte(`new: {{range gets "/app/*"}}{{.Value}}{{end}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	d.hangups <- syscall.SIGHUP
	d.stderr.await(t, `INFO  read the template resources again resources=1\n`)
	d.stderr.await(t, replaced)
	if got, want := readFile(dest), "new: "+value; got != want {
		t.Errorf("after SIGHUP: %q, want %q", got, want)
	}
}

// TestDaemonWithoutResources serves the store alone, and renders once there is something
// to render.
func TestDaemonWithoutResources(t *testing.T) {
	full, dest := newConfDir(t, `{{getv "/app/v" "none"}}`)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, storeArgs(dir, t.TempDir())...)
	api := d.stdout.await(t, `client API  (\S+)\n`)[1]
	d.stdout.await(t, `renders     nothing: no resource files in `)
	d.stderr.await(t, `WARN  nothing to render; add template resources dir=`)
	if code, body := send(t, http.MethodPut, api+"/v2/keys/app/v", "x"); code != http.StatusCreated {
		t.Errorf("status %d, %s", code, body)
	}
	if err := os.Rename(filepath.Join(full, "templates"), filepath.Join(dir, "templates")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(full, "conf.d/app.toml"), filepath.Join(dir, "conf.d/app.toml")); err != nil {
		t.Fatal(err)
	}
	d.hangups <- syscall.SIGHUP
	d.stderr.await(t, replaced)
	if got := readFile(dest); got != "x" {
		t.Errorf("rendered %q", got)
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d, %s", code, d.stderr)
	}
}

// TestDaemonElsewhere follows backends that are not the embedded store.
func TestDaemonElsewhere(t *testing.T) {
	values := writeFile(t, "v.yaml", "app:\n  v: from-file\n")
	for _, test := range []struct {
		name   string
		args   []string
		banner string
		want   string
	}{
		{"env", []string{"-backend=env", "-watch"}, `^confd \S+, values from the environment\n`, "from-environment"},
		{"env by interval", []string{"-backend=env", "-interval=1"}, `^confd`, "from-environment"},
		{"file", []string{"-file", values, "-watch"}, `values from ` + regexp.QuoteMeta(values) + "\n", "from-file"},
		{"file with a second look", []string{"-file", values, "-watch", "-interval=1"}, `^confd`, "from-file"},
	} {
		dir, dest := newConfDir(t, `{{getv "/app/v"}}`)
		d := startDaemon(t, append(test.args, "-confdir", dir, "-data-dir", t.TempDir())...)
		d.stdout.await(t, test.banner)
		d.stderr.await(t, replaced)
		if got := readFile(dest); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if strings.Contains(strings.Join(test.args, " "), "-interval") { // repaired by the next pass, no key has changed
			if err := os.WriteFile(dest, []byte("by hand"), 0o644); err != nil {
				t.Fatal(err)
			}
			d.stderr.await(t, replaced)
			if got := readFile(dest); got != test.want {
				t.Errorf("%s: repaired to %q, want %q", test.name, got, test.want)
			}
		}
		if code := d.stop(); code != exitOK {
			t.Errorf("%s: exit code %d, %s", test.name, code, d.stderr)
		}
	}
}

// TestStartFaults pins what people are told when the daemon cannot start.
func TestStartFaults(t *testing.T) {
	dir, _ := newConfDir(t, "x")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := t.TempDir()
	d := startDaemon(t, storeArgs(dir, data)...)
	d.stderr.await(t, replaced)
	notDir := writeFile(t, "file", "")

	for _, test := range []struct {
		name string
		args []string
		want string // a part of standard error
	}{
		{"client port in use", []string{"-confdir", dir, "-data-dir", t.TempDir(), "-addr", taken.Addr().String(), "-peer-addr", "127.0.0.1:0"},
			"address already in use\nconfd: hint: another confd or etcd may be running: follow it with -backend etcd -node http://" + taken.Addr().String() + ", or choose another address with -addr\n"},
		{"peer port in use", []string{"-confdir", dir, "-data-dir", t.TempDir(), "-addr", "127.0.0.1:0", "-peer-addr", taken.Addr().String()},
			"hint: another confd or etcd may be running; choose another address with -peer-addr\n"},
		{"client address of another machine", []string{"-store-only", "-data-dir", t.TempDir(), "-bind-addr", "192.0.2.1:4001", "-peer-addr", "127.0.0.1:0"},
			"hint: the address is not one of this machine; choose another with -bind-addr\n"},
		{"peer address of another machine", []string{"-store-only", "-data-dir", t.TempDir(), "-addr", "127.0.0.1:0", "-peer-bind-addr", "192.0.2.1:7001"},
			"hint: the address is not one of this machine; choose another with -peer-bind-addr\n"},
		{"data in use", storeArgs(dir, data),
			"hint: a confd is running on it; to render from that one use -backend etcd -node http://127.0.0.1:4001\n"},
		{"data in use, one-shot", append(storeArgs(dir, data), "-onetime"),
			"hint: a confd is running on it; to render from that one use -backend etcd -node http://127.0.0.1:4001\n"},
		{"data is a file", storeArgs(dir, notDir), "not a directory"},
		{"no confdir", []string{"-confdir", "/nowhere"},
			"confd: error: no template resources: \"/nowhere/conf.d\" does not exist\nconfd: hint: create it, even empty to serve the store alone, or name the directory that holds conf.d with -confdir\n"},
		{"no confdir, one-shot", []string{"-confdir", "/nowhere", "-backend=env", "-onetime"}, "no template resources"},
		{"confdir is a file", []string{"-confdir", notDir}, "looking for template resources"},
		{"certificate", []string{"-confdir", dir, "-node=h:1", "-client-ca-keys=/no.pem"}, "/no.pem"},
	} {
		code, stdout, stderr := runIt(t.Context(), nil, append(test.args, noConfig(t))...)
		if code != exitFailure || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d, standard output %q, standard error\n%s\nwant\n%s", test.name, code, stdout, stderr, test.want)
		}
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d, %s", code, d.stderr)
	}
}

// TestStoreFails takes the client port away from a store that serves.
func TestStoreFails(t *testing.T) {
	p := newProgram(t, storeArgs("/nowhere", t.TempDir())...)
	failed := make(chan error, 1)
	st, err := p.openStore(t.Context(), func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	if err := st.listeners[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !strings.Contains(err.Error(), "serving 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
	if err := st.close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if len(failed) > 0 {
		t.Errorf("closing counts as a failure: %v", <-failed)
	}
}

// TestTryLine checks that the command of the banner never overwrites a key.
func TestTryLine(t *testing.T) {
	for _, test := range []struct {
		name, template string
		keys           []string // that the store has
		want           string
	}{
		{"directory that is not there", `{{range gets "/app/*"}}{{end}}`, nil, "curl -X PUT URL/v2/keys/app/web1 -d value=10.0.0.1:8080"},
		{"names that are taken", `{{range gets "/app/*"}}{{end}}`, []string{"/app/web1", "/app/web2/x"}, "curl -X PUT URL/v2/keys/app/web3 -d value=10.0.0.1:8080"},
		{"file where a directory should be", `{{range gets "/app/*"}}{{end}}`, []string{"/app"}, "curl 'URL/v2/keys/app?recursive=true'"},
		{"key that is not there", `{{getv "/app"}}`, []string{"/apple"}, "curl -X PUT URL/v2/keys/app -d value=hello"},
		{"key that is there", `{{getv "/app"}}`, []string{"/app"}, "curl 'URL/v2/keys/app?recursive=true'"},
		{"directory in place of a key", `{{getv "/app"}}`, []string{"/app/x"}, "curl 'URL/v2/keys/app?recursive=true'"},
		{"neither", `{{getv "/app/x"}}`, nil, "curl 'URL/v2/keys/app?recursive=true'"},
	} {
		dir, _ := newConfDir(t, test.template)
		p := newProgram(t, "-confdir", dir)
		resources, err := p.load()
		if err != nil {
			t.Fatal(err)
		}
		all := backends.NewMap()
		for _, key := range test.keys {
			all.Set(key, "x")
		}
		if got := tryLine("URL", all.Keys(), resources); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	if got := tryLine("URL", backends.NewMap().Keys(), nil); got != "" {
		t.Errorf("without resources: %q", got)
	}
}
