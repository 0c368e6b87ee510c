// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoadFaults(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // in order; each without the file's name
	}{
		{"no table", "", []string{`: there is no [template] table`}},
		{"empty table", "[template]\n", []string{
			`:1:1: src is missing in [template]`, `:1:1: dest is missing in [template]`}},
		{"typing error", "[template]\nsrc='a.tmpl'\ndest='/x'\nreload-cmd='x'\n", []string{
			`:4:1: unknown key "reload-cmd"; did you mean "reload_cmd"?`}},
		{"outside the table", "src='a.tmpl'\n[template]\nsrc='a.tmpl'\ndest='/x'\n", []string{`:1:1: unknown key "src"`}},
		{"all at once", "[template]\nsrc=5\ndest='/x/'\nmode='rw'\nuid=-1\nkeys='/'\n", []string{
			`:2:5: template.src must be a string; found an integer; put it in quotes`,
			`:3:6: dest "/x/" must name a file, not a directory`,
			`:4:6: mode "rw" is not an octal number such as "0644"`,
			`:5:5: uid must be a number from 0 on`,
			`:6:6: template.keys must be a list of strings`}},
		{"escape", "[template]\nsrc='../a.tmpl'\ndest='/x'\n", []string{`:2:5: src "../a.tmpl" leads out of the templates directory`}},
		{"escape in the middle", "[template]\nsrc='x/../../a.tmpl'\ndest='/x'\n", []string{`leads out of the templates directory`}},
		{"no template", "[template]\nsrc='b.tmpl'\ndest='/x'\n", []string{`:2:5: template "b.tmpl" does not exist; templates belong in`}},
		{"two owners", "[template]\nsrc='a.tmpl'\ndest='/x'\nuid=0\nowner='root'\n", []string{`:5:7: uid and owner are both given`}},
		{"two groups", "[template]\nsrc='a.tmpl'\ndest='/x'\ngid=0\ngroup='root'\n", []string{`:5:7: gid and group are both given`}},
		{"no such owner", "[template]\nsrc='a.tmpl'\ndest='/x'\nowner='nosuchuser'\n", []string{`:4:7: owner "nosuchuser": user: unknown user nosuchuser`}},
		{"number as owner", "[template]\nsrc='a.tmpl'\ndest='/x'\nowner='4711'\n", []string{`for a number write uid = 4711`}},
		{"no such group", "[template]\nsrc='a.tmpl'\ndest='/x'\ngroup='nosuchgroup'\n", []string{`:4:7: group "nosuchgroup"`}},
		{"mode as a number", "[template]\nsrc='a.tmpl'\ndest='/x'\nmode=644\n", []string{`:4:6: template.mode must be a string; found an integer; put it in quotes`}},
		{"mode too short", "[template]\nsrc='a.tmpl'\ndest='/x'\nmode='44'\n", []string{`:4:6: mode "44" is not`}},
		{"mode too large", "[template]\nsrc='a.tmpl'\ndest='/x'\nmode='17777'\n", []string{`:4:6: mode "17777" is not`}},
		{"mode with a nine", "[template]\nsrc='a.tmpl'\ndest='/x'\nmode='0690'\n", []string{`:4:6: mode "0690" is not`}},
		{"check_cmd does not parse", "[template]\nsrc='a.tmpl'\ndest='/x'\ncheck_cmd='x {{.src'\n", []string{`:4:11: template: check_cmd:1: unclosed action`}},
		{"check_cmd with an unknown field", "[template]\nsrc='a.tmpl'\ndest='/x'\ncheck_cmd='x {{.dst}}'\n", []string{`it may use {{.src}} and {{.dest}}, {{.srcs}}`}},
		{"timeout without unit", "[template]\nsrc='a.tmpl'\ndest='/x'\ncheck_cmd_timeout=30\n", []string{`:4:19: template.check_cmd_timeout must be a string with a unit`}},
		{"missingkey", "[template]\nsrc='a.tmpl'\ndest='/x'\nmissingkey='none'\n", []string{`:4:12: missingkey "none" is not one of "error", "zero" and "default"`}},
		{"negative timeout", "[template]\nsrc='a.tmpl'\ndest='/x'\nreload_cmd_timeout='-1s'\n", []string{`:4:20: reload_cmd_timeout must be longer than nothing`}},
		{"syntax", "[template\n", []string{`:2:10: expected '.' or ']' to end table name`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConfdir(t)
			c.file("templates/a.tmpl", "x")
			c.file("templates/broken.tmpl", "{{getv")
			path := c.file("conf.d/x.toml", test.text)
			resources, err := LoadDir(c.path, Options{})
			if len(resources) != 0 {
				t.Errorf("got %d resources, want none", len(resources))
			}
			if err == nil {
				t.Fatal("got no error")
			}
			if file, ok := errors.AsType[*FileError](err); !ok || file.Path != path {
				t.Errorf("the error does not tell the file: %v", err)
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(test.want) {
				t.Fatalf("got %d lines, want %d:\n%v", len(got), len(test.want), err)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], path+":") || !strings.Contains(got[i], test.want[i]) {
					t.Errorf("got  %s\nwant %s%s", got[i], path, test.want[i])
				}
			}
		})
	}
}

