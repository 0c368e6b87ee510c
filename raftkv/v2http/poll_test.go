// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// serveLoop starts a server with a loop for a fresh fake node, and a client.
func serveLoop(t *testing.T) (*rawClient, *Handler, *fakeNode) {
	t.Helper()
	h, node := newTestHandler(Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewClientServer(h, nil)
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) }) // http.ErrServerClosed
	t.Cleanup(func() {
		h.EndWatches()
		srv.Close()
		serving.Wait()
	})
	return dialTest(t, "http://"+l.Addr().String()), h, node
}

// openPolls returns how many watches the loop has, and how many others there are.
func (h *Handler) openPolls() (polls, others int) {
	h.watches.mu.Lock()
	defer h.watches.mu.Unlock()
	return len(h.watches.polls), len(h.watches.conns)
}

// holds waits until the loop has so many watches, and others have so many. A client may have
// the head of a watch before anybody has it.
func (h *Handler) holds(t *testing.T, polls, others int) {
	t.Helper()
	await(t, fmt.Sprintf("%d watches of the loop and %d others", polls, others), func() bool {
		p, o := h.openPolls()
		return p == polls && o == others
	})
}

// poll begins a long poll.
func (c *rawClient) poll() *http.Response {
	c.t.Helper()
	c.send("GET /v2/keys/a?wait=true HTTP/1.1")
	return c.head()
}

// told checks the event of a watch.
func (c *rawClient) told(resp *http.Response, node *fakeNode) {
	c.t.Helper()
	put(c.t, node, "/a", "v")
	if got := c.body(resp); !strings.Contains(got, `"value":"v"`) {
		c.t.Errorf("got %q", got)
	}
}

// TestPollIsTheLoops: polls stay with the loop, the first request of a connection and those after
// other requests.
func TestPollIsTheLoops(t *testing.T) {
	c, h, node := serveLoop(t)
	for range 3 {
		resp := c.poll()
		h.holds(t, 1, 0)
		c.told(resp, node)
		await(t, "end of the watch", func() bool { return h.openWatches() == 0 })
		c.send("GET /v2/keys/a HTTP/1.1")
		if got := c.body(c.head()); !strings.Contains(got, `"action":"get"`) {
			t.Fatalf("got %q", got)
		}
	}
}

// TestPollComesBack: a poll with a request behind it leaves the loop, and so does a stream; the
// connection comes back after it.
func TestPollComesBack(t *testing.T) {
	c, h, node := serveLoop(t)
	for _, query := range []string{"", "&stream=true"} {
		c.send("GET /v2/keys/a?wait=true" + query + " HTTP/1.1")
		resp := c.head()
		if query == "" {
			c.send("GET /v2/keys/b HTTP/1.1")
		}
		h.holds(t, 0, 1)
		if query == "" {
			c.told(resp, node)
			if got := c.body(c.head()); !strings.Contains(got, `"errorCode":100`) {
				t.Errorf("the request behind it: got %q", got)
			}
		} else {
			endAll(t, node)
			if got := c.body(resp); got != "" {
				t.Errorf("a stream that ends: got %q", got)
			}
		}
		resp = c.poll()
		h.holds(t, 1, 0)
		c.told(resp, node)
		await(t, "end of the watch", func() bool { return h.openWatches() == 0 })
	}
}

// endAll ends all watches of a node, as a snapshot from the leader does.
func endAll(t *testing.T, node *fakeNode) {
	t.Helper()
	node.mu.Lock()
	defer node.mu.Unlock()
	var snapshot bytes.Buffer
	if _, err := node.tree.Snapshot().WriteTo(&snapshot); err != nil {
		t.Fatal(err)
	}
	if err := node.tree.Restore(&snapshot); err != nil {
		t.Fatal(err)
	}
}

// TestPollEndsWithoutEvent: the client of a poll that ends without an event sees an empty body,
// and may ask again, unless watches have ended for good.
func TestPollEndsWithoutEvent(t *testing.T) {
	c, h, node := serveLoop(t)
	resp := c.poll()
	endAll(t, node)
	if got := c.body(resp); got != "" {
		t.Errorf("got %q", got)
	}
	resp = c.poll()
	h.EndWatches()
	if got := c.body(resp); got != "" || !c.ended() {
		t.Errorf("got %q, or the connection is open", got)
	}
	if got := node.tree.Stats().Watchers; got != 0 {
		t.Errorf("got %d watchers, want 0", got)
	}
}

