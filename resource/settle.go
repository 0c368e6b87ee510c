// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// A Window says how long changes may go on before what they concern is rendered: until
// Min has passed since the last one, but not more than Max since the first. The zero
// value does not wait.
type Window struct{ Min, Max time.Duration }

// ParseWindow reads "MIN" or "MIN:MAX", two durations. Max is four times Min if it is
// not given.
func ParseWindow(text string) (Window, error) {
	first, second, both := strings.Cut(text, ":")
	low, err := time.ParseDuration(first)
	if err != nil {
		return Window{}, errors.New(`want a duration such as "2s", or two such as "2s:10s"`)
	}
	w := Window{low, 4 * low}
	if both {
		if w.Max, err = time.ParseDuration(second); err != nil {
			return Window{}, errors.New(`want a duration behind the colon, such as "2s:10s"`)
		}
	}
	switch {
	case w.Min < 0:
		return Window{}, errors.New("a time to wait cannot be negative")
	case w.Max < w.Min:
		return Window{}, errors.New("the longest time is shorter than the shortest")
	}
	return w, nil
}

// lookPause is the shortest time between two looks at changes that are being waited out.
const lookPause = 10 * time.Millisecond

// news is what a set knows of changes that it has not been applied for.
type news struct {
	first, last time.Time // when changes were noticed; zero = there are none
	splay       time.Duration
}

// stir notes a change.
func (n *news) stir(now time.Time, splay time.Duration) {
	if n.first.IsZero() {
		n.first = now
		if splay > 0 {
			n.splay = rand.N(splay)
		}
	}
	n.last = now
}

// any reports whether there are changes.
func (n *news) any() bool { return !n.first.IsZero() }

// due returns when the set is to be applied for them.
func (n *news) due(w Window) time.Time {
	quiet, longest := n.last.Add(w.Min), n.first.Add(w.Max)
	if longest.Before(quiet) {
		quiet = longest
	}
	return quiet.Add(n.splay)
}

// settling reports whether changes are being waited out.
func (n *news) settling(now time.Time, w Window) bool { return n.any() && now.Before(n.due(w)) }
