// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"math/bits"
	"time"
)

// subBits is how many bits of a value a bucket keeps: quantiles are exact to 1 in 64.
const subBits = 7

// A Histogram counts durations in buckets whose width is at most 1/64 of what they hold.
// The zero value is empty. It may not be used concurrently.
type Histogram struct {
	counts [(64 - subBits + 1) << (subBits - 1)]uint64
	count  uint64
	max    time.Duration
}

// Record counts a duration; one below zero counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// Merge adds what another has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count returns how many durations were counted.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the longest, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the duration that a part q of all, 0 to 1, do not exceed, and 0 if
// there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen > rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// bucket returns the number of the bucket of a value: values below 1<<subBits have one
// each, then every power of two is cut in 1<<(subBits-1).
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits, 0)
	return shift<<(subBits-1) + int(v>>shift)
}

// upper returns the largest duration of a bucket.
func upper(i int) time.Duration {
	const half = 1 << (subBits - 1)
	shift := max(i/half-1, 0)
	return time.Duration((uint64(i-shift*half)+1)<<shift - 1)
}
