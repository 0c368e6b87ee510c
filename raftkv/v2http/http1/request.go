// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import "time"

const (
	// MaxHead is how long the request line and the headers may be in bytes.
	MaxHead = 8 << 10

	// MaxBody is how long a body may be in bytes: a value of 64 KiB and what is around it.
	MaxBody = 68 << 10
)

// A Request is a clean request. Its slices are parts of what was read, and valid until
// Serve returns.
type Request struct {
	Method string // GET, HEAD, PUT, POST or DELETE
	Path   []byte // as sent, and there is nothing in it to decode
	Query  []byte // raw

	// Fields of the header; nil if not there.
	ContentType   []byte
	Authorization []byte
	Origin        []byte

	Length  int       // of the body
	Body    []byte    // nil when Takes is called
	BodyErr error     // why Body is shorter than Length
	Lent    bool      // Body is long, and may be looked at after Serve has returned if that sets Kept
	Kept    bool      // Body is not used again though it is lent
	Close   bool      // the connection ends with the answer, which must say so; see AppendEnd
	Began   time.Time // when the request was there, its body included
	Ready   time.Time // when the answer was; the handler may set it before it writes, to spare a look at the clock

	date *[dateLength]byte // for AppendEnd
	seen uint8             // fields that were there, a bit of each
}

// The bits of Request.seen.
const (
	seenHost = 1 << iota
	seenLength
	seenConnection
)

// A verdict is what parse says of the bytes it has seen.
type verdict uint8

const (
	more    verdict = iota // the head is not there yet, and clean so far
	clean                  // it is there
	strange                // another server's
)

// The classes of bytes.
const (
	inName = 1 << iota
	inValue
	inHost
	inPath
	inQuery
)

// classes holds the classes of each byte.
var classes = func() (c [256]uint8) {
	for b := range c {
		letter := 'a' <= b|0x20 && b|0x20 <= 'z' && b < 0x80
		switch {
		case letter, '0' <= b && b <= '9', b == '-':
			c[b] = inName | inValue | inHost | inPath | inQuery
		case b == ' ', b == '\t':
			c[b] = inValue
		case b == '#':
			c[b] = inValue
		case '!' <= b && b <= '~':
			c[b] = inValue | inQuery
		}
	}
	for _, b := range "._:[]" {
		c[b] |= inHost
	}
	for _, b := range "/._~!$&'()*+,;=:@" {
		c[b] |= inPath
	}
	return c
}()

// span returns the number of bytes at the beginning of b that are of a class.
func span(b []byte, class uint8) int {
	for i, ch := range b {
		if classes[ch]&class == 0 {
			return i
		}
	}
	return len(b)
}

// parse makes r the request whose head b begins with, and returns the length of the head
// if it is clean.
func (r *Request) parse(b []byte) (int, verdict) {
	*r = Request{}
	n, v := r.parseLine(b)
	for v == clean {
		switch rest := b[n:]; {
		case len(rest) == 0, string(rest) == "\r":
			return 0, more
		case rest[0] == '\r' && rest[1] == '\n':
			return n + 2, r.judge()
		}
		var length int
		length, v = r.parseField(b[n:])
		n += length
	}
	return 0, v
}

// judge returns the verdict on a head of clean parts.
func (r *Request) judge() verdict {
	if r.seen&seenHost == 0 || r.Length > 0 && r.Method != "PUT" && r.Method != "POST" {
		return strange
	}
	return clean
}

// methodOf returns the method that b begins with.
func methodOf(b []byte) (string, verdict) {
	v := strange
	for _, m := range [...]string{"GET ", "PUT ", "POST ", "DELETE ", "HEAD "} {
		switch {
		case len(b) >= len(m) && string(b[:len(m)]) == m:
			return m[:len(m)-1], clean
		case len(b) < len(m) && string(b) == m[:len(b)]:
			v = more
		}
	}
	return "", v
}

// lineEnd is what follows the target.
const lineEnd = " HTTP/1.1\r\n"

// parseLine parses the request line, and returns its length if it is clean.
func (r *Request) parseLine(b []byte) (int, verdict) {
	var v verdict
	if r.Method, v = methodOf(b); v != clean {
		return 0, v
	}
	n := len(r.Method) + 1
	path := span(b[n:], inPath)
	r.Path = b[n : n+path]
	n += path
	if n < len(b) && b[n] == '?' {
		n++
		query := span(b[n:], inQuery)
		r.Query = b[n : n+query]
		n += query
	}
	rest := b[n:]
	switch {
	case len(rest) >= len(lineEnd):
		if string(rest[:len(lineEnd)]) != lineEnd || len(r.Path) == 0 || r.Path[0] != '/' {
			return 0, strange
		}
		return n + len(lineEnd), clean
	case string(rest) != lineEnd[:len(rest)]:
		return 0, strange
	}
	return 0, more
}

// parseField parses the line of one header field, and returns its length if it is clean.
func (r *Request) parseField(b []byte) (int, verdict) {
	n := span(b, inName)
	switch {
	case n == len(b):
		return 0, more
	case n == 0 || b[n] != ':':
		return 0, strange
	}
	value := b[n+1:]
	value = value[:span(value, inValue)]
	end := n + 1 + len(value)
	switch {
	case end < len(b) && b[end] != '\r', end+1 < len(b) && b[end+1] != '\n':
		return 0, strange
	case end+1 >= len(b):
		return 0, more
	case !r.setField(b[:n], trim(value)):
		return 0, strange
	}
	return end + 2, clean
}

// trim returns b without blanks and tabs at its ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// is reports whether a name of a header field, or what looks like one, is that one,
// which is in lower case.
func is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		if name[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// setField takes notice of a header field. It reports false if that is one, or its value,
// that is not for us.
func (r *Request) setField(name, value []byte) bool {
	switch {
	case is(name, "host"):
		return r.once(seenHost) && len(value) > 0 && span(value, inHost) == len(value)
	case is(name, "content-length"):
		return r.once(seenLength) && r.setLength(value)
	case is(name, "content-type"):
		return set(&r.ContentType, value)
	case is(name, "authorization"):
		return set(&r.Authorization, value)
	case is(name, "origin"):
		return set(&r.Origin, value)
	case is(name, "connection"):
		r.Close = is(value, "close")
		return r.once(seenConnection) && (r.Close || is(value, "keep-alive"))
	case is(name, "transfer-encoding"), is(name, "expect"), is(name, "upgrade"), is(name, "trailer"), is(name, "te"):
		return false
	}
	return true
}

// once reports whether a field is there for the first time.
func (r *Request) once(field uint8) bool {
	first := r.seen&field == 0
	r.seen |= field
	return first
}

// set sets a field to its value. It reports false if it has one, or this is empty.
func set(field *[]byte, value []byte) bool {
	first := *field == nil
	*field = value
	return first && len(value) > 0
}

// setLength sets the length of the body, decimal without zeros in front.
func (r *Request) setLength(value []byte) bool {
	if len(value) == 0 || len(value) > 1 && value[0] == '0' {
		return false
	}
	for _, digit := range value {
		if digit < '0' || digit > '9' {
			return false
		}
		if r.Length = 10*r.Length + int(digit-'0'); r.Length > MaxBody {
			return false
		}
	}
	return true
}
