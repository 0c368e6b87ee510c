// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
)

// A rawClient speaks HTTP on one connection.
type rawClient struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dialTest(t testing.TB, url string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{t, conn, bufio.NewReader(conn)}
}

// send sends a request line and headers.
func (c *rawClient) send(line string, headers ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\r\nHost: x\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// head reads the head of an answer.
func (c *rawClient) head() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	return resp
}

// body reads the rest of an answer.
func (c *rawClient) body(resp *http.Response) string {
	c.t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading a body: %v", err)
	}
	return string(b)
}

// ended reports whether the server closes the connection.
func (c *rawClient) ended() bool {
	_, err := c.r.ReadByte()
	return err == io.EOF
}

// TestConnectionAfterWatch: one connection carries a watch, a read, a watch again.
func TestConnectionAfterWatch(t *testing.T) {
	url, h, node := serveTest(t)
	c := dialTest(t, url)
	for i := range 5 {
		c.send("GET /v2/keys/a?wait=true HTTP/1.1")
		resp := c.head()
		put(t, node, "/a", "v")
		if got, want := c.body(resp), `"value":"v"`; !strings.Contains(got, want) {
			t.Fatalf("watch %d: got %q", i, got)
		}
		c.send("GET /v2/keys/a HTTP/1.1")
		if got := c.body(c.head()); !strings.Contains(got, `"action":"get"`) {
			t.Fatalf("read %d: got %q", i, got)
		}
	}
	await(t, "end of the watches", func() bool { return h.openWatches() == 0 })
}

// TestPipelinedAfterWatch: what a client sends before its watch has ended is answered
// after it, whether it came with the request or later.
func TestPipelinedAfterWatch(t *testing.T) {
	url, _, node := serveTest(t)
	put(t, node, "/b", "w")
	for _, together := range []bool{true, false} {
		c := dialTest(t, url)
		const read = "GET /v2/keys/b HTTP/1.1"
		c.send("GET /v2/keys/a?wait=true HTTP/1.1")
		if together {
			c.send(read)
		}
		resp := c.head()
		if !together {
			c.send(read)
		}
		put(t, node, "/a", "v")
		if got := c.body(resp); !strings.Contains(got, `"value":"v"`) {
			t.Errorf("together %v: watch got %q", together, got)
		}
		if got := c.body(c.head()); !strings.Contains(got, `"value":"w"`) {
			t.Errorf("together %v: read got %q", together, got)
		}
		c.Close()
	}
}

// TestWrappersAfterWatch: however often a client pipelines behind a watch, its connection
// has one wrapper at most, with all that has been read, and none when that is nothing.
func TestWrappersAfterWatch(t *testing.T) {
	for _, test := range []struct{ left, early, want string }{
		{"", "", ""},
		{"", "GET ", "GET "},
		{"/v2", "", "/v2"},
		{"/v2", "GET ", "GET /v2"},
	} {
		theirs, ours := net.Pipe()
		var got string
		var below net.Conn
		srv := &http.Server{ConnState: func(conn net.Conn, s http.ConnState) {
			if s != http.StateNew { // that comes before anybody reads
				return
			}
			below = conn
			if e, ok := conn.(*earlyConn); ok {
				below, got = e.Conn, string(e.early)
			}
			if got == "" {
				below = conn
			}
		}}
		c := &watchConn{goOn: func(conn net.Conn, early []byte) bool { return serveOn(srv, conn, early) }, conn: &earlyConn{ours, []byte(test.left)}, early: []byte(test.early)}
		if !c.giveBack() {
			t.Fatal("the server did not take the connection")
		}
		if got != test.want || below != ours {
			t.Errorf("%q before %q: the server got %q, in front of a %T", test.early, test.left, got, below)
		}
		theirs.Close()
		srv.Close()
	}
}

// TestWatchAndClose: the connection ends with the answer if the client said so, or
// speaks HTTP/1.0, which has no chunks.
func TestWatchAndClose(t *testing.T) {
	url, _, node := serveTest(t)
	for _, test := range []struct {
		version string
		headers []string
		chunked bool
	}{
		{"HTTP/1.1", []string{"Connection: close"}, true},
		{"HTTP/1.0", nil, false},
	} {
		c := dialTest(t, url)
		c.send("GET /v2/keys/a?wait=true "+test.version, test.headers...)
		resp := c.head()
		if got := len(resp.TransferEncoding) > 0; got != test.chunked {
			t.Errorf("%s: chunked is %v", test.version, got)
		}
		put(t, node, "/a", "v")
		if got := c.body(resp); !strings.Contains(got, `"value":"v"`) {
			t.Errorf("%s: got %q", test.version, got)
		}
		if !c.ended() {
			t.Errorf("%s: the connection is open still", test.version)
		}
	}
}

