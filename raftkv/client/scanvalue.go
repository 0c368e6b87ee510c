// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// string takes a string, whose opening quote is next. The bytes hold until the next call.
func (s *scanner) string() ([]byte, error) {
	s.pos++
	s.mark = s.pos
	plain := true // no escape, and ASCII
	for {
		s.pos += ordinary(s.buf[s.pos:s.end])
		if s.pos == s.end {
			if err := s.fill(); err != nil {
				return nil, err
			}
			continue
		}
		switch c := s.buf[s.pos]; {
		case c == '"':
			raw := s.buf[s.mark:s.pos]
			s.pos++
			s.mark = -1
			if plain {
				return raw, nil
			}
			s.text = unquote(s.text[:0], raw)
			return s.text, nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, s.fail(errSyntax)
		default:
			s.pos++
		}
		plain = false
	}
}

// escape takes a backslash and what belongs to it.
func (s *scanner) escape() error {
	for digits := -1; ; {
		s.pos++
		if s.pos == s.end {
			if err := s.fill(); err != nil {
				return err
			}
		}
		c := s.buf[s.pos]
		switch {
		case digits > 0 && unhex(c) >= 0:
			digits--
		case digits < 0 && c == 'u':
			digits = 4
		case digits < 0 && escapes[c] != 0:
			digits = 0
		default:
			return s.fail(errSyntax)
		}
		if digits == 0 {
			s.pos++
			return nil
		}
	}
}

// ordinary returns how many bytes at the front are neither the end of a string nor a
// control character, and need no other look: it looks at eight of them at a time.
func ordinary(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		found := (w-ones*' ')&^w | (quote-ones)&^quote | (slash-ones)&^slash | w
		if found &= tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// escapes are the single characters after a backslash.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unhex returns the value of a hexadecimal digit, -1 if it is none.
func unhex(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// unquote appends what stands between the quotes of a string that was found to be in
// order. What is no UTF-8 and half a pair of surrogates become U+FFFD each.
func unquote(dst, raw []byte) []byte {
	for len(raw) > 0 {
		n := ordinary(raw)
		dst, raw = append(dst, raw[:n]...), raw[n:]
		switch {
		case len(raw) == 0:
		case raw[0] != '\\':
			r, size := utf8.DecodeRune(raw)
			dst, raw = utf8.AppendRune(dst, r), raw[size:]
		case raw[1] != 'u':
			dst, raw = append(dst, escapes[raw[1]]), raw[2:]
		default:
			r := unit(raw)
			raw = raw[6:]
			if utf16.IsSurrogate(r) {
				if r = utf16.DecodeRune(r, unit(raw)); r != unicode.ReplacementChar {
					raw = raw[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// unit returns the UTF-16 unit that the text begins with as an escape, -1 if it does not.
func unit(raw []byte) (r rune) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	for _, c := range raw[2:6] {
		r = r<<4 | unhex(c)
	}
	return r
}

// number takes a number. The bytes hold until the next call.
func (s *scanner) number() ([]byte, error) {
	s.mark = s.pos
	defer func() { s.mark = -1 }()
	for ; ; s.pos++ {
		if s.pos == s.end {
			if err := s.fill(); err != nil {
				return nil, err
			}
		}
		switch c := s.buf[s.pos]; {
		case '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E':
		case isNumber(s.buf[s.mark:s.pos]):
			return s.buf[s.mark:s.pos], nil
		default:
			return nil, s.fail(errSyntax)
		}
	}
}

// isNumber reports whether the text is a number as JSON has it.
func isNumber(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	whole := digits(b)
	if whole == 0 || whole > 1 && b[0] == '0' {
		return false
	}
	if b = b[whole:]; len(b) > 0 && b[0] == '.' {
		n := digits(b[1:])
		if n == 0 {
			return false
		}
		b = b[1+n:]
	}
	if len(b) == 0 || b[0] != 'e' && b[0] != 'E' {
		return len(b) == 0
	}
	if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	return len(b) > 0 && digits(b) == len(b)
}

// digits returns how many digits the text begins with.
func digits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

// scalar tells whether a value of this type is next, which begins with one of the bytes,
// and takes a null. Anything else is of the wrong type.
func (s *scanner) scalar(begins string) (bool, error) {
	c, err := s.peek()
	if err != nil {
		return false, err
	}
	if c == 'n' {
		return false, s.word("null")
	}
	if strings.IndexByte(begins, c) >= 0 {
		return true, nil
	}
	return false, s.mistyped(c)
}

// bool takes a truth value into v, which a null leaves as it is.
func (s *scanner) bool(v *bool) error {
	if ok, err := s.scalar("tf"); !ok || err != nil {
		return err
	}
	if s.buf[s.pos] == 't' {
		*v = true
		return s.word("true")
	}
	*v = false
	return s.word("false")
}

// uint takes an unsigned number into v, which a null leaves as it is.
func (s *scanner) uint(v *uint64) error {
	if ok, err := s.scalar("-0123456789"); !ok || err != nil {
		return err
	}
	if s.shortUint(v) {
		return nil
	}
	b, err := s.number()
	if err != nil {
		return err
	}
	n, bad := strconv.ParseUint(string(b), 10, 64)
	if bad != nil {
		return s.fail(errType)
	}
	*v = n
	return nil
}

// shortUint takes a number that is the most common there is: in the buffer up to its end, and
// of fewer digits than overflow. It reports false, and takes nothing, of any other.
func (s *scanner) shortUint(v *uint64) bool {
	n := uint64(0)
	for i, c := range s.buf[s.pos:min(s.end, s.pos+19)] {
		switch {
		case '0' <= c && c <= '9' && (n > 0 || i == 0):
			n = 10*n + uint64(c-'0')
		case i > 0 && (c == ',' || c == '}'):
			*v = n
			s.pos += i
			return true
		default:
			return false
		}
	}
	return false
}

// int takes a number into v, which a null leaves as it is.
func (s *scanner) int(v *int64) error {
	if ok, err := s.scalar("-0123456789"); !ok || err != nil {
		return err
	}
	b, err := s.number()
	if err != nil {
		return err
	}
	n, bad := strconv.ParseInt(string(b), 10, 64)
	if bad != nil {
		return s.fail(errType)
	}
	*v = n
	return nil
}