// TestPollElsewhere: what depends on history, credentials and the node's health.
func TestPollElsewhere(t *testing.T) {
	as := func(authorization string) string {
		return pollA + "Authorization: " + authorization + "\r\n\r\n" + read
	}
	users := func(h *Handler, _ *fakeNode) { enableAuth(t, h) }
	for name, test := range map[string]struct {
		input, want string
		prepare     func(*Handler, *fakeNode)
	}{
		"cleared": {write + strings.Replace(poll1, "=1", "=2", 1) + read, `"errorCode":401`, func(_ *Handler, node *fakeNode) {
			for range 1005 {
				put(t, node, "/a", "v")
			}
		}},
		"history":   {poll1 + read, `"value":"past"`, func(_ *Handler, node *fakeNode) { put(t, node, "/a", "past") }},
		"large":     {poll1 + read, "xy", func(_ *Handler, node *fakeNode) { put(t, node, "/a", strings.Repeat("x", 300<<10)+"y") }},
		"to come":   {pollA + "\r\n" + read, `"value":"event"`, func(*Handler, *fakeNode) {}},
		"not ready": {pollA + "\r\n" + read, `"errorCode":300`, func(_ *Handler, node *fakeNode) { node.unready = true }},
		"ended":     {pollA + "\r\n" + read, "chunked", func(h *Handler, _ *fakeNode) { h.EndWatches() }},
		"a guest":   {pollA + "\r\n" + read, `"errorCode":110`, users},
		"nobody":    {as("Basic !"), `"errorCode":110`, users},
		"root":      {as("basic cm9vdDpw"), `"value":"event"`, users},
	} {
		if std, loop := bothAnswers(t, test.input, test.prepare); std != loop || !strings.Contains(loop, test.want) {
			t.Errorf("%s: got %.1000q, net/http says %.1000q", name, loop, std)
		}
	}
}

// TestPollMetrics: polls and their events are counted, be they past or to come.
func TestPollMetrics(t *testing.T) {
	c, h, node := serveLoop(t)
	c.told(c.poll(), node)
	c.send("GET /v2/keys/a?wait=true&waitIndex=1 HTTP/1.1")
	c.body(c.head())
	resp := c.poll()
	endAll(t, node)
	c.body(resp)
	await(t, "end of the watch", func() bool { return h.openWatches() == 0 })
	page := bodyOf(t, do(t, h, "GET", "/metrics", ""))
	for _, want := range []string{
		"\nconfd_http_watch_events_total 2\n",
		`confd_http_request_duration_seconds_count{method="GET",route="watch",code="200"} 3` + "\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %q in %s", want, page)
		}
	}
}

// TestPollStuck: a client that does not take its event holds up neither another poll of the same
// key, nor EndWatches for long.
func TestPollStuck(t *testing.T) {
	c, h, node := serveLoop(t)
	stuck := dialTest(t, c.RemoteAddr().String())
	stuck.poll()
	resp := c.poll()
	put(t, node, "/a", strings.Repeat("x", 16<<20))
	if got := c.body(resp); len(got) < 16<<20 {
		t.Errorf("the other one has got %d bytes", len(got))
	}
	await(t, "end of the watch", func() bool { return h.openWatches() == 1 })
	began := time.Now()
	h.EndWatches()
	if took := time.Since(began); took > endGrace+5*time.Second {
		t.Errorf("EndWatches took %v", took)
	}
}

// TestPollsAtOnce: many polls at two keys have each event of theirs, and one goroutine each.
func TestPollsAtOnce(t *testing.T) {
	c, h, node := serveLoop(t)
	const polls, rounds = 100, 20
	clients := make([]*rawClient, polls)
	for i := range clients {
		clients[i] = dialTest(t, c.RemoteAddr().String())
	}
	key := func(i int) string { return "/k" + strconv.Itoa(i%2) }
	before := runtime.NumGoroutine()
	for n := range rounds {
		var resps []*http.Response
		for i, c := range clients {
			c.send("GET /v2/keys" + key(i) + "?wait=true HTTP/1.1")
			resps = append(resps, c.head())
		}
		await(t, "polls of the loop", func() bool { polls, _ := h.openPolls(); return polls == len(clients) })
		if got := runtime.NumGoroutine() - before; got > polls+10 {
			t.Fatalf("%d polls have %d goroutines", polls, got)
		}
		for i := range 2 {
			put(t, node, key(i), strconv.Itoa(n))
		}
		for i, c := range clients {
			if got, want := c.body(resps[i]), `"key":"`+key(i)+`","value":"`+strconv.Itoa(n)+`"`; !strings.Contains(got, want) {
				t.Fatalf("round %d: client %d has got %q", n, i, got)
			}
		}
		await(t, "end of the watches", func() bool { return h.openWatches() == 0 })
	}
}
