// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"strconv"
	"sync/atomic"
	"time"
)

// A MetricsPage builds a page in the text format of Prometheus, version 0.0.4. The zero
// value is an empty page. It is for one goroutine.
//
//	page.Counter("confd_x_total", "What x counts.", n)
//	page.Begin("histogram", "confd_y_seconds", "What y measures.")
//	page.Histogram(`kind="a"`, &a)
//	page.Histogram(`kind="b"`, &b)
type MetricsPage struct {
	text []byte
	name string // of the metric that has begun
}

// Bytes returns the page; it is valid until the next call of another method.
func (p *MetricsPage) Bytes() []byte { return p.text }

// Write adds whole lines as they are.
func (p *MetricsPage) Write(lines []byte) (int, error) {
	p.text = append(p.text, lines...)
	return len(lines), nil
}

// Begin begins a metric: counter, gauge or histogram. Help is one line without
// backslashes. The metric's samples follow.
func (p *MetricsPage) Begin(kind, name, help string) {
	p.name = name
	p.text = append(append(append(append(p.text, "# HELP "...), name...), ' '), help...)
	p.text = append(append(append(append(p.text, "\n# TYPE "...), name...), ' '), kind...)
	p.text = append(p.text, '\n')
}

// Uint adds a sample with a number. Labels are as in `a="x",b="y"`, or empty.
func (p *MetricsPage) Uint(labels string, v uint64) {
	p.series("", labels, "")
	p.text = append(strconv.AppendUint(p.text, v, 10), '\n')
}

// Seconds adds a sample with a duration.
func (p *MetricsPage) Seconds(labels string, d time.Duration) {
	p.series("", labels, "")
	p.text = append(appendSeconds(p.text, d), '\n')
}

// Histogram adds the samples of a histogram.
func (p *MetricsPage) Histogram(labels string, h *Histogram) {
	var sum uint64
	for i := range h.buckets {
		// Each is loaded once, so that what is written adds up.
		sum += h.buckets[i].Load()
		le := "+Inf"
		if i < len(bounds) {
			le = string(appendSeconds(nil, bounds[i]))
		}
		p.series("_bucket", labels, le)
		p.text = append(strconv.AppendUint(p.text, sum, 10), '\n')
	}
	p.series("_sum", labels, "")
	p.text = append(appendSeconds(p.text, time.Duration(h.sum.Load())), '\n')
	p.series("_count", labels, "")
	p.text = append(strconv.AppendUint(p.text, sum, 10), '\n')
}

// Counter adds a counter with one sample.
func (p *MetricsPage) Counter(name, help string, v uint64) {
	p.Begin("counter", name, help)
	p.Uint("", v)
}

// Gauge adds a gauge with one sample.
func (p *MetricsPage) Gauge(name, help string, v uint64) {
	p.Begin("gauge", name, help)
	p.Uint("", v)
}

// series adds the name of a series and the space after it.
func (p *MetricsPage) series(suffix, labels, le string) {
	p.text = append(append(p.text, p.name...), suffix...)
	if labels == "" && le == "" {
		p.text = append(p.text, ' ')
		return
	}
	p.text = append(append(p.text, '{'), labels...)
	if le != "" {
		if labels != "" {
			p.text = append(p.text, ',')
		}
		p.text = append(append(append(p.text, `le="`...), le...), '"')
	}
	p.text = append(p.text, "} "...)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', -1, 64)
}

// bounds are the upper ends of a histogram's buckets: from a read out of memory to a
// disk about to be given up.
var bounds = [...]time.Duration{
	25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// A Histogram counts durations by their length. The zero value is ready, and must not
// be copied. Its methods may be called concurrently.
type Histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// Observe counts d. It costs two atomic additions and no memory.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Count returns how many durations have been counted.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}
