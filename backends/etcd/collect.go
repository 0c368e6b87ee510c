// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"sync"

	"confd/backends"
	"confd/raftkv/client"
)

// collectAhead is how many parts of a listing may be on their way to a collector.
const collectAhead = 8

// A collector keeps what a listing of root shows. It works in a goroutine of its own, beside
// the one that takes the listing apart, once there is more than one part. The caller calls end.
type collector struct {
	root   string
	values []backends.Pair
	first  []client.File // the only part so far, which nobody works on yet

	full, empty chan []client.File // on the way, and back; nil while nobody works
	working     sync.WaitGroup
}

// Begin forgets what was taken.
func (c *collector) Begin() {
	c.end()
	c.values = nil
}

// Take hands a part on. It is kept until it has been worked on.
func (c *collector) Take(files []client.File) []client.File {
	if c.full == nil && c.first == nil {
		c.first = files
		return nil
	}
	if c.full == nil {
		c.full, c.empty = make(chan []client.File, collectAhead), make(chan []client.File, collectAhead+1)
		for range collectAhead - 1 {
			c.empty <- nil
		}
		c.working.Go(c.work)
		c.full <- c.first
		c.first = nil
	}
	c.full <- files
	return <-c.empty
}

// work keeps what comes.
func (c *collector) work() {
	for files := range c.full {
		c.keep(files)
		c.empty <- files[:0]
	}
}

// keep adds what a listing of the root shows.
func (c *collector) keep(files []client.File) {
	if c.values == nil {
		c.values = make([]backends.Pair, 0, len(files))
	}
	for _, f := range files {
		if len(c.values) == cap(c.values) { // twice as many, where append would add a quarter
			c.values = append(make([]backends.Pair, 0, max(2*len(c.values), 16)), c.values...)
		}
		if key := backends.Clean(f.Key); covers(c.root, key) {
			c.values = append(c.values, backends.Pair{Key: key, Value: f.Value})
		}
	}
}

// end waits until all is kept, and returns it, in any order.
func (c *collector) end() []backends.Pair {
	if c.full != nil {
		close(c.full)
		c.working.Wait()
		c.full, c.empty = nil, nil
	}
	c.keep(c.first)
	c.first = nil
	return c.values
}
