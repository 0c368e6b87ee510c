// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"confd/raftkv/tree"
	"confd/raftkv/v2http/http1"
)

// bothAnswers returns what the two servers, each over a store of its own, say to input.
func bothAnswers(t *testing.T, input string, prepare func(*Handler, *fakeNode)) (std, loop string) {
	t.Helper()
	say := func(serve func(*Handler) server) (answers string) {
		synctest.Test(t, func(t *testing.T) {
			h, node := newTestHandler(Options{RedirectWrites: true})
			prepare(h, node)
			d := talk(serve(h), []byte(input), 0, h.writeA(t))
			answers = sorted(d.early + d.told)
		})
		return answers
	}
	return say(func(h *Handler) server { return Server(h, nil) }), say(func(h *Handler) server { return NewClientServer(h, nil) })
}

// TestLargeAnswers: answers that are sent at once, and in parts.
func TestLargeAnswers(t *testing.T) {
	for _, size := range []int{1 << 10, smallBody, plainPart - 100, plainPart, maxKept, plainPart + maxKept, partSize, 3 << 20} {
		std, loop := bothAnswers(t, read+strings.Replace(read, "GET", "HEAD", 1)+read, func(_ *Handler, node *fakeNode) {
			put(t, node, "/a", strings.Repeat("x", size))
		})
		if std != loop || len(loop) < 2*size {
			t.Errorf("%d bytes: got %d bytes, net/http has %d; %.300q and %.300q", size, len(loop), len(std), loop, std)
		}
	}
}

// TestBodiesAtTheBorder: what is just short enough for the loop, and what is not, for this
// store or for any, is answered in the same words.
func TestBodiesAtTheBorder(t *testing.T) {
	writeOf := func(length int) string {
		body := "value=" + strings.Repeat("x", length-len("value="))
		return putA + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", length, body)
	}
	for _, test := range []struct {
		length, maxValue int
		want             string
	}{
		{64<<10 + len("value="), 0, `"action":"set"`},
		{http1.MaxBody, 0, `"action":"set"`},
		{http1.MaxBody + 1, 0, `"action":"set"`},
		{64<<10 + 3*100, 100, "larger than 100 bytes"},
		{64<<10 + 3*100 + 1, 100, "larger than 100 bytes"},
		{http1.MaxBody, 100, "larger than 100 bytes"},
	} {
		for _, authority := range []bool{false, true} {
			std, loop := bothAnswers(t, writeOf(test.length)+read, func(h *Handler, _ *fakeNode) {
				if test.maxValue != 0 {
					h.maxValue = test.maxValue
				}
				if authority {
					enableAuth(t, h)
				}
			})
			if std != loop || !authority && !strings.Contains(loop, test.want) {
				t.Errorf("%+v, with users: %v: got %.300q, net/http says %.300q", test, authority, loop, std)
			}
		}
	}
}

// TestLargeEvents: an answer whose values are sent from where the tree has them, copied, or
// one so and one so, has the bytes of one in one piece.
func TestLargeEvents(t *testing.T) {
	for _, test := range []struct{ before, after string }{
		{strings.Repeat("x", 300<<10), strings.Repeat("z", 10<<10)},
		{strings.Repeat("x", 300<<10), strings.Repeat("\"", 20<<10)},
		{strings.Repeat("\n", 300<<10), strings.Repeat("y", 50<<10)},
		{strings.Repeat("x", 1<<20), ""},
		{"x", "y"},
	} {
		want := ""
		body := url.Values{"value": {test.after}}.Encode()
		input := fmt.Sprintf("PUT /v2/keys/a HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", hostLine, formType, len(body), body)
		std, loop := bothAnswers(t, input+read, func(_ *Handler, node *fakeNode) {
			other := newFakeNode()
			for _, n := range []*fakeNode{node, other} {
				put(t, n, "/a", test.before)
			}
			event, err := other.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: test.after})
			if err != nil {
				t.Fatal(err)
			}
			want = string(event.JSON())
		})
		if std != loop || strings.Count(loop, want+"\n") != 1 {
			t.Errorf("%.10q after %.10q: got %d bytes, net/http has %d, want %d: %.300q and %.300q", test.after, test.before, len(loop), len(std), len(want), loop, std)
		}
	}
}

// TestTakesLargeValue: a value of 64 KiB is the loop's.
func TestTakesLargeValue(t *testing.T) {
	h, _ := newTestHandler(Options{})
	p := &plain{front: h}
	r := &http1.Request{Method: "PUT", Path: []byte("/v2/keys/a"), ContentType: []byte(formType), Length: 64<<10 + len("value=")}
	if r.Length > http1.MaxBody || !p.Takes(r) {
		t.Error("it is not taken")
	}
	if h.maxValue = 1; p.Takes(r) {
		t.Error("taken, though it is longer than what is read of any")
	}
}

