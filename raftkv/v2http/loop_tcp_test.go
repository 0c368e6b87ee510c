// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A connection that can be read by its descriptor takes another way through the loop than
// the pipes of FuzzLoopSameAsNetHTTP, and a bubble cannot hold it.

// tcpPair returns the two ends of a connection.
func tcpPair(t *testing.T) (client *net.TCPConn, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), server
}

// A reciter sends requests over a connection, after some that let the loop find out about the
// descriptor, and the connection join a crowd, if there are crowds.
type reciter struct {
	t *testing.T
	h *Handler
	*net.TCPConn
	answers bytes.Buffer
	cut     bool // the answers may be cut off
}

// recite sends input, in two parts, and the end, and reads what comes back. That may be cut off:
// who closes with something unread may take from the client what is on the way. If there may be
// watches, the second part is sent when one has had an event, or nothing comes.
func (r *reciter) recite(input []byte, first int) {
	for range 10 {
		r.ask()
	}
	watches := bytes.Contains(input, []byte("wait"))
	rest := make(chan struct{})
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		// An error is that of a server that has closed.
		if _, err := r.Write(input[:first]); err == nil {
			if watches {
				<-rest
			}
			_, _ = r.Write(input[first:])
			if !watches {
				_ = r.CloseWrite()
			}
		}
	})
	if watches {
		r.readEvents(sync.OnceFunc(func() { close(rest) }))
		sending.Wait()
		_ = r.CloseWrite()
	}
	_, err := io.Copy(&r.answers, r.TCPConn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		r.t.Errorf("to %q: %v", input, err)
	}
	r.cut = r.cut || err != nil
}

// ask sends a request and reads the answer.
func (r *reciter) ask() {
	r.t.Helper()
	if err := r.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(r, read); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(r.TCPConn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		r.t.Fatal(err)
	}
}

// readEvents reads answers, and writes a key as long as there is a watch, which is there when
// its head is. It calls goOn as soon as more is to be sent. A client that ends its side has no
// watch any more, so that has to wait until nothing more comes.
func (r *reciter) readEvents(goOn func()) {
	defer goOn()
	b := make([]byte, 64<<10)
	for events, quiet := 0, 0; events < 5; {
		_ = r.SetReadDeadline(time.Now().Add(40 * time.Millisecond))
		n, err := r.Read(b)
		r.answers.Write(b[:n])
		if quiet == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			quiet++
			goOn()
			continue
		}
		if err != nil {
			r.cut = r.cut || err != io.EOF
			break
		}
		if r.h.node.Tree().Stats().Watchers > 0 {
			r.h.writeA(r.t)()
			goOn()
			events++
			r.cut = r.cut || events == 5
		}
	}
	_ = r.SetReadDeadline(time.Now().Add(time.Minute))
}

// reciteTCP has a reciter talk to a server of h.
func reciteTCP(t *testing.T, srv server, h *Handler, input []byte, first int) (answers string, cut bool) {
	t.Helper()
	client, ours := tcpPair(t)
	r := &reciter{t: t, h: h, TCPConn: client}
	_ = srv.Serve(&oneListener{conn: ours}) // errOneListener
	r.recite(input, first)
	client.Close()
	await(t, "end of the watches", func() bool { return h.openWatches() == 0 })
	srv.Close()
	return withoutRefusal(sorted(r.answers.String())), r.cut
}

// compareTCP sends input to both servers over TCP, also to a loop whose connection is in a crowd.
func (r *rivalry) compareTCP(t *testing.T, input []byte, first int) {
	t.Helper()
	for _, r.crowd = range []int{1, crowd} {
		r.compareOnce(t, input, first)
	}
}

func (r *rivalry) compareOnce(t *testing.T, input []byte, first int) {
	t.Helper()
	std, loop := r.servers()
	want, cutStd := reciteTCP(t, std, r.std, input, first)
	got, cutLoop := reciteTCP(t, loop, r.loop, input, first)
	if !sameAnswers(got, want, cutStd || cutLoop) {
		t.Errorf("to %q in parts of %d and %d over TCP, a crowd of %d\nnet/http says %q, cut off: %v\n    loop says %q, cut off: %v", input, first, len(input)-first, r.crowd, want, cutStd, got, cutLoop)
	}
}

// FuzzLoopOverTCP feeds the same bytes to both. What follows ends the connection, so that
// most of them need not wait for the loop to miss the end of what is sent.
func FuzzLoopOverTCP(f *testing.F) {
	for _, input := range requestsForBoth {
		f.Add([]byte(input), uint16(len(input)/2))
		f.Add([]byte(input), uint16(firstOf(input)))
	}
	r := newRivalry()
	f.Fuzz(func(t *testing.T, input []byte, first uint16) {
		all := append(input[:len(input):len(input)], get+hostLine+"Connection: close\r\n\r\n"...)
		r.compareTCP(t, all, min(int(first), len(all)))
	})
}

// firstOf returns the length of the first head of input.
func firstOf(input string) int {
	if i := strings.Index(input, "\r\n\r\n"); i >= 0 {
		return i + 4
	}
	return len(input)
}

// TestPollsOverTCP sends each of the requests with a wait in two parts, cut so that a poll waits
// for its event alone and so that something comes before that.
func TestPollsOverTCP(t *testing.T) {
	r := newRivalry()
	for _, input := range requestsForBoth {
		if !strings.Contains(input, "wait") {
			continue
		}
		all := input + get + hostLine + "Connection: close\r\n\r\n"
		for _, first := range []int{firstOf(input), 0} {
			r.compareTCP(t, []byte(all), first)
		}
	}
}
