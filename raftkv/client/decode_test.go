// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What is wrong with an answer is told, and where.
func TestDecodeErrors(t *testing.T) {
	deep := strings.Repeat(`[`, maxDepth)
	tests := []struct{ text, want string }{
		{`<html>`, "it is not JSON at byte 0, so not of the etcd v2 API"},
		{`{"action":"get","node":{"key":}}`, "it is not JSON at byte 30, so not of the etcd v2 API"},
		{`{"action":"get","node":{"key":"/a","value":5}}`, "it is not as in the etcd v2 API: another type at byte 43"},
		{`{"action":"get","node":{"modifiedIndex":1e3}}`, "it is not as in the etcd v2 API: another type at byte 43"},
		{`{"action":"get"}`, "it is not an event of the etcd v2 API"},
		{`{"action":"get","node":null}`, "it is not an event of the etcd v2 API"},
		{`{"action":"get","node":{"key":"/a`, "unexpected EOF"},
		{`{"x":` + deep, "it is nested too deep at byte 10005"},
	}
	for _, tt := range tests {
		for _, decode := range []func(*scanner) error{
			func(s *scanner) error { _, err := s.event(); return err },
			func(s *scanner) error { return s.files(new(keeper).Take) },
		} {
			if err := decode(newScanner(strings.NewReader(tt.text), 7)); err == nil || err.Error() != tt.want {
				t.Errorf("%.50s: got %v, want %v", tt.text, err, tt.want)
			}
		}
	}
	text := `{"action":"get","node":{"dir":true,"nodes":[],"nodes":[]}}`
	if err := newScanner(strings.NewReader(text), 7).files(new(keeper).Take); err == nil || err.Error() != "the same field twice at byte 54" {
		t.Errorf("%s: got %v", text, err)
	}
}

// A listing of many keys, whose answer is cut in the middle, is not taken for the whole.
func TestListCut(t *testing.T) {
	text := listing(1000, "v")
	whole := true
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.RawQuery; got != "quorum=true&recursive=true" {
			t.Errorf("asked for %q", got)
		}
		w.Header().Set("X-Etcd-Index", "7")
		if whole {
			_, _ = w.Write(text)
			return
		}
		_, _ = w.Write(text[:len(text)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	c := newClient(t, Config{}, url)
	l, err := c.List(t.Context(), "/", GetOptions{Quorum: true})
	if err != nil || len(l.Files) != 1000 || l.Files[999] != (File{"/app9/key99", "v"}) || l.Index != 7 || l.Endpoint != url {
		t.Fatalf("got %+v, %v", l, err)
	}
	whole = false
	if l, err := c.List(t.Context(), "/", GetOptions{Quorum: true}); err == nil {
		t.Errorf("half a listing: got %d files, want an error", len(l.Files))
	}
}

// parts notes how many files came at a time, and how many answers began.
type parts struct {
	keeper
	sizes  []int
	begins int
}

func (p *parts) Begin() {
	p.keeper.Begin()
	p.begins++
}

func (p *parts) Take(files []File) []File {
	p.sizes = append(p.sizes, len(files))
	return p.keeper.Take(files)
}

// A listing is taken in parts, but a file only when it is certain that it is one: what is said
// to be a directory behind its nodes may be a file.
func TestListParts(t *testing.T) {
	nodes := strings.Repeat(`{"key":"/d/x","value":"v","modifiedIndex":1,"createdIndex":1},`, 3*listPart)
	nodes += `{"value":"last","key":"/d/last"}`
	for _, test := range []struct {
		node  string
		files int
		parts int
		err   error
	}{
		{`{"dir":true,"nodes":[` + nodes + `]}`, 3*listPart + 1, 4, nil},
		{`{"dir":true,"nodes":[{"key":"/d","dir":true,"nodes":[` + nodes + `]}]}`, 3*listPart + 1, 4, nil},
		{`{"nodes":[` + nodes + `],"dir":true}`, 3*listPart + 1, 1, nil},
		{`{"dir":true,"nodes":[{"key":"/d","nodes":[` + nodes + `]},` + nodes + `]}`, 3*listPart + 2, 4, nil},
		{`{"nodes":[` + nodes + `],"key":"/d","value":"v"}`, 1, 1, nil},
		{`{"dir":true,"nodes":[` + nodes + `],"dir":false}`, 0, 0, errTwice},
		{`{"dir":true,"nodes":[]}`, 0, 1, nil},
	} {
		var p parts
		err := newScanner(strings.NewReader(`{"action":"get","node":`+test.node+`}`), 100).files(p.Take)
		if !errors.Is(err, test.err) || err == nil && (len(p.files) != test.files || len(p.sizes) != test.parts) {
			t.Errorf("%.40s…: %d files in parts of %v, %v", test.node, len(p.files), p.sizes, err)
		}
	}
}

// An answer that breaks off does not count beside that of the next endpoint.
func TestListAgain(t *testing.T) {
	text := listing(2000, "v")
	first := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(text[:len(text)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	second := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	var p parts
	r, err := newClient(t, Config{}, first, second).ListTo(t.Context(), "/", GetOptions{}, &p)
	if err != nil || r.Endpoint != second || len(p.files) != 2000 || p.begins != 2 {
		t.Errorf("%d files after %d began, %v", len(p.files), p.begins, err)
	}
}

// listing returns the answer of a server with so many keys, a hundred to a directory.
func listing(keys int, value string) []byte {
	root := &Node{Dir: true}
	for i := range keys {
		if i%100 == 0 {
			root.Nodes = append(root.Nodes, &Node{Key: fmt.Sprintf("/app%d", i/100), Dir: true, Modified: uint64(i), Created: uint64(i)})
		}
		dir := root.Nodes[i/100]
		dir.Nodes = append(dir.Nodes, &Node{Key: fmt.Sprintf("%s/key%d", dir.Key, i%100), Value: &value, Modified: uint64(i + 1), Created: uint64(i + 1)})
	}
	text, err := json.Marshal(Event{Action: "get", Node: root})
	if err != nil {
		panic(err)
	}
	return text
}

// BenchmarkListing takes a listing of 100,000 keys apart, as List does, as a watch would, and
// as encoding/json does.
func BenchmarkListing(b *testing.B) {
	for _, size := range []int{1, 256} {
		text := listing(100_000, strings.Repeat("v", size))
		for name, decode := range map[string]func(io.Reader) error{
			"files": func(r io.Reader) error {
				return newScanner(r, listSize).files(func(files []File) []File { return files[:0] })
			},
			"event": func(r io.Reader) error { _, err := newScanner(r, listSize).event(); return err },
			"json":  func(r io.Reader) error { return json.NewDecoder(r).Decode(&Event{}) },
		} {
			b.Run(fmt.Sprintf("%s/%dB", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					if err := decode(bytes.NewReader(text)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
