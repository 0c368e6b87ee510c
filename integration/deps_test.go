// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms is the map of the project: which room may import which others. A room that is
// not named here must not exist.
var rooms = map[string][]string{
	".": {
		"backends", "backends/env", "backends/etcd", "backends/file", "backends/raftkv",
		"resource", "template", "raftkv", "raftkv/v2http", "raftkv/client",
	},
	"backends":             {},
	"backends/backendtest": {"backends"},
	"backends/env":         {"backends"},
	"backends/file":        {"backends"},
	"backends/etcd":        {"backends", "raftkv/client"},
	"backends/raftkv":      {"backends", "raftkv", "raftkv/tree"},
	"template":             {"backends"},
	"resource":             {"backends", "template"},
	"raftkv":               {"raftkv/fsm", "raftkv/rawio", "raftkv/tree"},
	"raftkv/auth":          {},
	"raftkv/client":        {"raftkv/rawio", "raftkv/tree"},
	"raftkv/fsm":           {"raftkv/tree"},
	"raftkv/raftkvtest":    {"raftkv", "raftkv/tree"},
	"raftkv/rawio":         {},
	"raftkv/tree":          {},
	"raftkv/v2http":        {"raftkv", "raftkv/auth", "raftkv/tree", "raftkv/v2http/http1"},
	"raftkv/v2http/http1":  {"raftkv/rawio"},
	"integration":          {},

	"integration/freeport":     {},
	"integration/bench":        {"integration/bench/load", "integration/bench/proc", "integration/bench/report", "integration/freeport"},
	"integration/bench/floor":  {"integration/freeport"},
	"integration/bench/load":   {},
	"integration/bench/proc":   {},
	"integration/bench/report": {},
}

// libraries says who may import a module from outside, tests aside. Raft stays in its
// rooms; nobody but the main package knows several of them.
var libraries = map[string][]string{
	"github.com/BurntSushi/toml":           {"backends/file", "resource", "template"},
	"github.com/VictoriaMetrics/metrics":   {".", "raftkv/v2http"},
	"github.com/fsnotify/fsnotify":         {"backends/file", "resource"},
	"github.com/godbus/dbus/v5":            {"resource"},
	"github.com/hashicorp/go-hclog":        {"raftkv"},
	"github.com/hashicorp/go-raftchunking": {"raftkv", "raftkv/fsm", "raftkv/raftkvtest"},
	"github.com/hashicorp/raft":            {"raftkv", "raftkv/fsm", "raftkv/raftkvtest"},
	"github.com/hashicorp/raft-wal":        {"raftkv", "raftkv/raftkvtest"},
	"github.com/kelseyhightower/memkv":     {"template"},
	"github.com/tidwall/btree":             {"backends"},
	"go.yaml.in/yaml/v3":                   {"backends/file", "template"},
	"golang.org/x/crypto":                  {"raftkv/auth", "template"},
	"golang.org/x/sys":                     {".", "raftkv", "resource", "integration/bench", "integration/bench/floor", "integration/bench/proc"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Module     *struct{ Path string }
}

// goList returns the packages of the project, or all that it is built from with deps.
func goList(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Module"}, args...)...)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bufio.NewReader(bytes.NewReader(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// room returns the room of an import path, and whether it is one of the project's.
func room(path string) (string, bool) {
	if path == "confd" {
		return ".", true
	}
	return strings.CutPrefix(path, "confd/")
}

func TestImportsFollowTheMap(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range goList(t, "./...") {
		from, ok := room(p.ImportPath)
		if !ok {
			t.Errorf("%s is no package of this module", p.ImportPath)
			continue
		}
		allowed, ok := rooms[from]
		if !ok {
			t.Errorf("room %q is not on the map", from)
			continue
		}
		seen[from] = true
		for _, imp := range p.Imports {
			if to, ok := room(imp); ok {
				if !slices.Contains(allowed, to) {
					t.Errorf("%s imports %s: not an arrow of the map", from, to)
				}
				continue
			}
			if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // the standard library
			}
			module := ""
			for m := range libraries {
				if (imp == m || strings.HasPrefix(imp, m+"/")) && len(m) > len(module) {
					module = m
				}
			}
			if module == "" {
				t.Errorf("%s imports %s, a library that is not on the list", from, imp)
			} else if !slices.Contains(libraries[module], from) {
				t.Errorf("%s imports %s, which belongs to %v", from, imp, libraries[module])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		if name != "integration" && !seen[name] {
			t.Errorf("room %q of the map does not exist", name)
		}
	}
}

// TestBinaryHasNoTestCode keeps test kits and test libraries out of the program.
func TestBinaryHasNoTestCode(t *testing.T) {
	for _, p := range goList(t, "-deps", ".") {
		for _, bad := range []string{"confd/backends/backendtest", "confd/raftkv/raftkvtest", "pgregory.net/rapid", "github.com/anishathalye/porcupine"} {
			if p.ImportPath == bad {
				t.Errorf("the program is linked with %s", bad)
			}
		}
	}
}

// TestDependenciesAreDocumented compares docs/dependencies.md with what is linked.
func TestDependenciesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for line := range strings.SplitSeq(string(page), "\n") {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			path, _, _ := strings.Cut(rest, "`")
			documented[path] = true
		}
	}
	linked := make(map[string]bool)
	for _, p := range goList(t, "-deps", ".") {
		if p.Module != nil && p.Module.Path != "confd" {
			linked[p.Module.Path] = true
		}
	}
	for path := range linked {
		if !documented[path] {
			t.Errorf("%s is linked and not documented", path)
		}
	}
	for path := range documented {
		if !linked[path] {
			t.Errorf("%s is documented and not linked", path)
		}
	}
}
