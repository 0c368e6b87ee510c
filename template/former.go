// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import "strings"

// AddFormer marks the secrets of an earlier rendering, which perhaps no template has
// marked in this process: what stands in a line that is no more where a line of now, which
// is otherwise the same, has its secrets. Lines that have hardly more than secrets tell
// nothing. It takes up half of the room for secrets at most, so that those of now stay.
func (s *Secrets) AddFormer(old, now string) {
	var patterns [][]string
	lines := make(map[string]bool)
	for line := range strings.Lines(now) {
		lines[line] = true
		if pieces := s.Split(line); len(pieces) > 1 && strings.ContainsFunc(strings.Join(pieces, ""), isLetter) {
			patterns = append(patterns, pieces)
		}
	}
	if patterns == nil {
		return
	}
	for line := range strings.Lines(old) {
		if lines[line] {
			continue
		}
		for _, pieces := range patterns {
			for _, secret := range Between(line, pieces) {
				if s.halfFull() {
					return
				}
				s.Add(secret)
			}
		}
	}
}

func (s *Secrets) halfFull() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.order) >= maxSecrets/2
}

// Between returns what stands between the pieces of a text, of which Split returns at
// least two, in a line that consists of them and anything between; nil if it does not.
func Between(line string, pieces []string) []string {
	last := len(pieces) - 1
	rest, ok := strings.CutPrefix(line, pieces[0])
	if !ok || !strings.HasSuffix(rest, pieces[last]) {
		return nil
	}
	rest = strings.TrimSuffix(rest, pieces[last])
	var parts []string
	for _, piece := range pieces[1:last] {
		var part string
		if part, rest, ok = strings.Cut(rest, piece); !ok {
			return nil
		}
		parts = append(parts, part)
	}
	return append(parts, rest)
}
