// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"testing"

	"confd/raftkv/tree"
)

// TestValidation holds a row for each check, and for each pair of neighbours in the
// order of checks one in which both fail.
func TestValidation(t *testing.T) {
	tests := []struct {
		method, query string
		code          tree.Code
		cause         string
	}{
		{"GET", "x=%zz", 210, `invalid URL escape "%zz"`},
		{"GET", "value=a;b", 210, "invalid semicolon separator in query"},
		{"GET", "x=%zz&prevIndex=x", 210, `invalid URL escape "%zz"`},
		{"GET", "prevIndex=x", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=-1", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=%2B1", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=0x1", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=1_0", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=1.0", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=+1", 203, `invalid value for "prevIndex"`},
		{"GET", "prevIndex=18446744073709551616", 203, `invalid value for "prevIndex"`},
		{"GET", "waitIndex=y&prevIndex=x", 203, `invalid value for "prevIndex"`},
		{"GET", "waitIndex=", 203, `invalid value for "waitIndex"`},
		{"GET", "recursive=x&waitIndex=x", 203, `invalid value for "waitIndex"`},
		{"GET", "recursive=yes", 209, `invalid value for "recursive"`},
		{"GET", "recursive", 209, `invalid value for "recursive"`},
		{"GET", "sorted=x&recursive=x", 209, `invalid value for "recursive"`},
		{"GET", "wait=x&sorted=x", 209, `invalid value for "sorted"`},
		{"GET", "dir=x&wait=x", 209, `invalid value for "wait"`},
		{"GET", "quorum=x&dir=x", 209, `invalid value for "dir"`},
		{"GET", "stream=x&quorum=x", 209, `invalid value for "quorum"`},
		{"PUT", "wait=true&stream=x", 209, `invalid value for "stream"`},
		{"PUT", "wait=true&prevValue=", 209, `"wait" can only be used with GET requests`},
		{"HEAD", "wait=true", 209, `"wait" can only be used with GET requests`},
		{"PUT", "prevValue=", 201, `"prevValue" cannot be empty`},
		{"PUT", "prevValue", 201, `"prevValue" cannot be empty`},
		{"GET", "prevValue=&noValueOnSuccess=x", 201, `"prevValue" cannot be empty`},
		{"PUT", "noValueOnSuccess=x&ttl=x", 209, `invalid value for "noValueOnSuccess"`},
		{"GET", "ttl=x", 202, `invalid value for "ttl"`},
		{"PUT", "ttl=-1", 202, `invalid value for "ttl"`},
		{"PUT", "ttl=1.5", 202, `invalid value for "ttl"`},
		{"PUT", "ttl=4294967297", 202, `invalid value for "ttl"`},
		{"PUT", "ttl=18446744073709551616", 202, `invalid value for "ttl"`},
		{"PUT", "ttl=x&prevExist=x", 202, `invalid value for "ttl"`},
		{"PUT", "prevExist=x&refresh=x", 209, "invalid value for prevExist"},
		{"PUT", "prevExist=", 209, "invalid value for prevExist"},
		{"PUT", "refresh=", 209, "invalid value for refresh"},
		{"PUT", "refresh=true&value=x", 211, "A value was provided on a refresh"},
		{"PUT", "refresh=true&value=", 212, "No TTL value set"},
		{"PUT", "refresh=true&ttl=", 212, "No TTL value set"},
		{"DELETE", "refresh=true", 212, "No TTL value set"},

		{"GET", "", 0, ""},
		{"GET", "wait=true&stream=1&waitIndex=0&recursive=T", 0, ""},
		{"GET", "wait=False&sorted=FALSE&dir=f&quorum=0&recursive=F&stream=false", 0, ""},
		{"GET", "quorum=TRUE&sorted=t&dir=True", 0, ""},
		{"GET", "consistent=what&unknown=%20&Recursive=x", 0, ""},
		{"PUT", "ttl=&value=", 0, ""},
		{"PUT", "ttl=4294967296", 0, ""},
		{"PUT", "prevIndex=18446744073709551615", 0, ""},
		{"PUT", "refresh=true&value=&ttl=5", 0, ""},
		{"PUT", "refresh=false&value=x", 0, ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.query, func(t *testing.T) {
			var k keyRequest
			err := parseKey(&request{method: test.method, path: "/v2/keys/a", query: test.query}, &k)
			if err == nil {
				err = &tree.Error{}
			}
			if err.Code != test.code || err.Cause != test.cause || err.Index != 0 {
				t.Errorf("got %d %q index %d, want %d %q index 0", err.Code, err.Cause, err.Index, test.code, test.cause)
			}
		})
	}
}

