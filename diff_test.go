// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"confd/resource"
	"confd/template"
)

func TestUnified(t *testing.T) {
	for _, test := range []struct{ name, old, fresh, want string }{
		{"equal", "a\nb\n", "a\nb\n", ""},
		{"from nothing", "", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"to nothing", "a\n", "", "@@ -1 +0,0 @@\n-a\n"},
		{"one line", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
		{"line feed at the end", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		{"two hunks", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "x\n2\n3\n4\n5\n6\n7\n8\ny\n",
			"@@ -1,3 +1,3 @@\n-1\n+x\n 2\n 3\n@@ -7,3 +7,3 @@\n 7\n 8\n-9\n+y\n"},
		{"one hunk", "1\n2\n3\n4\n5\n6\n", "x\n2\n3\n4\n5\ny\n",
			"@@ -1,6 +1,6 @@\n-1\n+x\n 2\n 3\n 4\n 5\n-6\n+y\n"},
		{"moved", "a\nb\nc\n", "c\na\nb\n", "@@ -1,3 +1,3 @@\n+c\n a\n b\n-c\n"},
	} {
		if got := unified(diffLines(splitLines(test.old), splitLines(test.fresh)), 2); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

// apply makes one side of a diff.
func side(edits []edit, without byte) string {
	var b strings.Builder
	for _, e := range edits {
		if e.kind != without {
			b.WriteString(e.line)
		}
	}
	return b.String()
}

// TestDiffRandom holds that a diff leads from the old text to the new one, by itself and
// as the program patch understands it, and is no longer than it must be.
func TestDiffRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteString(string(rune('a'+random.IntN(4))) + "\n")
		}
		return strings.TrimRight(b.String(), map[bool]string{true: "\n"}[random.IntN(5) == 0])
	}
	for i := range 2000 {
		old, fresh := text(12), text(12)
		edits := diffLines(splitLines(old), splitLines(fresh))
		if side(edits, '+') != old || side(edits, '-') != fresh {
			t.Fatalf("%q to %q: %v", old, fresh, edits)
		}
		if got, want := changes(edits), distance(splitLines(old), splitLines(fresh)); got != want {
			t.Fatalf("%q to %q: %d edits, want %d", old, fresh, got, want)
		}
		if i < 100 {
			patched(t, old, fresh, unified(edits, i%4))
		}
	}
	long := strings.Repeat("a\nb\n", 2*maxEdits)
	other := strings.Repeat("c\n", 3*maxEdits)
	if edits := diffLines(splitLines(long), splitLines(other)); side(edits, '+') != long || side(edits, '-') != other {
		t.Error("texts with nothing in common: the diff does not lead from one to the other")
	}
}

func changes(edits []edit) int {
	n := 0
	for _, e := range edits {
		if e.kind != ' ' {
			n++
		}
	}
	return n
}

// distance is the number of edits, by the longest common subsequence.
func distance(a, b []string) int {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := range a {
		for j := range b {
			common[i+1][j+1] = max(common[i][j+1], common[i+1][j])
			if a[i] == b[j] {
				common[i+1][j+1] = common[i][j] + 1
			}
		}
	}
	return len(a) + len(b) - 2*common[len(a)][len(b)]
}

// patched has git apply the diff.
func patched(t *testing.T, old, fresh, diff string) {
	t.Helper()
	if diff == "" {
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"apply", "--unidiff-zero", "--recount", "-"}
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("--- a/f\n+++ b/f\n" + diff)
	out, err := cmd.CombinedOutput()
	if got := readFile(path); err != nil || got != fresh {
		t.Fatalf("git apply: %v\n%s\n%q became %q, want %q, by\n%s", err, out, old, got, fresh, diff)
	}
}

func TestMaskEdits(t *testing.T) {
	secrets := &template.Secrets{}
	secrets.Add("hunter2")
	secrets.Add("KEYKEY\nSECRET\n")
	for _, test := range []struct{ name, old, fresh, want string }{
		{"changed", "pw = before;\n", "pw = hunter2;\n", "-pw = ********;\n+pw = ********;\n"},
		{"same", "pw = hunter2\na\n", "pw = hunter2\nb\n", " pw = ********\n-a\n+b\n"},
		{"the line as well", "password before\n", "pw = hunter2\n", "-********\n+pw = ********\n"},
		{"removed", "pw = hunter2\n", "", "-pw = ********\n"},
		{"moved", "pw = before\na\nb\n", "a\nb\npw = hunter2\n", "-pw = ********\n a\n b\n+pw = ********\n"},
		{"twice in a line", "x before y before z\n", "x hunter2 y hunter2 z\n", "-x ******** y ******** z\n+x ******** y ******** z\n"},
		{"several lines", "old1\nold2\n", "KEYKEY\nSECRET\n", "-********\n-********\n+********\n+********\n"},
		{"others are shown", "a\nkeep\nold\n", "a hunter2\nkeep\nnew\n", "-********\n+a ********\n keep\n-old\n+new\n"},
		{"beside another change", "port = 1\npw = before\n", "port = 2\npw = hunter2\n", "-port = 1\n-pw = ********\n+port = 2\n+pw = ********\n"},
		{"no line feed", "pw = before", "pw = hunter2", "-pw = ********\n\\ No newline at end of file\n+pw = ********\n\\ No newline at end of file\n"},
	} {
		_, got, _ := strings.Cut(unified(maskEdits(diffLines(splitLines(test.old), splitLines(test.fresh)), secrets), 3), "\n")
		if got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

func TestDiffer(t *testing.T) {
	d := &differ{context: 3, secrets: &template.Secrets{}}
	for _, test := range []struct {
		name   string
		color  bool
		change resource.Change
		want   string
	}{
		{"new file", false, resource.Change{Name: "a.toml", Dest: "/x", New: []byte("a\n")}, "--- /dev/null\n+++ /x\ta.toml\n@@ -0,0 +1 @@\n+a\n"},
		{"mode and owner", false, resource.Change{Name: "a.toml", Dest: "/x", Exists: true, Old: []byte("a"), New: []byte("a"), OldMode: 0o644, NewMode: 0o600, OldOwner: "0:0", NewOwner: "0:33"},
			"old mode 0644\nnew mode 0600\nold owner 0:0\nnew owner 0:33\n--- /x\n+++ /x\ta.toml\n"},
		{"no text", false, resource.Change{Name: "a.toml", Dest: "/x", Exists: true, Old: []byte("a\x00"), New: []byte("b")}, "--- /x\n+++ /x\ta.toml\nBinary files differ\n"},
		{"color", true, resource.Change{Name: "a.toml", Dest: "/x", Exists: true, Old: []byte("a\nb\n"), New: []byte("a\nc\n")},
			"\x1b[1m--- /x\x1b[m\n\x1b[1m+++ /x\ta.toml\x1b[m\n\x1b[36m@@ -1,2 +1,2 @@\x1b[m\n a\n\x1b[31m-b\x1b[m\n\x1b[32m+c\x1b[m\n"},
	} {
		d.color = test.color
		if got := d.text(test.change); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}
