// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth is how deep objects and arrays may lie within each other, as in encoding/json.
const maxDepth = 10000

// A scanner reads JSON piece by piece while it comes. It takes and refuses what
// encoding/json does. After an error it is of no more use.
type scanner struct {
	r      io.Reader
	buf    []byte // what was read; buf[pos:end] is still to be looked at
	pos    int
	end    int
	mark   int   // from here on buf is kept when more is read; -1 = from pos on
	before int64 // how much came before buf
	depth  int
	text   []byte // the last string that had an escape
}

// newScanner returns a scanner that asks r for so many bytes at a time, and more if a
// string is longer.
func newScanner(r io.Reader, size int) *scanner {
	return &scanner{r: r, buf: make([]byte, size), mark: -1}
}

// errSyntax is the error of what is no JSON, errType that of JSON which is something else
// than what is asked for. Both are told with the offset.
var (
	errSyntax = errors.New("not JSON")
	errType   = errors.New("another type")
)

// An offsetError is an error with the place where it was found.
type offsetError struct {
	error
	offset int64
}

func (e *offsetError) Unwrap() error { return e.error }

func (e *offsetError) Error() string { return fmt.Sprintf("%v at byte %d", e.error, e.offset) }

// fail returns err with the place that the scanner is at.
func (s *scanner) fail(err error) error { return &offsetError{err, s.before + int64(s.pos)} }

// mistyped returns the error of a value that begins with c, which no value of the type
// that is asked for does.
func (s *scanner) mistyped(c byte) error {
	if strings.IndexByte(`{["tfn-0123456789`, c) < 0 {
		return s.fail(errSyntax)
	}
	return s.fail(errType)
}

// fill reads on. Its error is r's, io.ErrUnexpectedEOF in place of io.EOF. What was
// taken from the buffer holds no more.
func (s *scanner) fill() error {
	keep := s.pos
	if s.mark >= 0 {
		keep, s.mark = s.mark, 0
	}
	s.end = copy(s.buf, s.buf[keep:s.end])
	s.pos -= keep
	s.before += int64(keep)
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		switch {
		case n > 0:
			return nil // an error comes again
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// line reports whether the rest of a line is in the buffer already, which servers end an
// event of a stream with.
func (s *scanner) line() bool {
	for ; s.pos < s.end; s.pos++ {
		if c := s.buf[s.pos]; c != '\n' && c != '\r' {
			return bytes.IndexByte(s.buf[s.pos:s.end], '\n') >= 0
		}
	}
	return false
}

// peek passes by blanks, and returns the byte that is next.
func (s *scanner) peek() (byte, error) {
	for {
		for ; s.pos < s.end; s.pos++ {
			if c := s.buf[s.pos]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
				return c, nil
			}
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

// open takes the bracket that begins an object or an array. ok is false for a null, which
// it takes. Anything else is of the wrong type.
func (s *scanner) open(bracket byte) (ok bool, err error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c == 'n':
		return false, s.word("null")
	case c != bracket:
		return false, s.mistyped(c)
	}
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return false, s.fail(errors.New("it is nested too deep"))
	}
	return true, nil
}

// next goes on to the next element of an array or an object, whose end it takes. It
// reports whether there is one.
func (s *scanner) next(first bool, end byte) (bool, error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c == end:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, s.fail(errSyntax)
	}
	s.pos++
	if c, err = s.peek(); err == nil && c == end {
		err = s.fail(errSyntax)
	}
	return true, err
}

// field goes on to the next field of an object, and to its value.
func (s *scanner) field(first bool) (f field, more bool, err error) {
	if more, err = s.next(first, '}'); !more || err != nil {
		return 0, false, err
	}
	if s.buf[s.pos] != '"' {
		return 0, false, s.fail(errSyntax)
	}
	name, err := s.string()
	if err != nil {
		return 0, false, err
	}
	f = fieldOf(name)
	c, err := s.peek()
	if err == nil && c != ':' {
		err = s.fail(errSyntax)
	}
	s.pos++
	return f, true, err
}

// word takes true, false or null.
func (s *scanner) word(w string) error {
	for i := range len(w) {
		if s.pos == s.end {
			if err := s.fill(); err != nil {
				return err
			}
		}
		if s.buf[s.pos] != w[i] {
			return s.fail(errSyntax)
		}
		s.pos++
	}
	return nil
}

// skip takes a value of any kind.
func (s *scanner) skip() error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case '"':
		_, err = s.string()
	case 't':
		err = s.word("true")
	case 'f':
		err = s.word("false")
	case 'n':
		err = s.word("null")
	case '{', '[':
		err = s.skipAll(c)
	default:
		_, err = s.number()
	}
	return err
}

// skipAll takes an object or an array.
func (s *scanner) skipAll(bracket byte) error {
	if _, err := s.open(bracket); err != nil {
		return err
	}
	for first := true; ; first = false {
		var more bool
		var err error
		if bracket == '{' {
			_, more, err = s.field(first)
		} else {
			more, err = s.next(first, ']')
		}
		if !more || err != nil {
			return err
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
}
