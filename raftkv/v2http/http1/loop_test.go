// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// echo is a handler that answers with what it was asked. /wait waits for a value in go, or
// for the loop to be closed; /panic panics; /strange is not taken; /big has a large answer.
type echo struct{ wait chan struct{} }

func (e *echo) Takes(r *Request) bool { return string(r.Path) != "/strange" }

func (e *echo) Serve(ctx context.Context, r *Request, client Client) {
	body := r.Method + " " + string(r.Path) + " " + string(r.Body)
	switch string(r.Path) {
	case "/wait":
		select {
		case <-e.wait:
		case <-ctx.Done():
		}
	case "/panic":
		panic("on the way")
	case "/big":
		body = strings.Repeat("x", 1<<20)
	}
	if r.BodyErr != nil {
		body = r.BodyErr.Error()
	}
	b := r.AppendEnd(AppendStatus(nil, 200), len(body))
	_, _ = client.Write(append(b, body...))
}

// A pair is a client and the loop that serves it.
type pair struct {
	t    *testing.T
	loop *Loop
	echo *echo
	log  bytes.Buffer

	net.Conn // the client's end
	r        *bufio.Reader
	sending  sync.WaitGroup

	handed  net.Conn // that was handed over
	early   string
	refuses bool // the other server takes nothing
}

var errLast = errors.New("no more connections")

// listenOnce is a listener for one connection.
type listenOnce struct {
	net.Listener
	conn net.Conn
}

func (l *listenOnce) Accept() (net.Conn, error) {
	conn := l.conn
	if l.conn = nil; conn == nil {
		return nil, errLast
	}
	return conn, nil
}

// listenPipe returns a connection and the listener at its other end.
func listenPipe() (net.Conn, net.Listener) {
	theirs, ours := net.Pipe()
	return theirs, &listenOnce{conn: ours}
}

// serveConn makes a pair of a connection.
func serveConn(t *testing.T, client, server net.Conn) *pair {
	t.Helper()
	p := &pair{t: t, Conn: client, r: bufio.NewReader(client), echo: &echo{make(chan struct{})}}
	p.loop = New(Config{
		Handler: p.echo,
		HandOver: func(conn net.Conn, early []byte) bool {
			p.handed, p.early = conn, string(early)
			return !p.refuses
		},
		HeaderTime: 10 * time.Second, BodyTime: time.Minute, IdleTime: 5 * time.Minute, StallTime: 30 * time.Second,
		Log: slog.New(slog.NewTextHandler(&p.log, nil)),
	})
	if _, err := p.loop.Listener(&listenOnce{conn: server}).Accept(); err != errLast {
		t.Fatalf("accepting: %v", err)
	}
	return p
}

// inBubble runs a test with a pair over net.Pipe.
func inBubble(t *testing.T, test func(t *testing.T, p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := net.Pipe()
		p := serveConn(t, theirs, ours)
		test(t, p)
		p.Close()
		if p.handed != nil {
			p.handed.Close()
		}
		p.loop.Close()
		p.sending.Wait()
	})
}

// send sends s.
func (p *pair) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatalf("sending %q: %v", s, err)
	}
}

// answer reads an answer and returns its body.
func (p *pair) answer() (*http.Response, string) {
	p.t.Helper()
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatalf("reading an answer: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("reading a body: %v", err)
	}
	return resp, string(b)
}

// want reads an answer and checks its body.
func (p *pair) want(body string) {
	p.t.Helper()
	if _, got := p.answer(); got != body {
		p.t.Errorf("got %q, want %q", got, body)
	}
}

// closes checks after what time the server closes.
func (p *pair) closes(least, most time.Duration) {
	p.t.Helper()
	began := time.Now()
	b, err := p.r.ReadByte()
	if err != io.EOF {
		p.t.Errorf("got %q, %v, want the end", b, err)
	}
	if took := time.Since(began); took < least || took > most {
		p.t.Errorf("closed after %v, want %v to %v", took, least, most)
	}
}

