// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// columnOf returns where on its line, from 1, a mistake of syntax is, of which
// text/template tells the line only: at the word that the message quotes, if an action of
// the line has it, else where the first action of the line begins, else 1.
func columnOf(text string, line int, msg string) int {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return 1
	}
	here := lines[line-1]
	action := strings.Index(here, "{{")
	if i := indexWord(here, max(action, 0), quotedWord(msg)); i >= 0 {
		return i + 1
	}
	return max(action, 0) + 1
}

// quotedWord returns what a message quotes, as "x" or {{x}}; "" if it quotes nothing.
func quotedWord(msg string) string {
	if _, rest, ok := strings.Cut(msg, "{{"); ok {
		word, _, _ := strings.Cut(rest, "}}")
		return word
	}
	if i := strings.IndexByte(msg, '"'); i >= 0 {
		if quoted, err := strconv.QuotedPrefix(msg[i:]); err == nil {
			word, _ := strconv.Unquote(quoted)
			return word
		}
	}
	return ""
}

// indexWord returns where in s, from a place on, a word stands that is no part of a longer
// one; -1 if it does not.
func indexWord(s string, from int, word string) int {
	for word != "" {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return -1
		}
		at := from + i
		first, _ := utf8.DecodeRuneInString(word)
		last, _ := utf8.DecodeLastRuneInString(word)
		before, _ := utf8.DecodeLastRuneInString(s[:at])
		after, _ := utf8.DecodeRuneInString(s[at+len(word):])
		if !(isLetter(first) && isLetter(before)) && !(isLetter(last) && isLetter(after)) {
			return at
		}
		from = at + len(word)
	}
	return -1
}

func isLetter(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