// A mistake in a template is told for the template; the resource comes behind.
func TestLoadBrokenTemplate(t *testing.T) {
	c := newConfdir(t)
	broken := c.file("templates/broken.tmpl", "x\n {{getv")
	path := c.file("conf.d/x.toml", "[template]\nsrc='broken.tmpl'\ndest='/x'\nmode='rw'\n")
	_, err := LoadDir(c.path, Options{})
	want := path + ":4:6: mode \"rw\" is not an octal number such as \"0644\"\n" +
		broken + ":2:2: unclosed action; the template of " + path + ":2:5"
	if file, ok := errors.AsType[*FileError](err); !ok || file.Path != path || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestLoadValues(t *testing.T) {
	c := newConfdir(t)
	c.file("templates/sub/a.tmpl", "x")
	c.file("conf.d/x.toml", `[template]
src = "/sub/a.tmpl"
dest = "/etc/../etc/x.conf"
prefix = "app/"
keys = ["/db", "web/", "/"]
owner = "root"
group = "root"
mode = "4755"
check_cmd = "check {{.src}}"
reload_cmd = "reload {{ .dest }} {{.src}}"
check_cmd_timeout = "1m"
`)
	r := c.load(Options{}, nil)[0]
	if r.Name != "x.toml" || r.Dest != "/etc/x.conf" || r.Src != filepath.Join(c.path, "templates/sub/a.tmpl") {
		t.Errorf("got name %q, dest %q, src %q", r.Name, r.Dest, r.Src)
	}
	if r.Prefix != "/app" || !slices.Equal(r.Keys, []string{"/app/db", "/app/web", "/app"}) {
		t.Errorf("got prefix %q, keys %q", r.Prefix, r.Keys)
	}
	if r.uid != 0 || r.gid != 0 || r.mode != 0o4755 {
		t.Errorf("got uid %d, gid %d, mode %o", r.uid, r.gid, r.mode)
	}
	reload, err := r.reload.(*commandHook).fill(values{src: r.Dest, dest: r.Dest})
	if r.check.String() != "check {{.src}}" || reload.line != "reload /etc/x.conf /etc/x.conf" || err != nil {
		t.Errorf("got check %q, reload %q, %v", r.check, reload, err)
	}
	if r.CheckTimeout != time.Minute || r.ReloadTimeout != time.Minute {
		t.Errorf("got timeouts %v, %v", r.CheckTimeout, r.ReloadTimeout)
	}

	r = c.load(Options{Prefix: "/other", SyncOnly: true}, nil)[0]
	if r.Prefix != "/other" || !slices.Equal(r.Keys, []string{"/other/db", "/other/web", "/other"}) {
		t.Errorf("with -prefix: got prefix %q, keys %q", r.Prefix, r.Keys)
	}
	if r.check != nil || r.reload != nil {
		t.Error("sync-only does not leave the commands out")
	}
}

func TestLoadDefaults(t *testing.T) {
	c := newConfdir(t)
	c.file("templates/a.tmpl", "x")
	c.file("conf.d/x.toml", "[template]\nsrc='a.tmpl'\ndest='/x'\n")
	r := c.load(Options{}, nil)[0]
	if r.uid != -1 || r.gid != -1 || r.mode != unsetMode || r.Prefix != "/" || len(r.Keys) != 0 ||
		r.CheckTimeout != 30*time.Second || r.ReloadTimeout != 60*time.Second {
		t.Errorf("got %+v", r)
	}
}

func TestLoadMode(t *testing.T) {
	for text, want := range map[string]uint32{"0644": 0o644, "644": 0o644, "0o640": 0o640, "0600": 0o600, "2755": 0o2755, "": unsetMode} {
		l := loader{spec: &spec{Mode: text}, doc: &document{}}
		if got := l.mode(); got != want || l.faults != nil {
			t.Errorf("mode %q: got %o (%v), want %o", text, got, l.faults, want)
		}
	}
}

// A reload_cmd of confd 0.16 was never a template.
func TestLoadReloadLiteral(t *testing.T) {
	for _, line := range []string{"service nginx reload", `docker ps --format '{{.Names}}'`, "echo {{", `x {{.dst}}`} {
		c := newConfdir(t)
		c.resource("a", fmt.Sprintf("reload_cmd = %q", line))
		reload, err := c.load(c.options(), nil)[0].reload.(*commandHook).fill(values{})
		if got := reload.line; got != line || err != nil {
			t.Errorf("got %q, want %q", got, line)
		}
		if strings.Contains(line, "{{") && c.log.count("runs as it is written") != 1 {
			t.Errorf("nothing is said about %q", line)
		}
	}
}

func TestLoadFindsFiles(t *testing.T) {
	c := newConfdir(t)
	c.file("templates/a.tmpl", "x")
	n := 0
	add := func(name string) {
		n++
		c.file(name, fmt.Sprintf("[template]\nsrc='a.tmpl'\ndest='/dest%d'\n", n))
	}
	for _, name := range []string{"conf.d/b.toml", "conf.d/a.toml", "conf.d/ab/z.toml", "conf.d/sub/deep/c.toml",
		"conf.d/.hidden.toml", "conf.d/.git/d.toml", "conf.d/xtoml", "conf.d/e.toml.bak", "elsewhere/f.toml"} {
		add(name)
	}
	// A Kubernetes volume: "..data" links to a directory with the files, and each file
	// is a link into "..data".
	add("conf.d/k8s/..2026_01/g.toml")
	for link, target := range map[string]string{
		"conf.d/k8s/..data": "..2026_01", "conf.d/k8s/g.toml": "..data/g.toml",
		"conf.d/linked": "../elsewhere", "conf.d/sub/circle": "..", "conf.d/none": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(c.path, link)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range c.load(Options{}, nil) {
		got = append(got, r.Name)
	}
	want := []string{"a.toml", "ab/z.toml", "b.toml", "k8s/g.toml", "linked/f.toml", "sub/deep/c.toml"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	// conf.d itself may be a link.
	other := t.TempDir()
	for _, dir := range []string{"conf.d", "templates"} {
		if err := os.Symlink(filepath.Join(c.path, dir), filepath.Join(other, dir)); err != nil {
			t.Fatal(err)
		}
	}
	resources, err := LoadDir(other, Options{})
	if err != nil || len(resources) != len(want) {
		t.Errorf("through a link: got %d resources (%v), want %d", len(resources), err, len(want))
	}
}

func TestLoadGoodBesideBroken(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	c.resource("b", "moed = '0644'", "uid = 'x'")
	c.resource("c")
	c.file("conf.d/d.toml", fmt.Sprintf("[template]\nsrc='a.tmpl'\ndest=%q\n", c.dest("a")))
	if err := os.Symlink("nowhere", filepath.Join(c.path, "conf.d/e.toml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", c.dest("link")); err != nil {
		t.Fatal(err)
	}
	c.file("conf.d/f.toml", fmt.Sprintf("[template]\nsrc='a.tmpl'\ndest=%q\n", c.dest("link")))
	resources, err := LoadDir(c.path, Options{})
	if len(resources) != 2 || resources[0].Name != "a.toml" || resources[1].Name != "c.toml" {
		t.Errorf("got %v, want a.toml and c.toml", resources)
	}
	broken, known := brokenFiles(err)
	if !known || len(broken) != 4 {
		t.Errorf("got broken files %v, want 4", broken)
	}
	for _, want := range []string{`b.toml:5:1: unknown key "moed"; did you mean "mode"?`, `b.toml:6:7: template.uid must be an integer`,
		`d.toml:3:6: dest "` + c.dest("a") + `" is already that of`, "e.toml", "f.toml:3:6: dest"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestLoadMissing(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                           `conf.d" does not exist; resource files`,
		filepath.Join(dir, "nowhere"): `nowhere" does not exist; it holds conf.d and templates`,
	} {
		resources, err := LoadDir(path, Options{})
		if resources != nil || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, %v, want %q", resources, err, want)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if resources, err := LoadDir(dir, Options{}); err != nil || len(resources) != 0 {
		t.Errorf("empty conf.d: got %v, %v", resources, err)
	}
}