func request(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }

// TestInOrder: requests that come at once are answered in their order, those that come in
// pieces as if they had not.
func TestInOrder(t *testing.T) {
	put := "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	input := request("/a") + put + request("/c") + strings.Replace(put, "4", "9000", 1) + strings.Repeat("y", 8996) + request("/d")
	for _, size := range []int{len(input), 1, 7, 50, 8000} {
		inBubble(t, func(t *testing.T, p *pair) {
			go func() {
				for rest := input; rest != ""; rest = rest[min(size, len(rest)):] {
					if _, err := io.WriteString(p, rest[:min(size, len(rest))]); err != nil {
						return
					}
				}
			}()
			for _, want := range []string{"GET /a ", "PUT /b body", "GET /c ", "PUT /b body" + strings.Repeat("y", 8996), "GET /d "} {
				p.want(want)
			}
			if p.handed != nil {
				t.Errorf("parts of %d: handed over", size)
			}
		})
	}
}

// TestManyPipelined: a row of requests longer than the buffer stays with the loop.
func TestManyPipelined(t *testing.T) {
	const many = 2000
	inBubble(t, func(t *testing.T, p *pair) {
		go func() { _, _ = io.WriteString(p, strings.Repeat(request("/a"), many)) }()
		for range many {
			p.want("GET /a ")
		}
	})
}

// TestHandOver: the other server gets exactly what was not answered, and no deadline.
func TestHandOver(t *testing.T) {
	long := "GET /a HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", MaxHead)
	for input, want := range map[string]string{
		request("/strange") + "rest":                                      request("/strange") + "rest",
		request("/a") + request("/strange") + request("/a"):               request("/strange") + request("/a"),
		"PUT /strange HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo": "PUT /strange HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo",
		"\x16\x03\x01": "\x16\x03\x01",
		long:           long[:MaxHead],
	} {
		inBubble(t, func(t *testing.T, p *pair) {
			go func() { _, _ = io.WriteString(p, input) }()
			go func() { _, _ = io.Copy(io.Discard, p.r) }()
			synctest.Wait()
			if p.early != want {
				t.Fatalf("to %.50q: handed over with %.50q, want %.50q", input, p.early, want)
			}
			time.Sleep(time.Hour)
			go func() { _, _ = p.handed.Write([]byte("x")) }()
			go func() { _, _ = io.WriteString(p, "y") }()
			b := make([]byte, 1)
			if _, err := p.handed.Read(b); err != nil {
				t.Errorf("reading on: %v", err)
			}
			p.loop.Close() // has nothing to do with it any more
			if len(p.loop.conns) != 0 {
				t.Error("the loop has the connection still")
			}
		})
	}
}

// TestHandOverRefused: a connection that the other server does not take is closed.
func TestHandOverRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		p.refuses = true
		p.send(request("/strange"))
		p.closes(0, 0)
	})
}

// TestHalf: who ends in the middle of a head is answered by the other server, in the
// middle of a body by the handler.
func TestHalf(t *testing.T) {
	for input, want := range map[string]string{
		"GET /a HTTP/1.1\r\nHost:":                                  "",
		"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo": "unexpected EOF",
	} {
		p := freshTCP(t)
		p.send(input)
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if want != "" {
			p.want(want)
			p.closes(0, time.Minute)
		}
		p.loop.running.Wait()
		if want == "" && p.early != input {
			t.Errorf("handed over with %q, want %q", p.early, input)
		}
	}
}

// TestPanic: a handler that panics costs the connection, and is told.
func TestPanic(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		p.send(request("/panic"))
		p.closes(0, 0)
		synctest.Wait()
		if got := p.log.String(); !strings.Contains(got, "on the way") || !strings.Contains(got, "loop_test.go") {
			t.Errorf("the log has %q", got)
		}
	})
}
