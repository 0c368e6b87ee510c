// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"sync"

	"github.com/hashicorp/raft"
)

const (
	cacheEntries = 512
	cacheBytes   = 32 << 20
)

// A monotonicLog is a log that takes consecutive indexes only.
type monotonicLog interface {
	raft.LogStore
	raft.MonotonicLogStore
}

// A logCache keeps the last entries in memory, from where they go to followers. Raft's
// own counts entries only, and with chunks of large values 512 of them are 256 MiB.
type logCache struct {
	monotonicLog

	mu    sync.RWMutex
	ring  [cacheEntries]*raft.Log // entry i is at i % cacheEntries, nil if it is not kept
	first uint64                  // of those kept; they are consecutive
	count uint64
	bytes int
}

// GetLog reads an entry.
func (c *logCache) GetLog(index uint64, e *raft.Log) error {
	c.mu.RLock()
	kept := c.ring[index%cacheEntries]
	c.mu.RUnlock()
	if kept != nil && kept.Index == index {
		*e = *kept
		return nil
	}
	return c.monotonicLog.GetLog(index, e)
}

// StoreLog stores an entry.
func (c *logCache) StoreLog(e *raft.Log) error { return c.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries, and keeps them.
func (c *logCache) StoreLogs(es []*raft.Log) error {
	if err := c.monotonicLog.StoreLogs(es); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range es {
		if c.count > 0 && e.Index != c.first+c.count {
			c.clearLocked()
		}
		if c.count == 0 {
			c.first = e.Index
		}
		for c.count > 0 && (c.count == cacheEntries || c.bytes+len(e.Data) > cacheBytes) {
			c.dropLocked()
		}
		c.ring[e.Index%cacheEntries] = e
		c.count++
		c.bytes += len(e.Data)
	}
	return nil
}

// DeleteRange removes entries, and forgets all.
func (c *logCache) DeleteRange(lo, hi uint64) error {
	c.mu.Lock()
	c.clearLocked()
	c.mu.Unlock()
	return c.monotonicLog.DeleteRange(lo, hi)
}

func (c *logCache) dropLocked() {
	slot := &c.ring[c.first%cacheEntries]
	c.bytes -= len((*slot).Data)
	*slot = nil
	c.first++
	c.count--
}

func (c *logCache) clearLocked() {
	for c.count > 0 {
		c.dropLocked()
	}
}
