// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// overTCP makes a pair of a TCP connection. Its loop has answered a request already, so it
// knows that it can read by the descriptor.
func overTCP(t *testing.T) *pair {
	t.Helper()
	p := freshTCP(t)
	for range 2 { // the second is read by the descriptor
		p.send(request("/a"))
		p.want("GET /a ")
	}
	return p
}

// freshTCP makes a pair of a TCP connection.
func freshTCP(t *testing.T) *pair {
	t.Helper()
	client, server := dial(t)
	p := serveConn(t, client, server)
	t.Cleanup(func() {
		client.Close()
		p.loop.Close()
		p.loop.running.Wait()
		server.Close()
	})
	return p
}

// dial returns both ends of a TCP connection.
func dial(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// TestRawSplit: a request that comes in two parts is answered, wherever it is cut, and so
// is what follows it at once.
func TestRawSplit(t *testing.T) {
	p := overTCP(t)
	put := "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	for _, before := range []string{"", request("/c")} {
		for cut := range len(put) + 1 {
			p.send(before + put[:cut])
			if before != "" {
				p.want("GET /c ") // so the rest is not there yet
			}
			p.send(put[cut:] + request("/d"))
			p.want("PUT /b body")
			p.want("GET /d ")
		}
	}
	if p.handed != nil {
		t.Error("handed over")
	}
}

// TestRawLong: what fills the buffer may have more behind it, which nothing tells of.
func TestRawLong(t *testing.T) {
	p := overTCP(t)
	one := request("/" + strings.Repeat("x", MaxHead/8-len(request("/"))))
	want := "GET " + strings.Fields(one)[1] + " "
	for _, many := range []int{7, 8, 9, 16, 17, 100} {
		p.sending.Go(func() { _, _ = io.WriteString(p, strings.Repeat(one, many)) })
		for range many {
			p.want(want)
		}
		p.sending.Wait()
	}
}

// TestRawHandOver: what is strange after requests that were not is handed over.
func TestRawHandOver(t *testing.T) {
	p := overTCP(t)
	p.send(request("/a") + request("/strange"))
	p.want("GET /a ")
	p.loop.running.Wait()
	if p.early != request("/strange") {
		t.Errorf("handed over with %q", p.early)
	}
}

// TestRawCloses: the loop closes when the answer says so, the client does, or the handler
// panics.
func TestRawCloses(t *testing.T) {
	p := overTCP(t)
	p.send(strings.Replace(request("/a"), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1) + request("/b"))
	p.want("GET /a ")
	p.loop.running.Wait()

	p = overTCP(t)
	p.send(request("/panic"))
	p.closes(0, time.Minute)
	p.loop.running.Wait()
	if got := p.log.String(); !strings.Contains(got, "on the way") {
		t.Errorf("the log has %q", got)
	}

	p = overTCP(t)
	p.Close()
	p.loop.running.Wait()
}

// TestRawEnd: the end of what a client sends is seen though it comes with a request, where
// the descriptor does not tell of it a second time.
func TestRawEnd(t *testing.T) {
	for range 20 {
		p := overTCP(t)
		p.send(request("/a"))
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		p.want("GET /a ")
		p.sending.Go(func() { p.closes(0, probeTime+slack+time.Minute) })
		defer p.sending.Wait()
	}
}

// TestRawShutdown: a connection that waits is closed at once.
func TestRawShutdown(t *testing.T) {
	p := overTCP(t)
	if err := p.loop.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	p.closes(0, time.Minute)
}

// TestRawShutdownWaits: a request under way is answered, and that is the last.
func TestRawShutdownWaits(t *testing.T) {
	overTCP(t).shutdownWaits("/a")
}

// shutdownWaits shuts the loop down while it serves a request.
func (p *pair) shutdownWaits(path string) {
	p.t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	p.loop.config.Handler = &stubborn{entered, leave}
	p.send(request(path))
	<-entered
	p.sending.Go(func() {
		if err := p.loop.Shutdown(p.t.Context()); err != nil {
			p.t.Error(err)
		}
	})
	close(leave)
	p.want("")
	p.sending.Wait()
	p.closes(0, time.Minute)
}

// stubborn is a handler that does not heed its context.
type stubborn struct{ entered, leave chan struct{} }

func (s *stubborn) Takes(*Request) bool { return true }

func (s *stubborn) Serve(_ context.Context, r *Request, client Client) {
	close(s.entered)
	<-s.leave
	_, _ = client.Write(r.AppendEnd(AppendStatus(nil, 200), 0))
}

// TestRawClose: Close does not wait for a handler, and the connection ends with it.
func TestRawClose(t *testing.T) {
	p := overTCP(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	p.loop.config.Handler = &stubborn{entered, leave}
	p.send(request("/a"))
	<-entered
	p.loop.Close() // returns though the handler does not
	close(leave)
	p.loop.running.Wait()
}

// askMany has eight clients ask a loop 10,000 times each, and returns when they are done. ask is
// what each sends, by its number, and the answer.
func askMany(t *testing.T, loop *Loop, ask func(client int) (input, want string)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving, asking sync.WaitGroup
	serving.Go(func() { _, _ = loop.Listener(l).Accept() })
	for i := range 8 {
		asking.Go(func() {
			input, want := ask(i)
			if err := send(l.Addr().String(), input, want, 10_000); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	l.Close()
	serving.Wait()
}

// TestRawMany: no request is overlooked, however the client and the loop interleave.
func TestRawMany(t *testing.T) {
	loop := New(Config{Handler: &echo{}, HeaderTime: 1 << 40, BodyTime: 1 << 40, IdleTime: 1 << 40, StallTime: 1 << 40})
	askMany(t, loop, getA)
	loop.Close()
	loop.running.Wait()
}

// getA asks for /a.
func getA(int) (input, want string) { return request("/a"), "GET /a " }

// send sends the same request many times, over a connection of its own, and checks the answers.
func send(addr, input, want string, many int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return err
	}
	r, req := bufio.NewReader(conn), []byte(input)
	for i := range many {
		if _, err := conn.Write(req); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
			return fmt.Errorf("request %d: got %q, %w", i, body, err)
		}
	}
	return nil
}

// TestRawLarge: what the socket does not take at once is sent when the client has read.
func TestRawLarge(t *testing.T) {
	p := overTCP(t)
	body := strings.Repeat("0123456789abcdef", 1<<20) // more than the sockets hold
	p.loop.config.Handler = large(body)
	for range 2 {
		p.send(request("/a"))
		p.want(body)
	}
}

// large is a handler that answers with one long write.
type large string

func (l large) Takes(*Request) bool { return true }

func (l large) Serve(_ context.Context, r *Request, client Client) {
	_, _ = client.Write(append(r.AppendEnd(AppendStatus(nil, 200), len(l)), l...))
}
