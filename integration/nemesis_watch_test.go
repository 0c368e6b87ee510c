// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A nemEvent is a change as a watcher is told of it.
type nemEvent struct {
	index     uint64
	action    string
	key       string
	value     string // "" of a deletion
	prev      string // the value before, "" = none
	prevIndex uint64 // and its modifiedIndex
}

func (e nemEvent) String() string {
	return fmt.Sprintf("%d %s %s %q, before it %q of %d", e.index, e.action, e.key, e.value, e.prev, e.prevIndex)
}

// A nemWatcher follows a directory with waitIndex and asks another node when its
// connection breaks, or is quiet for too long to be trusted.
type nemWatcher struct {
	name   string
	stream bool // one request for many events
	nodes  []string
	client *http.Client
	dir    string

	mu     sync.Mutex
	events []nemEvent
	moves  int
	next   uint64
	err    error // why it gave up
}

// quiet is how long a watcher trusts a node that says nothing.
const quiet = 1500 * time.Millisecond

// follow records events from the index first on until ctx ends.
func (w *nemWatcher) follow(ctx context.Context, node int, first uint64) {
	w.next = first
	for ctx.Err() == nil {
		if err := w.ask(ctx, w.nodes[node]); err != nil && ctx.Err() == nil {
			w.mu.Lock()
			w.moves++
			w.mu.Unlock()
			node = (node + 1) % len(w.nodes)
			select { // so that a cluster that is down is not asked all the time
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		if w.failed() != nil {
			return
		}
	}
}

// ask makes one request. An error means that the node should be left.
func (w *nemWatcher) ask(ctx context.Context, addr string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(quiet, cancel)
	defer idle.Stop()
	url := fmt.Sprintf("http://%s/v2/keys%s?wait=true&recursive=true&stream=%v&waitIndex=%d", addr, w.dir, w.stream, w.next)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode < http.StatusInternalServerError {
			w.fail(fmt.Errorf("%s: %s: %s", url, resp.Status, text))
		}
		return fmt.Errorf("%s", resp.Status)
	}
	for dec := json.NewDecoder(resp.Body); ; {
		var a nemAnswer
		if err := dec.Decode(&a); err == io.EOF {
			return nil // a long poll ends like this
		} else if err != nil {
			return err
		}
		idle.Reset(quiet)
		w.add(a.event())
	}
}

func (w *nemWatcher) add(e nemEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	w.next = e.index + 1
}

func (w *nemWatcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *nemWatcher) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// upTo tells whether the watcher has seen the event with that index.
func (w *nemWatcher) upTo(index uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next > index
}

// A nemAnswer is the body of an answer, an event or an error.
type nemAnswer struct {
	Action    string
	Node      *nemNodeJSON
	PrevNode  *nemNodeJSON
	ErrorCode int
	Message   string
	Cause     string
	Index     uint64
}

type nemNodeJSON struct {
	Key           string
	Value         string
	Dir           bool
	ModifiedIndex uint64
	Nodes         []*nemNodeJSON
}

func (a *nemAnswer) event() nemEvent {
	e := nemEvent{action: a.Action}
	if a.Node != nil {
		e.index, e.key, e.value = a.Node.ModifiedIndex, a.Node.Key, a.Node.Value
	}
	if a.PrevNode != nil {
		e.prev, e.prevIndex = a.PrevNode.Value, a.PrevNode.ModifiedIndex
	}
	return e
}

// files returns the values below a node of a listing.
func (n *nemNodeJSON) files(into map[string]nemValue) {
	if n == nil {
		return
	}
	if !n.Dir {
		into[n.Key] = nemValue{n.Value, n.ModifiedIndex}
	}
	for _, below := range n.Nodes {
		below.files(into)
	}
}

// A nemValue is the value of a key and the change that made it.
type nemValue struct {
	value string
	index uint64
}

// parseAnswer reads the body of an answer, and the X-Etcd-Index of its header.
func parseAnswer(resp *http.Response) (a nemAnswer, at uint64, err error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, 0, err
	}
	at, _ = strconv.ParseUint(resp.Header.Get("X-Etcd-Index"), 10, 64)
	if err := json.Unmarshal(bytes.TrimSpace(body), &a); err != nil {
		return a, at, fmt.Errorf("%s: %w: %.200s", resp.Status, err, body)
	}
	return a, at, nil
}
