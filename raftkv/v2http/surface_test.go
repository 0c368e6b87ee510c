// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
)

// The surface is tested twice, with net/http alone and with the loop in front of it: the
// tests run once more in a process of their own, where servers are ClientServers and
// requests to a handler go over a connection.

// loopEnv is set in that process.
const loopEnv = "CONFD_TEST_LOOP"

func overLoop() bool { return os.Getenv(loopEnv) != "" }

// TestSurfaceOverLoop runs all other tests over the loop.
func TestSurfaceOverLoop(t *testing.T) {
	if overLoop() {
		return
	}
	args := []string{"-test.run", "^Test", "-test.skip", "^TestSurfaceOverLoop$", "-test.timeout", "5m"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), loopEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A server is what Server and NewClientServer return, as far as tests need it.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// newServer returns the server of a handler that is under test.
func newServer(h *Handler) server {
	if overLoop() {
		return NewClientServer(h, nil)
	}
	return Server(h, nil)
}

// startServer serves h until the test ends, and returns the URL.
func startServer(t testing.TB, h *Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, served := newServer(h), make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // http.ErrServerClosed
	}()
	t.Cleanup(func() {
		h.EndWatches()
		srv.Close()
		<-served
	})
	return "http://" + l.Addr().String()
}

// record has h answer r: itself, or over a connection, but for what a client would not
// send, and what it would not show.
func record(t testing.TB, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	handler, ok := h.(*Handler)
	if !ok || !overLoop() || r.TLS != nil || r.Host == "" || r.Method == "HEAD" {
		h.ServeHTTP(w, r)
		return w
	}
	theirs, ours := net.Pipe()
	defer theirs.Close()
	srv := newServer(handler)
	_ = srv.Serve(&oneListener{conn: ours}) // errOneListener
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = r.Write(theirs) // an early answer ends it
	}()
	resp, err := http.ReadResponse(bufio.NewReader(theirs), r)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", r.Method, r.URL, err)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		t.Fatalf("%s %s: reading the body: %v", r.Method, r.URL, err)
	}
	theirs.Close()
	<-sent
	return w
}
