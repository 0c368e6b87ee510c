// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

func TestAppendGet(t *testing.T) {
	tr := New()
	for _, key := range []string{"/a/x", "/a-b/z", "/a/b/c", "/a0", "/_h/v", "/a/_h/w", "/only/_h"} {
		must(t, tr, Op{Action: Set, Key: key, Value: "v"})
	}
	must(t, tr, Op{Action: Set, Key: "/e", Dir: true, TTL: 90, HasTTL: true})
	x := `{"key":"/a/x","value":"v","modifiedIndex":1,"createdIndex":1}`
	z := `{"key":"/a-b/z","value":"v","modifiedIndex":2,"createdIndex":2}`
	c := `{"key":"/a/b/c","value":"v","modifiedIndex":3,"createdIndex":3}`
	b := `{"key":"/a/b","dir":true,"modifiedIndex":3,"createdIndex":3}`
	bc := `{"key":"/a/b","dir":true,"nodes":[` + c + `],"modifiedIndex":3,"createdIndex":3}`
	a0 := `{"key":"/a0","value":"v","modifiedIndex":4,"createdIndex":4}`
	e := `{"key":"/e","dir":true,"expiration":"2023-11-14T22:14:50Z","ttl":90,"modifiedIndex":8,"createdIndex":8}`
	dir := func(key, nodes, index string) string {
		if nodes != "" {
			nodes = `"nodes":[` + nodes + `],`
		}
		return `{"key":"` + key + `","dir":true,` + nodes + `"modifiedIndex":` + index + `,"createdIndex":` + index + `}`
	}
	for _, tt := range []struct {
		key       string
		recursive bool
		want      string // the node
	}{
		{"/a/x", false, x},
		{"/a/x", true, x},
		{"/a", false, dir("/a", b+","+x, "1")},
		{"/a", true, dir("/a", bc+","+x, "1")},
		{"/a/_h", false, dir("/a/_h", `{"key":"/a/_h/w","value":"v","modifiedIndex":6,"createdIndex":6}`, "6")},
		{"/only", true, dir("/only", "", "7")},
		{"/e", true, e},
		{"/", false, `{"dir":true,"nodes":[` + strings.Join([]string{
			dir("/a", "", "1"), dir("/a-b", "", "2"), a0, e, dir("/only", "", "7")}, ",") + `]}`},
		{"", true, `{"dir":true,"nodes":[` + strings.Join([]string{
			dir("/a", bc+","+x, "1"), dir("/a-b", z, "2"), a0, e, dir("/only", "", "7")}, ",") + `]}`},
	} {
		got, err := tr.View().AppendGet([]byte("> "), tt.key, tt.recursive, t0)
		if want := `> {"action":"get","node":` + tt.want + `}`; string(got) != want || err != nil {
			t.Errorf("get %q, recursive %v: %v\n got %s\nwant %s", tt.key, tt.recursive, err, got, want)
		}
	}
	for _, tt := range []struct {
		key   string
		code  Code
		cause string
	}{
		{"/n/m/o", CodeKeyNotFound, "/n"},
		{"/a/n/o", CodeKeyNotFound, "/a/n"},
		{"/a/x/y/z", CodeNotDir, "/a/x"},
	} {
		got, err := tr.View().AppendGet([]byte("> "), tt.key, false, t0)
		var e *Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Cause != tt.cause || e.Index != 8 || string(got) != "> " {
			t.Errorf("get %q: %s, %#v", tt.key, got, err)
		}
	}
	if got, err := New().View().AppendGet(nil, "/", true, t0); string(got) != `{"action":"get","node":{"dir":true}}` || err != nil {
		t.Errorf("empty tree: %s, %v", got, err)
	}
}

