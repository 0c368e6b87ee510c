// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a command may mention, in both forms. Keys that would mean something to a shell
// mean nothing. (kelseyhightower/confd#502, abtreece/confd#171.)
func TestCommandIsFilledIn(t *testing.T) {
	v := values{
		src: "/etc/.x", dest: "/etc/x", srcs: map[string]string{"/etc/y": "/etc/.y"},
		keys: []string{"/app"}, changed: []string{"/app/a", "/app/b c", "/app/$(reboot)", "/app/it's"},
	}
	for _, test := range []struct {
		text commandText
		want string // arguments in brackets
	}{
		{commandText{line: "check {{.src}} {{.dest}}"}, "[/bin/sh] [-c] [check /etc/.x /etc/x]"},
		{commandText{line: "c {{.keys}} {{.changed}}"}, `[/bin/sh] [-c] [c /app /app/a '/app/b c' '/app/$(reboot)' '/app/it'\''s']`},
		{commandText{line: "{{range .changed}}restart {{.}};{{end}}"}, `[/bin/sh] [-c] [restart /app/a;restart '/app/b c';restart '/app/$(reboot)';restart '/app/it'\''s';]`},
		{commandText{line: `{{len .changed}} {{index .srcs "/etc/y"}}`}, "[/bin/sh] [-c] [4 /etc/.y]"},
		{commandText{args: []string{"nginx", "-t", "-c", "{{.src}}"}}, "[nginx] [-t] [-c] [/etc/.x]"},
		{commandText{args: []string{"x", "{{ .changed }}", "--", "{{.keys}}"}}, "[x] [/app/a] [/app/b c] [/app/$(reboot)] [/app/it's] [--] [/app]"},
		{commandText{args: []string{"x", "k={{.changed}}"}}, "[x] [k=/app/a /app/b c /app/$(reboot) /app/it's]"},
	} {
		h, err := newCommandHook("x", test.text, surroundings{}, v)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		c, err := h.fill(v)
		var got []string
		for _, arg := range c.process().Args {
			got = append(got, "["+arg+"]")
		}
		if text := strings.Join(got, " "); err != nil || text != test.want {
			t.Errorf("%s: got %s, %v; want %s", test.text, text, err, test.want)
		}
	}
}

// The quoted words are what a shell reads.
func TestQuotedWords(t *testing.T) {
	words := []string{"", "plain", "a b", "'", `"`, "$x", "`id`", "\\", "a\nb", "*", "~", "é", "-n", "a;b"}
	out, err := exec.Command("/bin/sh", "-c", `for w in `+quoted(words).String()+`; do printf '[%s]' "$w"; done`).Output()
	if want := "[" + strings.Join(words, "][") + "]"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

func TestLoadHookFaults(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{`check_cmd = 5`, `:5:13: template.check_cmd: must be a line for the shell`},
		{`check_cmd = ["a", 5]`, `:5:14: template.check_cmd: the list may hold strings only`},
		{`reload_cmd = []`, `the list must begin with a program`},
		{`reload_cmd = ["x", "{{.dst}}"]`, `:5:15: template: reload_cmd:1:`},
		{`check_cmd = ["x", "{{.src"]`, `:5:14: template: check_cmd:1: unclosed action`},
		{"reload_cmd = 'x'\nreload_url = 'http://x/'", `:6:14: reload_cmd and reload_url are given; a resource has one reload`},
		{`reload_signal = "HUP"`, `:5:17: reload_signal needs pid_file`},
		{"reload_signal = 'NOPE'\npid_file = '/x'", `:5:17: reload_signal "NOPE" is not the name of a signal`},
		{"reload_signal = 'KILL'\npid_file = '/x'", `reload_signal "KILL" is not`},
		{`pid_file = "/x"`, `:5:12: pid_file is for reload_signal`},
		{`reload_url = "x"`, `:5:14: reload_url is not an address such as`},
		{`reload_method = "PUT"`, `reload_method is for reload_url`},
		{"reload_url = 'http://x/'\nreload_method = 'DELETE'", `:6:17: reload_method "DELETE": want POST, PUT or GET`},
		{`reload_unit = "nginx"`, `:5:15: reload_unit "nginx" is not the name of a unit, such as "nginx.service"`},
		{`user = "nosuchuser"`, `:5:8: user "nosuchuser": user: unknown user nosuchuser`},
		{`env = "A=b"`, `:5:7: template.env must be a table ({NAME = "value"}); found a string`},
		{`required = ["/other"]`, `:5:13: required key "/other" is not below any of keys`},
		{`min_keys = -1`, `:5:12: min_keys must be a number from 0 on`},
		{`wait = "5"`, `:5:8: wait "5": want a duration`},
		{`splay = "-5s"`, `:5:9: splay cannot be negative`},
		{`min_reload_interval = 5`, `must be a string with a unit`},
		{`rollback = true`, `rollback needs a place for the earlier versions; name one with -data-dir`},
		{`backup = 2`, `backup needs a place`},
		{`backup = -2`, `backup must be a number from 0 on`},
	} {
		c := newConfdir(t)
		c.file("templates/a.tmpl", "x")
		path := c.file("conf.d/x.toml", "[template]\nsrc = 'a.tmpl'\ndest = '/x'\nkeys = ['/app']\n"+test.lines+"\n")
		_, err := LoadDir(c.path, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), path+":") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s:\ngot  %v\nwant %s", test.lines, err, test.want)
		}
	}
}

