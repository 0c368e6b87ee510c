// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Floor is the least that a server of streams can do, to measure what the machine and the
// client leave to one: it answers a write at once, keeps nothing, and has one or more
// threads that do nothing but write(2) of the event to every stream. Events that come
// meanwhile go together in the next round. With a file it is the least that a server of large
// values can do, see store, or of small ones, see writer. It knows only the requests that bench
// sends.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

func main() {
	addr := flag.String("addr", "", "`address` to serve")
	threads := flag.Int("threads", 1, "threads that write to streams")
	file := flag.String("file", "", "`file` to write values to; there are no streams then")
	size := flag.Int64("size", 1<<30, "`bytes` of the file")
	small := flag.Bool("small", false, "values are small, and one thread does all; needs a file")
	peer := flag.String("peer", "", "`address` of the leader for the other nodes, if there are any")
	number := flag.Uint("number", 0, "`number` of this node among them, 0 for the leader")
	flag.Parse()
	var err error
	switch {
	case *small:
		err = serveSmall(*addr, *file, *size, *peer, byte(*number))
	case *file != "":
		err = serveLarge(*addr, *file, *size)
	default:
		err = serve(*addr, streams(*threads))
	}
	fmt.Fprintln(os.Stderr, "floor:", err)
	os.Exit(1)
}

// serveLarge serves large values until something fails, and returns why.
func serveLarge(addr, file string, size int64) error {
	s, err := openStore(file, size)
	if err != nil {
		return err
	}
	return serve(addr, s.answer)
}

// serveSmall serves small values until something fails, and returns why.
func serveSmall(addr, file string, size int64, peer string, number byte) error {
	runtime.GOMAXPROCS(1)
	d, err := openDisk(file, size)
	if err != nil {
		return err
	}
	w, err := newWriter(addr, d)
	if err != nil {
		return err
	}
	if peer != "" {
		if err := w.joinGroup(number, peer); err != nil {
			return err
		}
	}
	return w.run()
}

// serve serves connections until accepting one fails, and returns why.
func serve(addr string, answer func(net.Conn)) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return serveOn(l, answer)
}

func serveOn(l net.Listener, answer func(net.Conn)) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go answer(conn) // ends with the connection, or when that is a stream
	}
}

// streams returns what answers the connections of a server of streams.
func streams(threads int) func(net.Conn) {
	s := &server{senders: make([]sender, threads), prev: event{key: "/", value: "none"}}
	for i := range s.senders {
		s.senders[i].some.L = &s.senders[i].mu
		go s.senders[i].run() // as long as the process
	}
	return s.answer
}

// A server has the streams, and the last write.
type server struct {
	senders []sender

	mu    sync.Mutex
	index int
	prev  event
	next  int // sender of the next stream
}

// An event is a write.
type event struct{ key, value string }

// node returns the event as etcd shows a node.
func (e event) node(index int) string {
	return fmt.Sprintf(`{"key":"%s","value":"%s","modifiedIndex":%d,"createdIndex":%d}`, e.key, e.value, index, index)
}

// answer answers the requests of a connection until one opens a stream.
func (s *server) answer(conn net.Conn) {
	defer conn.Close() // a stream has a descriptor of its own
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.Method == http.MethodGet {
			s.open(conn.(*net.TCPConn))
			return
		}
		e := event{strings.TrimPrefix(req.URL.Path, "/v2/keys"), req.FormValue("value")}
		if err := s.write(conn, e); err != nil {
			return
		}
	}
}

// open makes a stream of a connection. No write comes between its headers and its first event.
func (s *server) open(conn *net.TCPConn) {
	f, err := conn.File() // which blocks
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := f.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		f.Close()
		return
	}
	s.next = (s.next + 1) % len(s.senders)
	s.senders[s.next].add(f)
}

// write answers a write and has all streams told.
func (s *server) write(conn net.Conn, e event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("{\"action\":\"set\",\"node\":%s,\"prevNode\":%s}\n", e.node(s.index+1), s.prev.node(s.index))
	s.index++
	s.prev = e
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(line), line); err != nil {
		return err
	}
	for i := range s.senders {
		s.senders[i].tell(fmt.Sprintf("%x\r\n%s\r\n", len(line), line))
	}
	return nil
}

// A sender writes to its streams.
type sender struct {
	mu      sync.Mutex
	some    sync.Cond // pending is not empty; of mu
	streams []*os.File
	pending []byte
}

func (s *sender) add(f *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams = append(s.streams, f)
}

func (s *sender) tell(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, text...)
	s.some.Signal()
}

// run writes what is pending to one stream after the other, for ever.
func (s *sender) run() {
	runtime.LockOSThread()
	var text []byte
	for {
		s.mu.Lock()
		for len(s.pending) == 0 {
			s.some.Wait()
		}
		text, s.pending = s.pending, text[:0]
		streams := s.streams
		s.mu.Unlock()
		gone := make(map[*os.File]bool)
		for _, f := range streams {
			if _, err := syscall.Write(int(f.Fd()), text); err != nil {
				gone[f] = true
				f.Close()
			}
		}
		s.forget(gone)
	}
}

// forget takes the streams whose clients have gone off the list.
func (s *sender) forget(gone map[*os.File]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(gone) > 0 {
		s.streams = slices.DeleteFunc(slices.Clone(s.streams), func(f *os.File) bool { return gone[f] })
	}
}