// TestOperation is section 4 of the v2 API: which request asks for which operation.
func TestOperation(t *testing.T) {
	tests := []struct {
		method, query string
		want          tree.Op
	}{
		{"PUT", "value=v", tree.Op{Action: tree.Set, Value: "v"}},
		{"PUT", "value=v&ttl=0", tree.Op{Action: tree.Set, Value: "v", HasTTL: true}},
		{"PUT", "value=v&ttl=5", tree.Op{Action: tree.Set, Value: "v", TTL: 5, HasTTL: true}},
		{"PUT", "dir=true&value=v", tree.Op{Action: tree.Set, Dir: true}},
		{"PUT", "prevIndex=0&value=v", tree.Op{Action: tree.Set, Value: "v"}},
		{"PUT", "refresh=true&ttl=5", tree.Op{Action: tree.Set, Refresh: true, TTL: 5, HasTTL: true}},
		{"PUT", "recursive=true&value=v", tree.Op{Action: tree.Set, Value: "v"}},
		{"PUT", "prevExist=false&value=v&prevValue=x&prevIndex=3", tree.Op{Action: tree.Create, Value: "v"}},
		{"PUT", "prevExist=false&dir=1", tree.Op{Action: tree.Create, Dir: true}},
		{"PUT", "prevExist=false&refresh=true&ttl=5", tree.Op{Action: tree.Create, TTL: 5, HasTTL: true}},
		{"PUT", "prevExist=true&value=v", tree.Op{Action: tree.Update, Value: "v"}},
		{"PUT", "prevExist=true&prevIndex=0&dir=true&value=v", tree.Op{Action: tree.Update, Value: "v"}},
		{"PUT", "prevExist=true&refresh=true&ttl=5", tree.Op{Action: tree.Update, Refresh: true, TTL: 5, HasTTL: true}},
		{"PUT", "prevValue=x&value=v", tree.Op{Action: tree.CompareAndSwap, PrevValue: "x", Value: "v"}},
		{"PUT", "prevIndex=7&value=v", tree.Op{Action: tree.CompareAndSwap, PrevIndex: 7, Value: "v"}},
		{"PUT", "prevExist=true&prevIndex=7&prevValue=x&dir=true", tree.Op{Action: tree.CompareAndSwap, PrevIndex: 7, PrevValue: "x"}},
		{"PUT", "prevValue=x&refresh=true&ttl=5", tree.Op{Action: tree.CompareAndSwap, PrevValue: "x", Refresh: true, TTL: 5, HasTTL: true}},
		{"POST", "value=v", tree.Op{Action: tree.Create, InOrder: true, Value: "v"}},
		{"POST", "value=v&prevExist=true&prevValue=x&prevIndex=3&ttl=9", tree.Op{Action: tree.Create, InOrder: true, Value: "v", TTL: 9, HasTTL: true}},
		{"POST", "dir=true&value=v", tree.Op{Action: tree.Create, InOrder: true, Dir: true}},
		{"POST", "refresh=true&ttl=5", tree.Op{Action: tree.Create, InOrder: true, TTL: 5, HasTTL: true}},
		{"DELETE", "", tree.Op{Action: tree.Delete}},
		{"DELETE", "prevExist=true&value=x&ttl=5", tree.Op{Action: tree.Delete}},
		{"DELETE", "dir=true", tree.Op{Action: tree.Delete, Dir: true}},
		{"DELETE", "recursive=true&prevIndex=0", tree.Op{Action: tree.Delete, Recursive: true}},
		{"DELETE", "prevValue=x&recursive=true&dir=true", tree.Op{Action: tree.CompareAndDelete, PrevValue: "x"}},
		{"DELETE", "prevIndex=7", tree.Op{Action: tree.CompareAndDelete, PrevIndex: 7}},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.query, func(t *testing.T) {
			var k keyRequest
			if err := parseKey(&request{method: test.method, path: "/v2/keys/a/b/", query: test.query}, &k); err != nil {
				t.Fatal(err)
			}
			test.want.Key = "/a/b"
			if got := *k.op(); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestKeyOf(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/keys": "/", "/v2/keys/": "/", "/v2/keys/a": "/a", "/v2/keys/a/": "/a", "/v2/keys/a/b": "/a/b", "/v2/keys/...": "/...",
	} {
		if got := keyOf(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
