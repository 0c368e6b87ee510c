// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A hub tells everybody who waits of what is written. Only those who asked for /all are
// told of all, those of /none of nothing.
type hub struct {
	mu      sync.Mutex
	waiting map[chan string]bool
	double  bool // tells everything twice
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == "PUT" {
		h.mu.Lock()
		for c := range h.waiting {
			c <- r.URL.Path
			if h.double {
				c <- r.URL.Path
			}
		}
		h.mu.Unlock()
		fmt.Fprint(w, r.URL.Path)
		return
	}
	c := make(chan string, 100)
	h.mu.Lock()
	if r.URL.Path == "/all" {
		h.waiting[c] = true
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.waiting, c)
		h.mu.Unlock()
	}()
	w.WriteHeader(200)
	flush := http.NewResponseController(w).Flush
	for flush() == nil {
		select {
		case path := <-c:
			fmt.Fprintf(w, "event %s\n", path)
		case <-r.Context().Done():
			return
		}
		if r.URL.RawQuery != "stream" {
			return
		}
	}
}

// writes is a job with checks of all that comes.
func writes(watchers, window int) Writes {
	return Writes{
		Watchers: watchers, Window: window,
		Request: func(buf []byte, n int) []byte {
			return fmt.Appendf(buf, "PUT /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", n)
		},
		Check: func(_, n int, r *Response) error {
			if string(r.Body) != fmt.Sprintf("/%d", n) {
				return errors.New("another answer")
			}
			return nil
		},
		Event: func(n int, event []byte) error {
			if strings.TrimSpace(string(event)) != fmt.Sprintf("event /%d", n) {
				return errors.New("another event")
			}
			return nil
		},
	}
}

func openWatches(t *testing.T, h *hub, query string, n int) *Watches {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	addr := strings.TrimPrefix(s.URL, "http://")
	path := "/all"
	w, err := Watch(addr, query != "", func(buf []byte) []byte {
		return fmt.Appendf(buf, "GET %s%s HTTP/1.1\r\nHost: x\r\n\r\n", path, query)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if err := w.Open(t.Context(), addr, n); err != nil {
		t.Fatal(err)
	}
	path = "/none"
	if err := w.Open(t.Context(), addr, 5); err != nil {
		t.Fatal(err)
	}
	path = "/all"
	return w
}

func TestWatches(t *testing.T) {
	for _, test := range []struct {
		query  string
		window int
	}{{"", 1}, {"?stream", 1}, {"?stream", 7}} {
		w := openWatches(t, &hub{waiting: make(map[chan string]bool)}, test.query, 150)
		job := writes(150, test.window)
		job.Total = 20
		seen, err := w.Write(t.Context(), job)
		if err != nil || seen.Writes != 20 || seen.Events != 3000 || seen.Woken.Count() != 20 || seen.After.Max() > seen.Woken.Max() {
			t.Errorf("%s: %d writes, %d events, %v", test.query, seen.Writes, seen.Events, err)
		}
		job = writes(150, test.window)
		job.For = time.Millisecond
		if seen, err = w.Write(t.Context(), job); err != nil || seen.Writes == 0 || seen.Took < job.For {
			t.Errorf("%s, for a time: %d writes, %v, %v", test.query, seen.Writes, seen.Took, err)
		}
	}
}

func TestWatchesFail(t *testing.T) {
	w := openWatches(t, &hub{waiting: make(map[chan string]bool), double: true}, "?stream", 2)
	job := writes(2, 1)
	job.Total = 3
	if _, err := w.Write(t.Context(), job); err == nil {
		t.Error("events that came twice were taken")
	}
	w = openWatches(t, &hub{waiting: make(map[chan string]bool)}, "?stream", 2)
	job.Watchers = 1
	if _, err := w.Write(t.Context(), job); err == nil || !strings.Contains(err.Error(), "which has none") {
		t.Errorf("an event at a watcher without one: %v", err)
	}
}

// TestWatchesConnectLate: the connection that writes is made when it is used. Servers do not
// wait long for the first request.
func TestWatchesConnectLate(t *testing.T) {
	var connected atomic.Int32
	s := httptest.NewUnstartedServer(&hub{waiting: make(map[chan string]bool)})
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connected.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	addr := strings.TrimPrefix(s.URL, "http://")
	w, err := Watch(addr, true, func(buf []byte) []byte {
		return append(buf, "GET /all?stream HTTP/1.1\r\nHost: x\r\n\r\n"...)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if err := w.Open(t.Context(), addr, 2); err != nil {
		t.Fatal(err)
	}
	if got := connected.Load(); got != 2 {
		t.Errorf("%d connections for two watches", got)
	}
	for range 2 {
		job := writes(2, 1)
		job.Total = 3
		if seen, err := w.Write(t.Context(), job); err != nil || seen.Writes != 3 {
			t.Errorf("%d writes, %v", seen.Writes, err)
		}
	}
}
