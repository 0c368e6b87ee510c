// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"confd/backends"
	"confd/raftkv/client"
)

// A fake is a v2 server of files only, whose faults a test turns on.
type fake struct {
	*httptest.Server

	mu        sync.Mutex
	index     uint64
	files     map[string]string // :: key → value
	clusterID string            // empty as with etcd 0.4
	streams   map[*stream]bool
	requests  []string // method, path and query of each

	// Faults.
	denied   map[string]bool // keys that may not be read
	answer   http.HandlerFunc
	lag      uint64 // how far the index of a listing is behind
	redirect string // base URL that listings are redirected to, as by a follower of 0.4
	half     bool   // the next event is cut in the middle, with its connection
	deaf     bool   // streams bring nothing
	late     func() // called once, when a listing is made and not sent yet
}

// A stream is an open watch.
type stream struct {
	root string
	out  chan string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{index: 5, files: map[string]string{}, clusterID: "c1", streams: map[*stream]bool{}, denied: map[string]bool{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// with changes the fake under its lock.
func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// count returns how many requests have come with this text in them.
func (f *fake) count(is func(r string) bool) (n int) {
	f.with(func() {
		for _, r := range f.requests {
			if is(r) {
				n++
			}
		}
	})
	return n
}

func (f *fake) set(key, value string) {
	f.with(func() {
		f.index++
		f.files[key] = value
		f.tellLocked("set", key, &value)
	})
}

// del removes the key and everything below it.
func (f *fake) del(key string) {
	f.with(func() {
		f.index++
		for k := range f.files {
			if backends.Within(k, key) {
				delete(f.files, k)
			}
		}
		f.tellLocked("delete", key, nil)
	})
}

func (f *fake) tellLocked(action, key string, value *string) {
	text, err := json.Marshal(client.Event{Action: action, Node: &client.Node{Key: key, Value: value, Modified: f.index}})
	if err != nil {
		panic(err)
	}
	for s := range f.streams {
		if !f.deaf && (covers(s.root, key) || backends.Within(s.root, key)) {
			s.out <- string(text) + "\n"
		}
	}
}

// raw sends text to every stream.
func (f *fake) raw(text string) {
	f.with(func() {
		for s := range f.streams {
			s.out <- text
		}
	})
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.String())
	if f.answer != nil {
		answer := f.answer
		f.mu.Unlock()
		answer(w, r)
		return
	}
	key := backends.Clean(r.URL.Path[len("/v2/keys"):])
	w.Header().Set("Content-Type", "application/json")
	if f.clusterID != "" {
		w.Header().Set("X-Etcd-Cluster-Id", f.clusterID)
	}
	if r.FormValue("wait") == "true" {
		f.watchLocked(w, r, key)
		return
	}
	defer f.mu.Unlock()
	if f.redirect != "" {
		w.Header().Set("Location", f.redirect+r.URL.String())
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	f.getLocked(w, key, r.FormValue("quorum") == "true")
}

func (f *fake) getLocked(w http.ResponseWriter, key string, quorum bool) {
	if f.denied[key] {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials","index":0}`)
		return
	}
	index := f.index - f.lag
	if f.clusterID == "" && quorum {
		index = 1 // the modifiedIndex of the node, a fault of etcd 0.4
	}
	w.Header().Set("X-Etcd-Index", strconv.FormatUint(index, 10))
	node := &client.Node{Key: key, Dir: true}
	found := key == "/"
	for k, v := range f.files {
		if k == key {
			node, found = &client.Node{Key: k, Value: &v}, true
			break
		}
		if backends.Within(k, key) {
			found = true
			if covers(key, k) {
				node.Nodes = append(node.Nodes, &client.Node{Key: k, Value: &v})
			}
		}
	}
	if !found {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"errorCode":100,"message":"Key not found","cause":%q,"index":%d}`, key, index)
		return
	}
	if late := f.late; late != nil {
		f.late = nil
		f.mu.Unlock()
		late()
		f.mu.Lock()
	}
	if err := json.NewEncoder(w).Encode(client.Event{Action: "get", Node: node}); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// watchLocked serves a stream until the connection ends. It unlocks.
func (f *fake) watchLocked(w http.ResponseWriter, r *http.Request, key string) {
	s := &stream{root: key, out: make(chan string, 10000)}
	f.streams[s] = true
	w.Header().Set("X-Etcd-Index", strconv.FormatUint(f.index, 10))
	f.mu.Unlock()
	defer f.with(func() { delete(f.streams, s) })
	flush := w.(http.Flusher).Flush
	flush()
	for {
		select {
		case text := <-s.out:
			var half bool
			f.with(func() { half, f.half = f.half, false })
			if half {
				fmt.Fprint(w, text[:len(text)/2])
				flush()
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, text)
			flush()
		case <-r.Context().Done():
			return
		}
	}
}
