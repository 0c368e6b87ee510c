// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// seeds are texts that an event may be.
var seeds = []string{
	`{"action":"get","node":{"key":"/","dir":true,"nodes":[{"key":"/a","value":"1","modifiedIndex":5,"createdIndex":5},{"key":"/d","dir":true,"nodes":[{"key":"/d/x","value":""}]}]}}` + "\n",
	`{"action":"set","node":{"key":"/a","value":"1","modifiedIndex":18446744073709551615,"createdIndex":5,"ttl":-3,"expiration":"2026-01-01T00:00:00Z"},"prevNode":{"key":"/a","value":null}}x`,
	`{"action":"get","node":{"nodes":[{"key":"/a","value":"","modifiedIndex":5,"createdIndex":0},{"key":"/b","value":"é","modifiedIndex":5,"createdIndex":5},` +
		`{"key":"/c","value":"2","modifiedIndex":12345678901234567890,"createdIndex":5},{"key":"/d","value":"3","modifiedIndex":1,"createdIndex":2,"dir":true},` +
		`{"key":"/e","value":"4","modifiedIndex":1,"createdIndex":1}],"dir":true}}`,
	`{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":01,"createdIndex":1}}`,
	`{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":99999999999999999999,"createdIndex":1}}`,
	`{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":1,"createdIndex":}}`,
	`{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":1,"createdIndex":1.5}}`,
	`{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":1,"createdIndex":1} }`,
	` { "node" : { "nodes" : [ { "value" : "v" , "key" : "/k" } , null ] , "dir" : false , "key" : "/n" } , "ACTION" : "x" } `,
	`{"action":"a","node":{"nodes":[{"key":"/a"},{"key":"/b"}],"nodes":[{"value":"1"}],"nodes":[],"dir":true}}`,
	`{"action":"a","node":{"key":"/a"},"node":{"value":"1"},"node":null}`,
	`{"action":"a","node":{"nodes":[{"key":"/a"}],"nodes":null,"dir":true,"dir":null,"key":"x","key":null}}`,
	`{"action":"a","node":{"key":"\u00e9\ud83d\ude00\ud83d\ud83d\ude00\udE00\/\b\f\n\r\t\"\\é` + "\xff\xf0\x9f\x98" + `"}}`,
	`{"action":"a","node":{"key":"` + strings.Repeat("é", 50) + strings.Repeat(`\n`, 50) + `"},"other":[1,-0,1.5e+10,{"x":[true,false,null,"\u12"]}]}`,
	`{"action":"a","node":{"modifiedIndex":1e2}}`, `{"action":"a","node":{"ttl":9223372036854775808}}`, `{"action":"a","node":{"ttl":-0,"createdIndex":01}}`,
	`{"action":"a","node":{"createdIndex":-0}}`, `{"action":"a","node":{"nodeſ":[],"Key":"/a"},"x":-}`, `{"action":"a","node":{"key":5}}`,
	`{"action":"a","node":{"dir":"true"}}`, `{"action":"a","node":[]}`, `{"action":"a","node":{"nodes":{}}}`, `{"action":"a","node":{"value":{}}}`,
	`{"action":"a","node":{"key":"a` + "\n" + `"}}`, `{"action":"a","node":{"key":"\x"}}`, `{"action":"a","node":{"key":"\u12g4"}}`, `{"action":"a",}`, `{"action":"a" "node":{}}`,
	`{"action":"a","x":[1,]}`, `{"action":"a","x":[,1]}`, `{"action":"a","x":{1:2}}`, `{"action":"a","x":{"a"}}`, `{,}`, `{"action":"a","x":tru}`, `{"action":"a","x":1.}`, `{"action":"a","x":1e}`,
	`{"a":.5}`, `{"a":+1}`, `{"a":-}`, `{"a":00}`, ``, ` `, `null`, `{`, `{}`, `[]`, `5`, `"x"`, `{"action":`, `<html>`, "\xef\xbb\xbf{}",
}

