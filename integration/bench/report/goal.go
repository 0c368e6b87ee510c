// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strconv"
	"strings"
)

// A Goal is what a row should reach. The zero value is none.
type Goal struct {
	text   string
	checks []check
}

// A check is one half of a goal: the limit of a ratio or of our own value.
type check struct {
	limit float64
	least bool // at least the limit, else at most
	own   bool // our value, else the ratio of ours to the peer's
}

// AtLeast is the goal that ours is at least so many times the peer's.
func AtLeast(times float64) Goal {
	return Goal{"≥ " + trim(times) + "×", []check{{limit: times, least: true}}}
}

// AtMost is the goal that ours is at most so many times the peer's, said as text, such
// as "≤ 1/3".
func AtMost(times float64, text string) Goal {
	return Goal{text, []check{{limit: times}}}
}

// Own is the goal that our value is at most limit, said as text, such as "≤ 1 ms".
func Own(limit float64, text string) Goal {
	return Goal{text, []check{{limit: limit, own: true}}}
}

// And is the goal that both are reached.
func (g Goal) And(other Goal) Goal {
	return Goal{g.text + ", " + other.text, append(append([]check(nil), g.checks...), other.checks...)}
}

// verdict returns what has become of the goal.
func (g Goal) verdict(own, ratio float64, hasOwn, hasRatio bool) string {
	if len(g.checks) == 0 {
		return ""
	}
	for _, c := range g.checks {
		value, known := ratio, hasRatio
		if c.own {
			value, known = own, hasOwn
		}
		if !known {
			return "not measured"
		}
		if c.least && value < c.limit || !c.least && value > c.limit {
			return "missed"
		}
	}
	return "reached"
}

func trim(v float64) string { return strings.TrimSuffix(strconv.FormatFloat(v, 'f', -1, 64), ".0") }
