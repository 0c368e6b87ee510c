// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type tomlSample struct {
	Nodes    []string          `toml:"nodes"`
	Interval int               `toml:"interval"`
	Watch    *bool             `toml:"watch"`
	SyncOnly bool              `toml:"sync-only"`
	Wait     time.Duration     `toml:"wait"`
	Labels   map[string]string `toml:"labels"`
	Limit    *time.Duration    `toml:"limit"`
	Nested   struct {
		Name string `toml:"name"`
		Deep *struct {
			Mode string `toml:"mode"`
		} `toml:"deep"`
	} `toml:"nested"`
	hidden string
}

func TestDecodeStrict(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // the errors, without the file's name
	}{
		{"empty", "", nil},
		{"all", "nodes=['a','b']\ninterval=5\nwatch=true\nsync-only=true\nwait='30s'\nlimit='1m'\n" +
			"[labels]\na='b'\n[nested]\nname='x'\n[nested.deep]\nmode='y'\n", nil},
		{"other letter case", "INTERVAL = 5\n", nil},
		{"byte order mark", "\ufeffinterval = 5\n", nil},
		{"syntax", "interval = 5\nnodes = [\n", []string{`:2:10: unexpected EOF; expected value`}},
		{"duplicate", "interval = 5\ninterval = 6\n", []string{`:2:14: Key 'interval' has already been defined.`}},
		{"unknown key", "intervall = 5\n", []string{`:1:1: unknown key "intervall"; did you mean "interval"?`}},
		{"underscore for dash", "\nsync_only = true\n", []string{`:2:1: unknown key "sync_only"; did you mean "sync-only"?`}},
		{"swapped letters", "[nested]\nnaem = 'x'\n", []string{`:2:1: unknown key "naem"; did you mean "name"?`}},
		{"far from all", "[nested]\nxyzzyx = 'x'\n", []string{`:2:1: unknown key "xyzzyx" in [nested]`}},
		{"unknown table", "[other]\nx = 1\n", []string{`:1:1: unknown key "other"`}},
		{"deep", "[nested.deep]\nmood = 'x'\n", []string{`:2:1: unknown key "mood"; did you mean "mode"?`}},
		{"unexported", "hidden = 1\n", []string{`:1:1: unknown key "hidden"`}},
		{"wrong types", "nodes = 'a'\ninterval = '5'\nwatch = 'yes'\nwait = 30\n[labels]\n[nested]\nname = 5\n", []string{
			`:1:9: nodes must be a list of strings (["a", "b"]); found a string`,
			`:2:12: interval must be an integer; found a string; remove the quotes`,
			`:3:9: watch must be true or false; found a string; remove the quotes`,
			`:4:8: wait must be a string with a unit, such as "30s"; found an integer`,
			`:7:8: nested.name must be a string; found an integer; put it in quotes`}},
		{"duration without a unit", "wait = '30'\n", []string{`:1:8: wait: invalid duration: "30"`}},
		{"element", "nodes = ['a', 1]\n", []string{`:1:10: nodes must be a list of strings (["a", "b"]); an element is of another type`}},
		{"not a table", "nested = 5\n", []string{`:1:10: nested must be a table ([nested]); found an integer`}},
		{"array of tables", "[[nested]]\nname='x'\n", []string{`:1:1: nested must be a table ([nested]); found an array of tables`}},
		{"twice in two cases", "interval = 5\nInterval = 6\n", []string{`is given twice`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.toml")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var v tomlSample
			err := DecodeStrict(path, &v)
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %d errors, want %d:\n%s", len(got), len(test.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], path+":") {
					t.Errorf("error %q does not begin with the file", got[i])
				}
				if rest := strings.TrimPrefix(got[i], path); !strings.Contains(rest, test.want[i]) {
					t.Errorf("got  %q\nwant %q", rest, test.want[i])
				}
			}
		})
	}
}

func TestDecodeStrictValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.toml")
	text := "nodes=['a','b']\ninterval=5\nwatch=false\nbad=1\nwait='30s'\nlimit='1m'\n[labels]\na='b'\n[nested.deep]\nmode='y'\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v := tomlSample{hidden: "kept", SyncOnly: true}
	if err := DecodeStrict(path, &v); err == nil {
		t.Error("the unknown key is not reported")
	}
	if strings.Join(v.Nodes, ",") != "a,b" || v.Interval != 5 || v.Watch == nil || *v.Watch || v.Wait != 30*time.Second ||
		v.Limit == nil || *v.Limit != time.Minute || v.Labels["a"] != "b" || v.Nested.Deep == nil ||
		v.Nested.Deep.Mode != "y" || !v.SyncOnly || v.hidden != "kept" {
		t.Errorf("got %+v", v)
	}
}

func TestDecodeStrictMissingFile(t *testing.T) {
	err := DecodeStrict(filepath.Join(t.TempDir(), "none.toml"), &tomlSample{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}