// comes is how a text comes: whole, and byte by byte.
var comes = []func(text string) *scanner{
	func(text string) *scanner { return newScanner(strings.NewReader(text), 4096) },
	func(text string) *scanner { return newScanner(iotest.OneByteReader(strings.NewReader(text)), 1) },
	func(text string) *scanner { return newScanner(iotest.DataErrReader(strings.NewReader(text)), 13) },
}

// FuzzEvent reads events as encoding/json does, one after the other.
func FuzzEvent(f *testing.F) {
	for _, text := range seeds {
		f.Add(text)
		f.Add(text + text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, come := range comes {
			s, d := come(text), json.NewDecoder(strings.NewReader(text))
			for range 3 {
				var want Event
				bad := d.Decode(&want)
				got, err := s.event()
				switch {
				case bad == nil && (want.Action == "" || want.Node == nil):
					if !errors.Is(err, errNoEvent) {
						t.Fatalf("%q: got %v, want %v", text, err, errNoEvent)
					}
				case (err == nil) != (bad == nil), err != nil && (err == io.EOF) != (bad == io.EOF):
					t.Fatalf("%q: got %v, want %v", text, err, bad)
				case err == nil && !reflect.DeepEqual(got, &want):
					t.Fatalf("%q: got %+v, want %+v", text, got, &want)
				}
				if err != nil {
					break
				}
			}
		}
	})
}

// FuzzChange takes of events what encoding/json does.
func FuzzChange(f *testing.F) {
	for _, text := range seeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var e struct {
			Action string
			Node   *Node
			Prev   json.RawMessage `json:"prevNode"`
		}
		bad := json.NewDecoder(strings.NewReader(text)).Decode(&e)
		if bad == nil && (e.Action == "" || e.Node == nil) {
			bad = errNoEvent
		}
		for _, come := range comes {
			var got Change
			err := come(text).change(&got)
			if (err == nil) != (bad == nil) {
				t.Fatalf("%q: got %v, want %v", text, err, bad)
			}
			if err != nil {
				continue
			}
			want := Change{Action: e.Action, Key: e.Node.Key, Dir: e.Node.Dir, Modified: e.Node.Modified}
			if e.Node.Value != nil {
				want.Value = *e.Node.Value
			}
			if got != want {
				t.Fatalf("%q: got %+v, want %+v", text, got, want)
			}
		}
	})
}

// FuzzFiles takes the same files from a listing as encoding/json and a walk.
func FuzzFiles(f *testing.F) {
	for _, text := range seeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var e Event
		bad := json.NewDecoder(strings.NewReader(text)).Decode(&e)
		if bad == nil && (e.Action == "" || e.Node == nil) {
			bad = errNoEvent
		}
		var want []File
		if bad == nil {
			want = walk(nil, e.Node)
		}
		for _, come := range comes {
			var k keeper
			err := come(text).files(k.Take)
			got := k.files
			switch {
			case errors.Is(err, errTwice) && twice(json.NewDecoder(strings.NewReader(text))):
			case (err == nil) != (bad == nil):
				t.Fatalf("%q: got %v, want %v", text, err, bad)
			case err == nil && !reflect.DeepEqual(got, want):
				t.Fatalf("%q: got %q, want %q", text, got, want)
			}
		}
	})
}

// twice reports whether some object in a value has the same field twice.
func twice(d *json.Decoder) bool {
	bracket, err := d.Token()
	if err != nil || bracket != json.Delim('{') && bracket != json.Delim('[') {
		return false
	}
	known := map[field]bool{}
	for d.More() {
		if bracket == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return false
			}
			f := fieldOf([]byte(name.(string)))
			if f != fieldUnknown && known[f] {
				return true
			}
			known[f] = true
		}
		if twice(d) {
			return true
		}
	}
	_, _ = d.Token()
	return false
}

// walk adds the files of a node.
func walk(list []File, n *Node) []File {
	switch {
	case n == nil:
	case n.Dir:
		for _, child := range n.Nodes {
			list = walk(list, child)
		}
	case n.Value == nil:
		list = append(list, File{n.Key, ""})
	default:
		list = append(list, File{n.Key, *n.Value})
	}
	return list
}
