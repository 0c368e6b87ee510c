// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
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

// reciteTCP sends input to a server, in two parts, and the end, after a request that lets the
// loop find out about the descriptor. It returns what comes back, and whether that was cut
// off: who closes with something unread may take from the client what is on the way.
func reciteTCP(t *testing.T, srv server, input []byte, first int) (answers string, cut bool) {
	t.Helper()
	client, ours := tcpPair(t)
	defer client.Close()
	defer srv.Close()
	_ = srv.Serve(&oneListener{conn: ours}) // errOneListener
	if err := client.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(client)
	if _, err := io.WriteString(client, read); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// An error is that of a server that has closed.
		if _, err := client.Write(input[:first]); err == nil {
			_, _ = client.Write(input[first:])
			_ = client.CloseWrite()
		}
	}()
	all, err := io.ReadAll(r)
	<-sent
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("to %q: %v", input, err)
	}
	return withoutRefusal(sorted(string(all))), err != nil
}

// compareTCP sends input to both servers over TCP.
func (r *rivalry) compareTCP(t *testing.T, input []byte, first int) {
	t.Helper()
	std, loop := r.servers()
	want, cutStd := reciteTCP(t, std, input, first)
	got, cutLoop := reciteTCP(t, loop, input, first)
	same := got == want
	if cutStd || cutLoop {
		same = strings.HasPrefix(got, want) || strings.HasPrefix(want, got)
	}
	if !same {
		t.Errorf("to %q in parts of %d and %d over TCP\nnet/http says %q, cut off: %v\n    loop says %q, cut off: %v", input, first, len(input)-first, want, cutStd, got, cutLoop)
	}
}

// FuzzLoopOverTCP feeds the same bytes to both. What follows ends the connection, so that
// most of them need not wait for the loop to miss the end of what is sent.
func FuzzLoopOverTCP(f *testing.F) {
	for _, input := range requestsForBoth {
		f.Add([]byte(input), uint16(len(input)/2))
	}
	r := newRivalry()
	f.Fuzz(func(t *testing.T, input []byte, first uint16) {
		all := append(input[:len(input):len(input)], get+hostLine+"Connection: close\r\n\r\n"...)
		r.compareTCP(t, all, min(int(first), len(all)))
	})
}
