// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A Response is the answer to one request. Body is valid until the next request of the
// connection is sent.
type Response struct {
	Status int
	Index  uint64 // X-Etcd-Index, 0 without
	Body   []byte
}

// Refused is the status of an answer that refuses a request. Checks return it as an error.
type Refused int

func (r Refused) Error() string { return fmt.Sprintf("refused with status %d", int(r)) }

// A reader takes an answer of HTTP/1.1 out of what a connection has received. It knows
// as much of HTTP as servers of keys send: a length, or chunks without trailers.
type reader struct {
	in      []byte // what has come of this answer
	head    int    // where its body begins, 0 as long as the headers are not complete
	scanned int    // up to here there is no end of the headers
	length  int    // of the body, below 0 if it comes in chunks
	next    int    // in chunks: where the next begins
	end     int    // in chunks: end of those that are moved together behind head
	resp    Response
}

// reset makes the reader ready for the next answer.
func (r *reader) reset() {
	*r = reader{in: r.in[:0]}
}

// space returns room for at least 4 KiB behind what has come.
func (r *reader) space() []byte {
	if cap(r.in)-len(r.in) < 4096 {
		grown := make([]byte, len(r.in), 2*cap(r.in)+8192)
		copy(grown, r.in)
		r.in = grown
	}
	return r.in[len(r.in):cap(r.in)]
}

// parse says whether the answer is complete, in which case resp is set.
func (r *reader) parse() (bool, error) {
	if ok, err := r.parseHead(); !ok {
		return false, err
	}
	if r.length < 0 {
		return r.parseChunks()
	}
	switch got := len(r.in) - r.head; {
	case got < r.length:
		return false, nil
	case got > r.length:
		return false, fmt.Errorf("%d bytes behind the answer", got-r.length)
	}
	r.resp.Body = r.in[r.head:]
	return true, nil
}

// parseHead says whether the headers are complete, and reads them once they are.
func (r *reader) parseHead() (bool, error) {
	if r.head > 0 {
		return true, nil
	}
	from := max(r.scanned-3, 0)
	i := bytes.Index(r.in[from:], []byte("\r\n\r\n"))
	if i < 0 {
		r.scanned = len(r.in)
		return false, nil
	}
	r.head = from + i + 4
	r.next, r.end = r.head, r.head
	err := r.readHead(r.in[:r.head-2])
	return err == nil, err
}

// readHead reads the status and the headers that matter.
func (r *reader) readHead(head []byte) error {
	if len(head) < 15 || string(head[:9]) != "HTTP/1.1 " {
		return fmt.Errorf("no answer of HTTP/1.1: %q", head)
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	r.resp.Status = status
	known := false
	for line := range bytes.Lines(head[bytes.IndexByte(head, '\n')+1:]) {
		switch line[0] | 0x20 {
		case 'c':
			if v, ok := header(line, "content-length:"); ok {
				r.length, known = int(number(v)), true
			}
		case 't':
			if v, ok := header(line, "transfer-encoding:"); ok && string(v) == "chunked" {
				r.length, known = -1, true
			}
		case 'x':
			if v, ok := header(line, "x-etcd-index:"); ok {
				r.resp.Index = number(v)
			}
		}
	}
	if !known {
		return fmt.Errorf("an answer without a length: %q", head)
	}
	return nil
}

// header returns the value of a header if it has that name, which is in lower case and
// ends in a colon.
func header(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}

// number returns the number that text begins with.
func number(text []byte) uint64 {
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + uint64(c-'0')
	}
	return n
}

// parseChunks moves the chunks that are complete together, and says whether the last is
// among them.
func (r *reader) parseChunks() (bool, error) {
	for {
		line := bytes.IndexByte(r.in[r.next:], '\n')
		if line < 1 {
			return false, nil
		}
		size, err := strconv.ParseUint(string(r.in[r.next:r.next+line-1]), 16, 31)
		if err != nil {
			return false, fmt.Errorf("size of a chunk: %w", err)
		}
		from := r.next + line + 1
		if len(r.in) < from+int(size)+2 {
			return false, nil
		}
		r.end += copy(r.in[r.end:], r.in[from:from+int(size)])
		r.next = from + int(size) + 2
		if size > 0 {
			continue
		}
		if len(r.in) > r.next {
			return false, errors.New("bytes behind the last chunk")
		}
		r.resp.Body = r.in[r.head:r.end]
		return true, nil
	}
}