// TestAppendGetFile: a file that is not too long, and a key that is not there, are answered as by
// AppendGet.
func TestAppendGetFile(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/d/a", Value: "four", TTL: 90, HasTTL: true})
	for key, most := range map[string]int{"/d/a": 4, "d/a/": 5, "/none": 0, "/d/a/b": 0} {
		want, wantErr := tr.View().AppendGet([]byte("> "), key, false, t0)
		got, ok, err := tr.View().AppendGetFile([]byte("> "), key, most, t0)
		if !ok || string(got) != string(want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("%s: %s, %v, %v; want %s, %v", key, got, ok, err, want, wantErr)
		}
	}
	for key, most := range map[string]int{"/d/a": 3, "/d": 100, "/": 100, "": 100} {
		if got, ok, err := tr.View().AppendGetFile([]byte("> "), key, most, t0); ok || string(got) != "> " || err != nil {
			t.Errorf("%q with %d bytes at most: %s, %v, %v", key, most, got, ok, err)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		left int64 // ns
		want string
	}{
		{0, `"expiration":"2023-11-14T22:13:20Z",`},
		{1, `"expiration":"2023-11-14T22:13:20.000000001Z","ttl":1,`},
		{second / 2, `"expiration":"2023-11-14T22:13:20.5Z","ttl":1,`},
		{second, `"expiration":"2023-11-14T22:13:21Z","ttl":1,`},
		{second + 1, `"expiration":"2023-11-14T22:13:21.000000001Z","ttl":2,`},
		{-second / 2, `"expiration":"2023-11-14T22:13:19.5Z",`},
		{-second, `"expiration":"2023-11-14T22:13:19Z","ttl":-1,`},
		{-5 * second / 2, `"expiration":"2023-11-14T22:13:17.5Z","ttl":-2,`},
	} {
		n := &Node{Dir: true, Expires: t0 + tt.left}
		if got, want := string(appendHead(nil, "", n, t0, true, nil)), `{"dir":true,`+tt.want; got != want {
			t.Errorf("%d left: %s, want %s", tt.left, got, want)
		}
	}
}

func TestEventJSONIsShared(t *testing.T) {
	e := must(t, New(), Op{Action: Set, Key: "/k", Value: "v"})
	first := AppendEvent(nil, e)
	if e.json.Load() != nil {
		t.Error("the first answer is kept")
	}
	second := AppendEvent([]byte(" "), e)
	made := e.JSON()
	if string(first) != string(made) || string(second) != " "+string(made) {
		t.Errorf("%s, %s and %s differ", first, second, made)
	}
	if unsafe.SliceData(made) != unsafe.SliceData(e.JSON()) {
		t.Error("JSON was made twice")
	}
}

// Clients can read what is written.
func TestWire(t *testing.T) {
	tr := New()
	e := must(t, tr, Op{Action: Set, Key: "/k<", Value: "", TTL: 5, HasTTL: true}, Op{Action: Delete, Key: "/k<"})
	var w WireEvent
	if err := json.Unmarshal(AppendEvent(nil, e), &w); err != nil {
		t.Fatal(err)
	}
	if w.Action != "delete" || w.Node.Key != "/k<" || w.Node.Value != nil || w.Node.Modified != 2 || w.Node.Created != 1 ||
		w.Prev.Value == nil || w.Prev.TTL != 5 || w.Prev.Expiration != "2023-11-14T22:13:25Z" {
		t.Errorf("got %+v, %+v, %+v", w, w.Node, w.Prev)
	}
	again, err := json.Marshal(w)
	if err != nil || string(again) != string(e.JSON()) {
		t.Errorf("%v\n got %s\nwant %s", err, again, e.JSON())
	}
}

// TestAppendStringWords has each byte at each place of a word of eight, and after each
// other byte.
func TestAppendStringWords(t *testing.T) {
	check := func(s string) {
		t.Helper()
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, s); string(got) != string(want) {
			t.Fatalf("%q: got %s, want %s", s, got, want)
		}
	}
	for b := range 256 {
		for at := range 20 {
			s := []byte("abcdefghijklmnopqrst")
			s[at] = byte(b)
			check(string(s))
		}
		for after := range 256 {
			check(string([]byte{'a', 'b', 'c', byte(b), byte(after), 'd', 'e', 'f', 'g', 'h'}))
		}
	}
}

// TestPlain: of values, however they came into the tree, it is known whether they can be
// copied as they are.
func TestPlain(t *testing.T) {
	tr := New()
	for i, value := range []string{"", "v", "12345678", "1234567890", "a\"", "12345678<", "ä", "\x7f", "1234567\n"} {
		key := "/" + strconv.Itoa(i)
		must(t, tr, Op{Action: Create, Key: key, Value: "x"}, Op{Action: Set, Key: key, Value: value},
			Op{Action: Update, Key: key, Refresh: true, TTL: 5, HasTTL: true})
		must(t, tr, Op{Action: Set, Key: key + "s", Value: value})
	}
	tr.Publish()
	var data bytes.Buffer
	if _, err := tr.Snapshot().WriteTo(&data); err != nil {
		t.Fatal(err)
	}
	again := New()
	if err := again.Restore(&data); err != nil {
		t.Fatal(err)
	}
	for _, tr := range []*Tree{tr, again} {
		for key, n := range tr.View().Files("/") {
			quoted, err := json.Marshal(n.Value)
			if err != nil {
				t.Fatal(err)
			}
			// DEL is no escape, and ä is taken for one as it is not ASCII.
			if want := string(quoted) == `"`+n.Value+`"` && n.Value != "ä"; n.plain != want {
				t.Errorf("%s = %q: plain is %v", key, n.Value, n.plain)
			}
		}
	}
	if got := unsafe.Sizeof(Node{}); got != 48 {
		t.Errorf("a node has %d bytes, want 48", got)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{
		"", "plain", "<>&\"\\/", "\x00\x01\x1f\x7f\b\f\n\r\t", "\u2028\u2029\u2027\u202a", "\xff\xc0\x80", "é日本\U0001f600",
		"\xe2\x80", "\xed\xa0\x80", "\ufffd", "a\xffb\u2028c<",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, s); string(got) != string(want) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	})
}

// TestPlainValues: isPlain finds each character that is not copied as it is, wherever it is, in
// long texts as in short ones.
func TestPlainValues(t *testing.T) {
	for _, size := range []int{1, 7, 8, 9, 31, minSearched - 1, minSearched, minSearched + 7, minSearched + 8, minSearched + 13} {
		text := bytes.Repeat([]byte("abcd efg"), size/8+1)[:size]
		if !isPlain(string(text)) {
			t.Fatalf("%d plain characters are not", size)
		}
		for _, at := range []int{0, size / 2, max(size-9, 0), max(size-8, 0), size - 1} {
			was := text[at]
			for c := range 256 {
				text[at] = byte(c)
				want := c < utf8.RuneSelf && string(appendString(nil, string(text))) == `"`+string(text)+`"`
				if got := isPlain(string(text)); got != want {
					t.Fatalf("%#x at %d of %d: got %v", c, at, size, got)
				}
			}
			text[at] = was
		}
	}
}