// TestLargeListings: answers in several parts have the bytes of one in one piece.
func TestLargeListings(t *testing.T) {
	for _, count := range []int{0, 1, 100, 300, 1000, 3000} {
		want := ""
		list := "GET /v2/keys/?recursive=true HTTP/1.1\r\n" + hostLine + "\r\n"
		std, loop := bothAnswers(t, list+strings.Replace(list, "GET", "HEAD", 1)+list, func(h *Handler, node *fakeNode) {
			for i := range count {
				put(t, node, fmt.Sprintf("/dir/%d/a", i), strings.Repeat("x\"", i%300))
				put(t, node, fmt.Sprintf("/dir/%d/b", i), strings.Repeat("y", i))
			}
			b, err := node.View().AppendGet(nil, "/", true, node.Now())
			if err != nil {
				t.Fatal(err)
			}
			want = string(b)
		})
		if std != loop || strings.Count(loop, want+"\n") != 2 {
			t.Errorf("%d directories: got %d bytes, net/http has %d, want twice %d: %.300q and %.300q", count, len(loop), len(std), len(want), loop, std)
		}
	}
}

// TestLoopElsewhere: what depends on credentials, on who leads and on the node's health.
func TestLoopElsewhere(t *testing.T) {
	as := func(authorization string) string {
		return strings.ReplaceAll(read+write, hostLine, hostLine+"Authorization: "+authorization+"\r\n")
	}
	for name, test := range map[string]struct {
		input, want string
		prepare     func(*Handler, *fakeNode)
	}{
		"no leader": {read + write, `"errorCode":300`, func(_ *Handler, node *fakeNode) { node.state.LeaderID = "" }},
		"not ready": {read + write, `"errorCode":300`, func(_ *Handler, node *fakeNode) { node.unready = true }},
		"nobody":    {as("Basic !"), `"errorCode":110`, func(h *Handler, node *fakeNode) { enableAuth(t, h) }},
		"a guest":   {read + write, `"errorCode":110`, func(h *Handler, node *fakeNode) { enableAuth(t, h) }},
		"root":      {as("basic cm9vdDpw") + read, `"action":"set"`, func(h *Handler, node *fakeNode) { enableAuth(t, h) }},
	} {
		if std, loop := bothAnswers(t, test.input, test.prepare); std != loop || !strings.Contains(loop, test.want) {
			t.Errorf("%s: got %q, net/http says %q", name, loop, std)
		}
	}
}

// TestWatchBehindLoop: a connection that the loop has read from carries a watch, and what
// was sent together with it.
func TestWatchBehindLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, node := newTestHandler(Options{})
		srv := NewClientServer(h, nil)
		put(t, node, "/a", "v")
		input := read + "GET /v2/keys/a?wait=true&waitIndex=1 HTTP/1.1\r\n" + hostLine + "\r\n" + read
		d := talk(srv, []byte(input), len(read)+10, h.writeA(t))
		if got := strings.Count(d.early, "HTTP/1.1 200 OK"); got != 3 || !strings.Contains(d.early, "Transfer-Encoding: chunked") {
			t.Errorf("got %s", d)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// late is a front that has no handler at first.
type late struct {
	*Handler
	open atomic.Bool
}

func (l *late) Keys() *Handler {
	if !l.open.Load() {
		return nil
	}
	return l.Handler
}

func (l *late) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.open.Load() {
		l.Handler.ServeHTTP(w, r)
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// TestNoHandlerYet: before there is one, key requests go where all others go.
func TestNoHandlerYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestHandler(Options{})
		l := &late{Handler: h}
		srv := NewClientServer(l, nil)
		for _, want := range []string{"HTTP/1.1 503 ", "HTTP/1.1 404 "} {
			if d := talk(srv, []byte(read), 0, func() {}); !strings.HasPrefix(d.early, want) {
				t.Errorf("got %s, want %s", d, want)
			}
			l.open.Store(true)
		}
	})
}

// TestClientServerShutdown: Shutdown waits for requests on both kinds of connections, and
// Close ends them.
func TestClientServerShutdown(t *testing.T) {
	for _, target := range []string{"/v2/keys/a?quorum=true", "/v2/keys/%61?quorum=true"} {
		synctest.Test(t, func(t *testing.T) {
			h, node := newTestHandler(Options{})
			node.hang = true
			srv := NewClientServer(h, nil)
			theirs, ours := net.Pipe()
			_ = srv.Serve(&oneListener{conn: ours}) // errOneListener
			if _, err := io.WriteString(theirs, "GET "+target+" HTTP/1.1\r\n"+hostLine+"\r\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if err := srv.Shutdown(ctx); err == nil {
				t.Errorf("%s: Shutdown has not waited", target)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
			if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s: got %v after Close, want the end", target, err)
			}
		})
	}
}
