// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// feeds returns how many feeds and streams in them there are, once the senders rest.
func feeds(t *testing.T, h *Handler) (feeds, streams int) {
	t.Helper()
	for i := range h.senders.all {
		s := &h.senders.all[i]
		await(t, "a sender that rests", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return !s.running
		})
		s.mu.Lock()
		feeds += len(s.feeds)
		for _, f := range s.feeds {
			streams += len(f.streams)
		}
		s.mu.Unlock()
	}
	return feeds, streams
}

// TestStreamsShareAFeed: streams that come and go while a key is written have each event
// since they came, once and in order. All of them take one watcher of each sender.
func TestStreamsShareAFeed(t *testing.T) {
	url, h, node := serveTest(t)
	const streams, events = 40, 60
	var writing, reading sync.WaitGroup
	var seen atomic.Int64 // by the first stream
	come := make(chan struct{}, streams)
	writing.Go(func() {
		for n := range streams {
			<-come
			for seen.Load() < int64(n-1)*events { // or all would be cut off
				runtime.Gosched()
			}
			for range events {
				put(t, node, "/a/b", "v")
			}
		}
	})
	for i := range streams {
		c := dialTest(t, url)
		c.send("GET /v2/keys/a?wait=true&stream=true&recursive=true HTTP/1.1")
		resp := c.head()
		from, err := strconv.Atoi(resp.Header.Get("X-Etcd-Index"))
		if err != nil {
			t.Fatal(err)
		}
		come <- struct{}{}
		reading.Go(func() {
			lines := bufio.NewScanner(resp.Body)
			if i == 0 {
				defer seen.Store(math.MaxInt64)
			}
			for n := from + 1; n <= streams*events && (i%2 == 0 || n <= from+events/2); n++ {
				if want := fmt.Sprintf(`"modifiedIndex":%d,`, n); !lines.Scan() || !strings.Contains(lines.Text(), want) {
					t.Errorf("stream %d from %d: %q, want %s (%v)", i, from, lines.Text(), want, lines.Err())
					return
				}
				if i == 0 {
					seen.Store(int64(n))
				}
			}
			if i%2 == 1 {
				c.Close()
			}
		})
	}
	writing.Wait()
	reading.Wait()
	await(t, "the end of those that have gone", func() bool { return node.tree.Stats().Watchers == streams/2 })
	if f, got := feeds(t, h); f > len(h.senders.all) || got != streams/2 {
		t.Errorf("%d streams in %d feeds", got, f)
	}
	h.EndWatches()
	if f, got := feeds(t, h); f != 0 || got != 0 || node.tree.Stats().Watchers != 0 {
		t.Errorf("%d streams and %d feeds are left, %d watchers", got, f, node.tree.Stats().Watchers)
	}
}

// TestStreamAhead: a stream that waits for an index to come has no event before that, though
// others have.
func TestStreamAhead(t *testing.T) {
	url, _, node := serveTest(t)
	var lines []*bufio.Scanner
	for _, query := range []string{"", "&waitIndex=3", "&waitIndex=1"} {
		c := dialTest(t, url)
		c.send("GET /v2/keys/a?wait=true&stream=true" + query + " HTTP/1.1")
		lines = append(lines, bufio.NewScanner(c.head().Body))
	}
	for range 4 {
		put(t, node, "/a", "v")
	}
	for i, first := range []int{1, 3, 1} {
		for n := first; n <= 4; n++ {
			if want := fmt.Sprintf(`"modifiedIndex":%d,`, n); !lines[i].Scan() || !strings.Contains(lines[i].Text(), want) {
				t.Errorf("stream %d: %q, want %s", i, lines[i].Text(), want)
			}
		}
	}
}

// TestSendersLeaveProcessors: half of them at least are for requests.
func TestSendersLeaveProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 4} {
		runtime.GOMAXPROCS(procs)
		if h, _ := newTestHandler(Options{}); len(h.senders.all) != want {
			t.Errorf("%d senders on %d processors, want %d", len(h.senders.all), procs, want)
		}
	}
}