// Commands with surroundings of their own, as root.
func TestCommandSurroundings(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	t.Setenv("LEVEL", "outer")
	c := newConfdir(t)
	os.Chmod(c.path, 0o777)
	for _, dir := range []string{filepath.Dir(c.path), filepath.Dir(filepath.Dir(c.path))} {
		os.Chmod(dir, 0o755)
	}
	c.resource("a", `check_cmd = ["/bin/sh", "-c", "echo $LEVEL $EMPTY. $NOTIFY_SOCKET. $PWD $HOME $(id -un) $(id -G) >told"]`,
		`env = {LEVEL = "inner", EMPTY = ""}`, fmt.Sprintf("dir = %q", c.path), `user = "www-data"`)
	if err := c.runner(newMemory("/a", "1"), nil).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	groups, err := exec.Command("id", "-G", "www-data").Output()
	if err != nil {
		t.Fatal(err)
	}
	c.wantFile(filepath.Join(c.path, "told"), fmt.Sprintf("inner . . %s /var/www www-data %s", c.path, groups))
	if got := statOf(t, filepath.Join(c.path, "told")).uid; got != 33 {
		t.Errorf("the file belongs to %d", got)
	}
}

func TestArgvIsNoShell(t *testing.T) {
	c := newConfdir(t)
	made := filepath.Join(c.path, "made")
	c.resource("a", fmt.Sprintf(`reload_cmd = ["touch", "%s $(x); y"]`, made))
	if err := c.runner(newMemory("/a", "1"), nil).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(made + " $(x); y"); err != nil {
		t.Error(err)
	}
	c.resource("a", `reload_cmd = ["/no/such/program"]`, `mode = "0600"`)
	if err := c.runner(newMemory("/a", "1"), nil).Once(t.Context()); err == nil || !strings.Contains(err.Error(), "reloading: starting command: ") {
		t.Errorf("got %v", err)
	}
}

// .changed tells which keys are not what they were, for a reload all those since the
// last one that succeeded; when that is not known, all.
func TestChangedKeys(t *testing.T) {
	c := newConfdir(t)
	for _, name := range []string{"a", "b"} {
		c.resource(name, `reload_cmd = "reload {{.changed}}"`, `check_cmd = "check {{.changed}}"`)
		c.file("templates/"+name+".tmpl", `{{range gets "/*"}}{{.Key}}={{.Value}} {{end}}`)
	}
	sh, b := counting("a", "b")
	fail := false
	sh.do = func(_ context.Context, line string) error {
		if fail && strings.HasPrefix(line, "reload") {
			return errInjected
		}
		return nil
	}
	run := c.runner(b, sh.run)
	pass := func(want string) {
		t.Helper()
		sh.ran = nil
		run.Once(t.Context())
		if got := strings.Join(sh.ran, "; "); got != want {
			t.Errorf("ran %s\nwant %s", got, want)
		}
	}
	pass("check /a /b; check /a /b; reload /a /b")
	b.set("/a", "1")
	pass("check /a; check /a; reload /a")
	fail = true
	b.set("/b", "1")
	pass("check /b; check /b; reload /b")
	b.set("/c", "1")
	b.m.Delete("/a")
	pass("check /a /c; check /a /c; reload /a /b /c")
	run = c.runner(b, sh.run) // another process
	fail = false
	pass("reload /b /c")
	pass("")
}

