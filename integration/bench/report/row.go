// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package report makes tables of what was measured, for terminals and in Markdown.
package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Latency is how long operations took.
type Latency struct{ P50, P99 time.Duration }

// A Row is one thing that was measured, of ours and of the peer.
type Row struct {
	What string // with the unit: "put, 16 connections, op/s"
	Goal Goal
	// One value for each round; those of one round were taken one after the other. Either
	// may be empty.
	Ours, Peer []float64

	OursLatency, PeerLatency *Latency
}

// cells returns the row as text.
func (r Row) cells() []string {
	ratios := r.ratios()
	own, hasOwn := median(r.Ours)
	ratio, hasRatio := median(ratios)
	verdict := r.Goal.verdict(own, ratio, hasOwn, hasRatio)
	return []string{r.What, r.Goal.text, spread(r.Ours), spread(r.Peer), spread(ratios), verdict,
		r.OursLatency.text(), r.PeerLatency.text()}
}

// ratios returns what ours is of the peer's, in each round that has both.
func (r Row) ratios() []float64 {
	var all []float64
	for i := range min(len(r.Ours), len(r.Peer)) {
		if ratio := r.Ours[i] / r.Peer[i]; !math.IsNaN(ratio) && !math.IsInf(ratio, 0) {
			all = append(all, ratio)
		}
	}
	return all
}

// text returns p50 and p99 in milliseconds.
func (l *Latency) text() string {
	if l == nil {
		return ""
	}
	ms := func(d time.Duration) string { return digits(d.Seconds() * 1000) }
	return ms(l.P50) + " / " + ms(l.P99)
}

// median returns the middle of the values, and whether there are any.
func median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2, true
	}
	return sorted[half], true
}

// spread returns the median, with least and greatest if there are several.
func spread(values []float64) string {
	m, ok := median(values)
	switch {
	case !ok:
		return ""
	case len(values) == 1:
		return digits(m)
	}
	return fmt.Sprintf("%s (%s–%s)", digits(m), digits(slices.Min(values)), digits(slices.Max(values)))
}

// digits returns a number with three digits that count, or all in front of the point.
func digits(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs >= 1000:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case abs >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 0.0995 || abs == 0:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// thousands puts commas into a whole number.
func thousands(n string) string {
	for i := len(n) - 3; i > 0 && n[i-1] != '-'; i -= 3 {
		n = n[:i] + "," + n[i:]
	}
	return n
}