// TestClientLeaves: a watch whose client has gone is forgotten, with its connection.
func TestClientLeaves(t *testing.T) {
	url, h, node := serveTest(t)
	for i, query := range []string{"?wait=true", "?wait=true&stream=true", "?wait=true", "?wait=true&stream=true"} {
		c := dialTest(t, url)
		c.send("GET /v2/keys/a" + query + " HTTP/1.1")
		c.head()
		if i >= 2 { // the beginning of another request is no reason to stay
			if _, err := io.WriteString(c, "GET /v2/keys/b"); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		await(t, "end of the watch", func() bool { return node.tree.Stats().Watchers == 0 && h.openWatches() == 0 })
	}
}

// TestEndWatchesSendsTheEnd: when EndWatches returns the ends have been sent, and a
// client that takes nothing has not held it up for long.
func TestEndWatchesSendsTheEnd(t *testing.T) {
	url, h, node := serveTest(t)
	good, stuck := dialTest(t, url), dialTest(t, url)
	good.send("GET /v2/keys/a?wait=true&stream=true HTTP/1.1")
	resp := good.head()
	stuck.send("GET /v2/keys/b?wait=true&stream=true HTTP/1.1")
	stuck.head()
	value := strings.Repeat("x", 64<<10)
	for range 300 { // more than all buffers on the way
		put(t, node, "/b", value)
	}
	began := time.Now()
	h.EndWatches()
	if took := time.Since(began); took > endGrace+5*time.Second {
		t.Errorf("took %v", took)
	}
	if got := h.openWatches(); got != 0 {
		t.Errorf("%d watches are open", got)
	}
	if got := good.body(resp); got != "" || !good.ended() {
		t.Errorf("got %q, or the connection is open", got)
	}
}

// TestWatchOverTLS: the connection can be used again, and is still known to be TLS.
func TestWatchOverTLS(t *testing.T) {
	h, node := newTestHandler(Options{})
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = Server(h, nil)
	seen := make(chan *tls.ConnectionState, 10)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.TLS
		h.ServeHTTP(w, r)
	})
	srv.StartTLS()
	defer srv.Close()
	defer h.EndWatches()
	var reused bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
	})
	for i := range 3 {
		r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/v2/keys/a?wait=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		put(t, node, "/a", "v")
		if got := bodyOf(t, resp); !strings.Contains(got, `"value":"v"`) {
			t.Fatalf("got %q", got)
		}
		if state := <-seen; state == nil || !state.HandshakeComplete {
			t.Fatal("the server does not know that it is TLS")
		}
		if reused != (i > 0) {
			t.Errorf("request %d: connection reused: %v", i, reused)
		}
	}
}

// TestSlowReaderDelaysNobody: while one stream is not read, a hundred thousand events
// pass; they do not stay in memory, and another stream of the same key has them all.
func TestSlowReaderDelaysNobody(t *testing.T) {
	url, _, node := serveTest(t)
	slow := dialTest(t, url)
	slow.send("GET /v2/keys/a?wait=true&stream=true HTTP/1.1")
	slow.head()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := watchURL(t, ctx, url+"/v2/keys/a?wait=true&stream=true")
	lines := bufio.NewScanner(resp.Body)
	value := strings.Repeat("x", 500)
	const events, window = 100_000, 100
	var before, after uint64
	var worst time.Duration
	for i := range events / window {
		began := time.Now()
		for range window {
			put(t, node, "/a", value)
		}
		for range window {
			if !lines.Scan() {
				t.Fatalf("the other stream has ended at event %d: %v", i*window, lines.Err())
			}
		}
		worst = max(worst, time.Since(began))
		switch i {
		case 99:
			before = heapInUse()
		case events/window - 1:
			after = heapInUse()
		}
	}
	if got := node.tree.CutOff(); got != 1 {
		t.Errorf("%d watchers were cut off, want 1", got)
	}
	if after > before+8<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	t.Logf("%d events; the slowest %d took %v; heap %d then %d bytes", events, window, worst, before, after)
}
