// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stuckWriter is the connection of a client that reads nothing: a write waits for the
// deadline.
type stuckWriter struct {
	header   http.Header
	deadline time.Time
	writes   int
}

func (w *stuckWriter) Header() http.Header                { return w.header }
func (w *stuckWriter) WriteHeader(int)                    {}
func (w *stuckWriter) FlushError() error                  { return nil }
func (w *stuckWriter) SetWriteDeadline(t time.Time) error { w.deadline = t; return nil }
func (w *stuckWriter) Write([]byte) (int, error) {
	w.writes++
	if w.deadline.IsZero() {
		select {} // for ever, which a bubble reports
	}
	time.Sleep(time.Until(w.deadline))
	return 0, os.ErrDeadlineExceeded
}

// TestStalledClient: a client that takes nothing is given up after 30 s, be it a stream or
// a large answer.
func TestStalledClient(t *testing.T) {
	for _, target := range []string{"/v2/keys/a?wait=true&stream=true&waitIndex=1", "/v2/keys/a"} {
		synctest.Test(t, func(t *testing.T) {
			h, node := newTestHandler(Options{})
			put(t, node, "/a", strings.Repeat("x", 100<<10))
			r, err := http.NewRequestWithContext(t.Context(), "GET", target, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			w := &stuckWriter{header: make(http.Header)}
			began := time.Now()
			h.ServeHTTP(w, r)
			if got := time.Since(began); got != stallTime {
				t.Errorf("%s: given up after %v, want %v", target, got, stallTime)
			}
			if w.writes != 1 {
				t.Errorf("%s: got %d writes, want 1", target, w.writes)
			}
			if got := node.tree.Stats().Watchers; got != 0 {
				t.Errorf("%s: got %d watchers, want 0", target, got)
			}
		})
	}
}

// TestHangingHealth: a node that cannot confirm its leader is not healthy, in a second.
func TestHangingHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, node := newTestHandler(Options{})
		node.hang = true
		began := time.Now()
		resp := do(t, h, "GET", "/health", "")
		if got := bodyOf(t, resp); resp.StatusCode != 503 || got != `{"health":"false","reason":"no leader has confirmed a read within 1s"}` {
			t.Errorf("got %d %s, want 503", resp.StatusCode, got)
		}
		if got := time.Since(began); got != healthTimeout {
			t.Errorf("answered after %v, want %v", got, healthTimeout)
		}
	})
}

// TestSlowBody: a client that does not send the whole of its body is cut off after 60 s,
// and told why; nothing is stored.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, node := newTestHandler(Options{})
		theirs, ours := net.Pipe()
		_ = newServer(h).Serve(&oneListener{conn: ours}) // errOneListener
		began := time.Now()
		if _, err := io.WriteString(theirs, "PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: "+formType+"\r\nContent-Length: 9\r\n\r\nvalue=x"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(theirs)
		if took := time.Since(began); err != nil || took != bodyTime {
			t.Errorf("closed with %v after %v, want %v", err, took, bodyTime)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "i/o timeout") {
			t.Errorf("got %q", answer)
		}
		if got := node.tree.View().Len(); got != 0 {
			t.Errorf("got %d keys, want 0", got)
		}
		synctest.Wait()
	})
}
