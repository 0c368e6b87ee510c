// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// mask stands where a secret stood.
const mask = "********"

const (
	// maxSecrets is how many secrets are remembered. The oldest is forgotten for a new
	// one: templates that make up a secret at each rendering must not fill the memory.
	maxSecrets = 1000

	// wholeWord is the length in bytes below which a secret is masked only where it
	// stands alone: "1" must not turn every number of a log into asterisks.
	wholeWord = 4
)

// Secrets are the texts that templates have marked by the function secret. What is shown
// to people, be it a log, an error, a diff or a report, goes through Mask first. The zero
// value is empty and ready to use; nil is empty for ever. It may be used concurrently.
//
// A text is masked wherever it occurs, and so are the forms that other functions give
// it: with the escapes of JSON, Go, HTML or a URL, and in base64. Of a text of several
// lines, each line is masked by itself, as in a diff. What else is derived from a
// secret, such as a hash, has to be marked too.
type Secrets struct {
	mu    sync.RWMutex
	known map[string]bool
	order []string            // as they came
	forms map[string][]string // :: secret → what is masked for it
}

// Add marks a text.
func (s *Secrets) Add(secret string) {
	if s == nil || strings.TrimSpace(secret) == "" {
		return
	}
	s.mu.RLock()
	known := s.known[secret]
	s.mu.RUnlock()
	if known {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known, s.forms = make(map[string]bool), make(map[string][]string)
	}
	if s.known[secret] {
		return
	}
	if len(s.order) == maxSecrets {
		delete(s.known, s.order[0])
		delete(s.forms, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
	s.known[secret] = true
	s.order = append(s.order, secret)
	s.forms[secret] = formsOf(secret)
}

// formsOf returns the texts that give a secret away.
func formsOf(secret string) []string {
	quoted := strconv.Quote(secret)
	escaped, _ := json.Marshal(secret) // a string never fails
	plain, _ := toJSON(secret)
	raw := []byte(secret)
	forms := []string{
		secret, quoted[1 : len(quoted)-1], string(escaped[1 : len(escaped)-1]), plain[1 : len(plain)-1],
		html.EscapeString(secret), url.QueryEscape(secret), url.PathEscape(secret),
		base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	}
	if strings.Contains(secret, "\n") {
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) >= wholeWord {
				forms = append(forms, line)
			}
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// Mask returns the text with asterisks in place of secrets.
func (s *Secrets) Mask(text string) string {
	spans := s.find(text)
	if len(spans) == 0 {
		return text
	}
	var b strings.Builder
	done := 0
	for _, span := range spans {
		b.WriteString(text[done:span.start] + mask)
		done = span.end
	}
	b.WriteString(text[done:])
	return b.String()
}

// Split returns the pieces of a text before, between and behind the secrets in it. It is
// one piece, the text itself, if there is none.
func (s *Secrets) Split(text string) []string {
	var pieces []string
	done := 0
	for _, span := range s.find(text) {
		pieces = append(pieces, text[done:span.start])
		done = span.end
	}
	return append(pieces, text[done:])
}

// A span is a part of a text, from start to before end.
type span struct{ start, end int }

// find returns where secrets stand, in order and without overlap.
func (s *Secrets) find(text string) []span {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []span
	for _, forms := range s.forms {
		for _, form := range forms {
			found = appendFound(found, text, form)
		}
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Or(a.start-b.start, a.end-b.end) })
	joined := found[:0]
	for _, next := range found {
		if n := len(joined); n > 0 && next.start < joined[n-1].end {
			joined[n-1].end = max(joined[n-1].end, next.end)
			continue
		}
		joined = append(joined, next)
	}
	return joined
}

// appendFound appends each place of the form in the text.
func appendFound(found []span, text, form string) []span {
	for at := 0; ; {
		i := strings.Index(text[at:], form)
		if i < 0 {
			return found
		}
		start, end := at+i, at+i+len(form)
		_, size := utf8.DecodeRuneInString(form)
		at = start + size
		if len(form) >= wholeWord || alone(text, start, end) {
			found = append(found, span{start, end})
		}
	}
}

// alone reports whether neither a letter nor a digit stands beside a part of the text.
func alone(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[end:])
	for _, r := range []rune{before, after} {
		if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return false
		}
	}
	return true
}

// secret marks a text, and returns it.
func (r *run) secret(v any) string {
	text := toString(v)
	r.opts.Secrets.Add(text)
	return text
}
