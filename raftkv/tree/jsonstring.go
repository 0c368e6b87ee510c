// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendString appends s as encoding/json does: with "<", ">", "&", U+2028 and U+2029
// escaped, and what is not UTF-8 replaced by U+FFFD. It looks at eight bytes at a time, as
// most of a listing needs no escape.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	done, i := 0, 0 // s up to done is in dst, and up to i needs no escape
	for i < len(s) {
		var found uint64
		if i+8 <= len(s) {
			found = special(word(s, i))
		} else {
			found = special(lastWord(s[i:]))
		}
		next := i + 8
		for ; found != 0; found &= found - 1 {
			i = next - 8 + bits.TrailingZeros64(found)/8
			if c := s[i]; c < utf8.RuneSelf {
				dst = append(dst, s[done:i]...)
				dst = appendEscape(dst, c)
				done = i + 1
				continue
			}
			dst, done, next = appendRune(dst, s, done, i)
			break
		}
		i = next
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}

// isPlain reports whether s needs no escape and is ASCII. A value is looked at when it is
// stored, and copied as it is into every answer that has it.
func isPlain(s string) bool {
	if len(s) >= minSearched {
		return isPlainLong(s)
	}
	for ; len(s) >= 8; s = s[8:] {
		if special(word(s, 0)) != 0 {
			return false
		}
	}
	return special(lastWord(s)) == 0
}

// minSearched is how long a text must be for isPlainLong to take less time.
const minSearched = 4 << 10

// isPlainLong is isPlain. In a long text the five characters that need an escape are found
// sooner one after the other, as the processor looks for each in 32 bytes at once.
func isPlainLong(s string) bool {
	for _, c := range [...]byte{'"', '\\', '<', '>', '&'} {
		if strings.IndexByte(s, c) >= 0 {
			return false
		}
	}
	last := word(s, len(s)-8)
	any, printed := last, last+each*0x60
	for ; len(s) >= 16; s = s[16:] {
		a, b := word(s, 0), word(s, 8)
		any |= a | b
		printed &= (a + each*0x60) & (b + each*0x60) // if all is ASCII nothing carries over
	}
	if len(s) >= 8 {
		any |= word(s, 0)
		printed &= word(s, 0) + each*0x60
	}
	return any&high == 0 && printed&high == high
}

// appendRune looks at what begins at s[i] and is not ASCII. It returns up to where s is in
// dst then, and where the next rune begins.
func appendRune(dst []byte, s string, done, i int) (_ []byte, to, next int) {
	r, size := utf8.DecodeRuneInString(s[i:])
	next = i + size
	switch {
	case r == utf8.RuneError && size == 1:
		dst = append(dst, s[done:i]...)
		return append(dst, `\ufffd`...), next, next
	case r == '\u2028' || r == '\u2029':
		dst = append(dst, s[done:i]...)
		dst = append(dst, `\u202`...)
		return append(dst, hex[r&0xf]), next, next
	}
	return dst, done, next
}

// word returns the eight bytes of s from i on, the first as the lowest.
func word(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// lastWord returns the bytes of s, fewer than eight, and blanks.
func lastWord(s string) uint64 {
	w := each * ' '
	for i := range len(s) {
		w ^= uint64(s[i]^' ') << (8 * i)
	}
	return w
}

const (
	each = uint64(0x0101010101010101) // times a byte is eight of it
	low  = each * 0x7f
	high = each * 0x80
)

// special returns the high bit of each byte of w that is not ASCII or needs an escape.
func special(w uint64) uint64 {
	// Of a byte that is ASCII, the high bit of b+0x7f is clear for 0 alone, and that of
	// b+0x60 for what is below ' '. Nothing carries over to the next byte.
	w7 := w & low
	quote := (w7 | each*4) ^ each*'&' // 0 for '"' and '&', which differ in that bit
	angle := (w7 | each*2) ^ each*'>' // for '<' and '>'
	slash := w7 ^ each*'\\'
	plain := (w7 + each*0x60) & (quote + low) & (angle + low) & (slash + low)
	return (w | ^plain) & high
}

// appendEscape appends the escape of an ASCII character.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}
