// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
)

// One writer, who keeps all keys equal within a batch, and readers of every kind. Best
// run with the race detector.
func TestConcurrent(t *testing.T) {
	const keys, batches = 5, 400
	tr := New()
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	loop := func(f func()) {
		readers.Go(func() {
			for ctx.Err() == nil {
				f()
			}
		})
	}

	loop(func() { // a view is one point in time
		v := tr.View()
		b, err := v.AppendGet(nil, "/", true, t0)
		var got WireEvent
		if err != nil || json.Unmarshal(b, &got) != nil {
			t.Errorf("get: %s, %v", b, err)
			return
		}
		for _, n := range got.Node.Nodes {
			if *n.Value != *got.Node.Nodes[0].Value || n.Modified > v.Index() {
				t.Errorf("at %d: %s", v.Index(), b)
			}
		}
		tr.CountGet(err == nil)
		tr.Stats()
	})
	for range 2 { // streams that resume where they were
		next := uint64(1)
		loop(func() {
			w, err := tr.Watch("/", true, true, next)
			if err != nil {
				next = tr.View().Index() + 1 // history lost
				return
			}
			defer w.Close()
			for {
				select {
				case e, ok := <-w.C:
					if !ok {
						return // too slow
					}
					if e.Index() != next {
						t.Errorf("event %d, want %d", e.Index(), next)
					}
					AppendEvent(nil, e)
					next = e.Index() + 1
					if next%100 == 0 {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		})
	}
	loop(func() { // watches of one event, some given up
		w, err := tr.Watch("/"+strconv.Itoa(keys/2), false, false, 0)
		if err != nil {
			t.Error(err)
			return
		}
		go w.Close()
		if e, ok := <-w.C; ok && e.Index() <= w.Start {
			t.Errorf("event %d, begun at %d", e.Index(), w.Start)
		}
	})
	loop(func() {
		v := tr.View()
		if tr.Wait(ctx, []string{"/1", "/x"}, v.Index()) == nil && tr.View().Index() == v.Index() {
			t.Errorf("woken at %d for nothing", v.Index())
		}
	})
	loop(func() {
		if _, err := tr.View().keys.find("/none", 0); err == nil {
			t.Error("found nothing")
		}
		tr.Hash()
	})

	var saved sync.WaitGroup
	for b := range batches {
		for k := range keys {
			op := &Op{Action: Set, Key: fmt.Sprintf("/%d", k), Value: strconv.Itoa(b)}
			if _, err := tr.Apply(op, t0); err != nil {
				t.Fatal(err)
			}
		}
		tr.Publish()
		if b%50 != 0 {
			continue
		}
		s := tr.Snapshot()
		saved.Go(func() {
			if _, err := s.WriteTo(io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	saved.Wait()
	cancel()
	readers.Wait()
	if len(tr.hub.spots) != 0 || tr.hub.watchers != 0 {
		t.Errorf("%d spots, %d watchers are left", len(tr.hub.spots), tr.hub.watchers)
	}
}

// Restore against readers: a watcher ends, a Wait returns.
func TestConcurrentRestore(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/a"})
	data := bytesOf(t, tr)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if i%2 == 0 {
					tr.Wait(ctx, []string{"/none"}, tr.View().Index())
					continue
				}
				w, err := tr.Watch("/none", true, i == 1, 0)
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-w.C:
				case <-ctx.Done():
				}
				w.Close()
			}
		})
	}
	for range 300 {
		if err := tr.Restore(bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		must(t, tr, Op{Action: Set, Key: "/a"})
	}
	cancel()
	readers.Wait()
	if len(tr.hub.spots) != 0 {
		t.Errorf("%d spots are left", len(tr.hub.spots))
	}
}
