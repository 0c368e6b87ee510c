// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"confd/raftkv/tree"
)

// What a client sees of the loop is what it sees of net/http, byte for byte, but for the
// order of the header fields.

// keysOnly answers requests for keys; others would answer something that is never the same
// twice.
type keysOnly struct{ *Handler }

func (k keysOnly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if cleanPath(r.URL.Path) == r.URL.Path && !under(r.URL.Path, keysPath) {
		http.NotFound(w, r)
		return
	}
	k.Handler.ServeHTTP(w, r)
}

// A dialogue is what a client has seen.
type dialogue struct {
	early  string // before time has passed
	closed bool   // and the server has closed then
	told   string // after an event
	late   string // when all times have passed
	open   bool   // and the server has not closed then
}

func (d dialogue) String() string {
	return fmt.Sprintf("%q, closed: %v, then %q, then %q, open: %v", d.early, d.closed, d.told, d.late, d.open)
}

// talk sends input to a server in two parts, the first of which has first bytes, and waits until
// both ends wait; then there is an event, and then time passes. It must be called in a bubble.
func talk(srv server, input []byte, first int, event func()) (d dialogue) {
	theirs, ours := net.Pipe()
	_ = srv.Serve(&oneListener{conn: ours}) // errOneListener
	var out answers
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = io.Copy(&out, theirs)
	}()
	rest := make(chan struct{})
	go func() {
		// An error is that of a server that has closed.
		if _, err := theirs.Write(input[:first]); err == nil {
			<-rest
			_, _ = theirs.Write(input[first:])
		}
	}()
	synctest.Wait()
	close(rest)
	synctest.Wait()
	ended := func() bool {
		select {
		case <-done:
			return err == nil
		default:
			return false
		}
	}
	d.early, d.closed = out.String(), ended()
	event()
	synctest.Wait()
	d.told = out.String()[len(d.early):]
	time.Sleep(2*idleTime + bodyTime + headerTime) // what is handed over has two of them
	synctest.Wait()
	d.late, d.open = out.String()[len(d.early)+len(d.told):], !ended()
	theirs.Close()
	<-done
	synctest.Wait()
	return d
}

// answers is what a server has sent. It may be read while more comes.
type answers struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (a *answers) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all.Write(b)
}

func (a *answers) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all.String()
}

// A scriptConn is the connection of a client that sends all that it has to send and half
// closes.
type scriptConn struct {
	in     *bytes.Reader
	out    bytes.Buffer
	once   sync.Once
	closed chan struct{}
}

func (c *scriptConn) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c *scriptConn) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *scriptConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (c *scriptConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *scriptConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *scriptConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }

// recite sends input to a server, and no more.
func recite(srv server, input []byte) string {
	c := &scriptConn{in: bytes.NewReader(input), closed: make(chan struct{})}
	_ = srv.Serve(&oneListener{conn: c}) // errOneListener
	<-c.closed
	return c.out.String()
}

// sorted returns answers with their header fields in order, and without their dates.
func sorted(answers string) string {
	var out []string
	var fields []string
	inHead := false
	for _, line := range strings.Split(answers, "\r\n") {
		switch {
		case strings.Contains(line, "HTTP/1."): // a body may be in front
			inHead = true
		case inHead && line == "":
			slices.Sort(fields)
			out, fields, inHead = append(out, fields...), nil, false
		case inHead:
			if !strings.HasPrefix(line, "Date: ") {
				fields = append(fields, line)
			}
			continue
		}
		out = append(out, line)
	}
	return strings.Join(append(out, fields...), "\r\n")
}

// A rivalry is what both servers serve.
type rivalry struct {
	std, loop *Handler
	crowd     int // from how many connections on the loop has crowds
}

func newRivalry() *rivalry {
	opts := Options{MaxValue: 64, CORS: []string{"http://a.example"}}
	std, _ := newTestHandler(opts)
	loop, _ := newTestHandler(opts)
	return &rivalry{std, loop, crowd}
}

// servers returns the two servers, each over a fresh store of its own.
func (r *rivalry) servers() (std, loop server) {
	for _, h := range []*Handler{r.std, r.loop} {
		h.node, h.ended = newFakeNode(), make(chan struct{}) // of the bubble, if it is in one
	}
	return Server(keysOnly{r.std}, nil), newClientServer(keysOnly{r.loop}, nil, r.crowd)
}

// compare sends input to both.
func (r *rivalry) compare(t *testing.T, input []byte, first int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		std, loop := r.servers()
		want, got := talk(std, input, first, r.std.writeA(t)).comparable(), talk(loop, input, first, r.loop.writeA(t)).comparable()
		if got != want {
			t.Errorf("to %q in parts of %d and %d\nnet/http says %v\n    loop says %v", input, first, len(input)-first, want, got)
		}
	})
	std, loop := r.servers()
	if want, got := withoutRefusal(sorted(recite(std, input))), withoutRefusal(sorted(recite(loop, input))); !sameAnswers(got, want, hasWatch(want)) {
		t.Errorf("to %q and the end\nnet/http says %q\n    loop says %q", input, want, got)
	}
}

// writeA returns a function that writes the key /a past HTTP, unless that is refused, as of a
// directory.
func (h *Handler) writeA(t *testing.T) func() {
	return func() { _, _ = h.node.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: "event"}) }
}

// hasWatch reports whether one of the answers is that to a watch. One whose client has ended its
// side may end at any time.
func hasWatch(answers string) bool { return strings.Contains(answers, "Transfer-Encoding: chunked") }

// sameAnswers reports whether two servers have answered the same, as far as both came if they may have
// been cut off.
func sameAnswers(a, b string, cut bool) bool {
	return a == b || cut && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// comparable returns d without what differs.
func (d dialogue) comparable() dialogue {
	d.early, d.told, d.late = sorted(d.early), sorted(d.told), withoutRefusal(sorted(d.late))
	return d
}

// withoutRefusal returns answers without one to the end of a head that was not to come.
// net/http has none to less than four bytes after another request, and takes half a line
// for a whole one at times.
func withoutRefusal(answers string) string {
	return strings.TrimSuffix(answers, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n400 Bad Request")
}

// FuzzLoopSameAsNetHTTP feeds the same bytes to both.
func FuzzLoopSameAsNetHTTP(f *testing.F) {
	for _, input := range requestsForBoth {
		f.Add([]byte(input), uint16(0))
		f.Add([]byte(input), uint16(len(input)/2))
	}
	r := newRivalry()
	f.Fuzz(func(t *testing.T, input []byte, first uint16) {
		r.compare(t, input, min(int(first), len(input)))
	})
}

// TestLoopSameAsNetHTTP sends each of the requests at once, and cut anywhere.
func TestLoopSameAsNetHTTP(t *testing.T) {
	r := newRivalry()
	for _, input := range requestsForBoth {
		for first := 0; first < len(input); first += 1 + len(input)/6 {
			r.compare(t, []byte(input), first)
		}
	}
}