func TestReloadSignal(t *testing.T) {
	c := newConfdir(t)
	pidFile, got := filepath.Join(c.path, "pid"), filepath.Join(c.path, "got")
	c.resource("a", `reload_signal = "usr2"`, fmt.Sprintf("pid_file = %q", pidFile))
	b := newMemory("/a", "1")
	run := c.runner(b, nil)
	if err := run.Once(t.Context()); err != nil || c.log.count("the service does not run") != 1 || c.log.count("reloaded") != 0 {
		t.Errorf("without a service: %v\n%s", err, c.log)
	}
	cmd := exec.Command("/bin/sh", "-c", `trap 'echo reload >>`+got+`' USR2; echo $$ >`+pidFile+`; while :; do sleep 0.05; done`)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the start", func() bool { data, _ := os.ReadFile(pidFile); return strings.HasSuffix(string(data), "\n") })
	b.set("/a", "2")
	if err := run.Once(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "the signal", func() bool { data, _ := os.ReadFile(got); return string(data) == "reload\n" })
	if c.log.count("reloaded") != 1 {
		t.Errorf("it is not told that the service has the file:\n%s", c.log)
	}
	cmd.Process.Kill()
	cmd.Wait()
	b.set("/a", "3") // the file has the number of a process that is no more
	if err := run.Once(t.Context()); err != nil || c.log.count("the service does not run") != 2 {
		t.Errorf("with a stale file: %v\n%s", err, c.log)
	}
	os.WriteFile(pidFile, nil, 0o644)
	b.set("/a", "4")
	if err := run.Once(t.Context()); err != nil || c.log.count("the service does not run") != 3 {
		t.Errorf("with an empty file: %v\n%s", err, c.log)
	}
	for _, text := range []string{" ", "x", "0", "-1", "-" + strconv.Itoa(os.Getpid())} {
		os.WriteFile(pidFile, []byte(text), 0o644)
		b.set("/a", "x"+text)
		if err := run.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "does not hold the number of a process") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestReloadURL(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	var requests []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests = append(requests, r.Method+" "+r.URL.String())
		mu.Unlock()
		switch r.URL.Path {
		case "/slow":
			<-release
		case "/away":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/bad":
			http.Error(w, "no such\nserver", http.StatusBadRequest)
		}
	}))
	defer server.Close()
	defer close(release)
	for _, test := range []struct{ path, lines, request, want string }{
		{"/ok", "", "POST /ok", ""},
		{"/ok?token=hush", "reload_method = 'PUT'", "PUT /ok?token=hush", ""},
		{"/bad?token=hush", "", "POST /bad?token=hush", "reloading: POST http://HOST/bad?…: 400 Bad Request: no such | server"},
		{"/away", "reload_method = 'GET'", "GET /away", "302 Found"},
		{"/slow", "reload_cmd_timeout = '50ms'", "POST /slow", "timed out after 50ms"},
	} {
		mu.Lock()
		requests = nil
		mu.Unlock()
		c := newConfdir(t)
		c.resource("a", fmt.Sprintf("reload_url = %q", server.URL+test.path), test.lines)
		err := c.runner(newMemory("/a", "1"), nil).Once(t.Context())
		want := strings.ReplaceAll(test.want, "HOST", strings.TrimPrefix(server.URL, "http://"))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", test.path, err, want)
		}
		mu.Lock()
		if len(requests) != 1 || requests[0] != test.request {
			t.Errorf("%s: got %q", test.path, requests)
		}
		mu.Unlock()
	}
	c := newConfdir(t)
	c.resource("a", "reload_url = 'http://me:hush@127.0.0.1:1/'")
	err := c.runner(newMemory("/a", "1"), nil).Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
}

// Reloads that do the same are one, whatever their form.
func TestSameReload(t *testing.T) {
	for _, test := range []struct {
		one, two string
		same     bool
	}{
		{`reload_cmd = "x"`, `reload_cmd = "x"`, true},
		{`reload_cmd = "x"`, `reload_cmd = ["x"]`, false},
		{`reload_cmd = "x {{.dest}}"`, `reload_cmd = "x {{.dest}}"`, false},
		{`reload_cmd = "x {{.changed}}"`, `reload_cmd = "x {{.changed}}"`, true},
		{"reload_cmd = 'x'\ndir = '/'", `reload_cmd = "x"`, false},
		{"reload_cmd = 'x'\nenv = {A = '1', B = '2'}", "reload_cmd = 'x'\nenv = {B = '2', A = '1'}", true},
		{"reload_cmd = 'x'\nuser = 'www-data'", `reload_cmd = "x"`, false},
		{"reload_signal = 'HUP'\npid_file = '/p'", "reload_signal = 'SIGHUP'\npid_file = '/p'", true},
		{"reload_signal = 'HUP'\npid_file = '/p'", "reload_signal = 'USR1'\npid_file = '/p'", false},
		{"reload_url = 'http://x/'", "reload_url = 'http://x/'", true},
		{"reload_unit = 'x.service'", "reload_unit = 'x.service'", true},
	} {
		c := newConfdir(t)
		c.resource("a", test.one)
		c.resource("b", test.two)
		if got := len(lanesOf(c.load(Options{}, nil))) == 1; got != test.same {
			t.Errorf("%s and %s: same is %v", test.one, test.two, got)
		}
	}
}

// A command that is cut off says why, with what it printed.
func TestTimeoutOfAHook(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `check_cmd = ["/bin/sh", "-c", "echo began; sleep 60"]`, `check_cmd_timeout = "200ms"`)
	start := time.Now()
	err := c.runner(newMemory("/a", "1"), nil).Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "checking: timed out after 200ms: began") || time.Since(start) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}
