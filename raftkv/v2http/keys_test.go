// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestScripts runs the files of testdata: each is a list of requests and of the answers
// that they must get, byte for byte.
//
//	== name            begins a test, with an empty store
//	> METHOD target    a request; the rest of the line, if any, is its form body
//	: Name: value      a header of the request (it is given after the request's line)
//	STATUS             the status that must come
//	< Name: value      a header that must come, without a value: must not come
//	anything else      the body
//
// The body ends at an empty line. Beside what a file says, every answer is checked
// against the rules of section 7 of the v2 API (see checkKeyAnswer).
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(text), "\n== ")[1:] {
			name, steps, _ := strings.Cut(part, "\n")
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) { runScript(t, steps) })
		}
	}
}

// runScript runs one test of a script.
func runScript(t *testing.T, script string) {
	h, node := newTestHandler(Options{MaxValue: 64})
	for _, step := range strings.Split("\n"+script, "\n> ")[1:] {
		line, rest, _ := strings.Cut(step, "\n")
		words := strings.SplitN(line, " ", 3)
		var body string
		if len(words) == 3 {
			body = words[2]
		}
		r := httptest.NewRequest(words[0], words[1], strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", formType)
		}
		want := &wanted{}
		want.parse(t, rest, r.Header)
		w := record(t, h, r)
		resp := w.Result()
		got := bodyOf(t, resp)
		if resp.StatusCode != want.status {
			t.Errorf("%s: got status %d, want %d", line, resp.StatusCode, want.status)
		}
		if strings.TrimRight(got, "\n") != want.body {
			t.Errorf("%s\n got %s\nwant %s", line, got, want.body)
		}
		for name, value := range want.headers {
			if g := strings.Join(resp.Header[name], ", "); g != value {
				t.Errorf("%s: %s: got %q, want %q", line, name, g, value)
			}
		}
		checkKeyAnswer(t, line, r, resp, got, node.tree.View().Index())
	}
}

// wanted is what a script says about an answer.
type wanted struct {
	status  int
	headers map[string]string
	body    string
}

func (w *wanted) parse(t *testing.T, text string, request http.Header) {
	t.Helper()
	w.headers = make(map[string]string)
	var body []string
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, ": "):
			name, value, _ := strings.Cut(line[2:], ":")
			request.Set(name, strings.TrimSpace(value))
		case strings.HasPrefix(line, "< "):
			name, value, _ := strings.Cut(line[2:], ":")
			w.headers[name] = strings.TrimSpace(value)
		case w.status == 0:
			n, err := strconv.Atoi(line)
			if err != nil {
				t.Fatalf("line %q is not a status", line)
			}
			w.status = n
		case line == "":
			w.body = strings.Join(body, "\n")
			return
		default:
			body = append(body, line)
		}
	}
	w.body = strings.Join(body, "\n")
}

// checkKeyAnswer checks what holds for every answer about a key.
func checkKeyAnswer(t *testing.T, line string, r *http.Request, resp *http.Response, body string, index uint64) {
	t.Helper()
	if !under(r.URL.Path, keysPath) || r.Method == "OPTIONS" || resp.StatusCode == 301 || resp.StatusCode == 405 {
		for _, name := range []string{"X-Etcd-Index", "X-Raft-Index", "X-Raft-Term"} {
			if v := resp.Header[name]; v != nil {
				t.Errorf("%s: got %s %q, want none", line, name, v)
			}
		}
		return
	}
	wantHeader := map[string]string{
		"Content-Type":      "application/json",
		"X-Etcd-Cluster-Id": "ee71785aaea52b0a",
		"X-Etcd-Index":      fmt.Sprint(index),
		"X-Raft-Index":      "77",
		"X-Raft-Term":       "3",
	}
	if resp.StatusCode >= 400 {
		delete(wantHeader, "X-Raft-Index")
		delete(wantHeader, "X-Raft-Term")
		if strings.HasSuffix(body, `"index":0}`+"\n") {
			wantHeader["X-Etcd-Index"] = "0"
		} else if !strings.HasSuffix(body, fmt.Sprintf(`"index":%d}`+"\n", index)) && r.Method != "HEAD" {
			t.Errorf("%s: the index in the body is not %d: %s", line, index, body)
		}
	}
	for name, want := range wantHeader {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %s: got %q, want %q", line, name, got, want)
		}
	}
	if resp.StatusCode >= 400 && (resp.Header["X-Raft-Index"] != nil || resp.Header["X-Raft-Term"] != nil) {
		t.Errorf("%s: an error has X-Raft headers", line)
	}
	if !strings.HasSuffix(body, "}\n") {
		t.Errorf("%s: the body does not end in one newline: %q", line, body)
	}
}

// TestGetIsOfOneView lets a write happen between the choice of the view and the answer.
func TestGetIsOfOneView(t *testing.T) {
	h, node := newTestHandler(Options{})
	do(t, h, "PUT", "/v2/keys/a", "value=old")
	node.lag = node.tree.View()
	do(t, h, "PUT", "/v2/keys/a", "value=new")
	resp := do(t, h, "GET", "/v2/keys/a", "")
	if got, body := resp.Header.Get("X-Etcd-Index"), bodyOf(t, resp); got != "1" || !strings.Contains(body, "old") {
		t.Errorf("got index %s with %s, want index 1 with the old value", got, body)
	}
	resp = do(t, h, "GET", "/v2/keys/a?quorum=true", "")
	if got, body := resp.Header.Get("X-Etcd-Index"), bodyOf(t, resp); got != "2" || !strings.Contains(body, "new") {
		t.Errorf("quorum: got index %s with %s, want index 2 with the new value", got, body)
	}
	resp = do(t, h, "GET", "/v2/keys/b", "")
	if got, body := resp.Header.Get("X-Etcd-Index"), bodyOf(t, resp); got != "1" || !strings.Contains(body, `"index":1}`) {
		t.Errorf("missing key: got index %s with %s, want index 1", got, body)
	}
}

// TestCountsReads checks that a get is counted once, however it is asked for.
func TestCountsReads(t *testing.T) {
	h, node := newTestHandler(Options{})
	do(t, h, "PUT", "/v2/keys/a", "value=x")
	for _, target := range []string{"/v2/keys/a", "/v2/keys/a?quorum=true", "/v2/keys/b"} {
		do(t, h, "GET", target, "")
	}
	do(t, h, "GET", "/v2/keys/a?wait=x", "")
	if got := node.tree.Stats(); got.GetsSuccess != 2 || got.GetsFail != 1 || got.SetsSuccess != 1 {
		t.Errorf("got %+v, want 2 gets, 1 failed get, 1 set", got)
	}
}

// TestDirIsNotStoredWithValue checks the operation that reaches the store.
func TestDirIsNotStoredWithValue(t *testing.T) {
	h, node := newTestHandler(Options{})
	do(t, h, "PUT", "/v2/keys/d?dir=true", "value=x")
	n, err := node.tree.View().Get("/d")
	if err != nil || !n.Dir || n.Value != "" {
		t.Errorf("got %+v, %v, want a directory without a value", n, err)
	}
}
