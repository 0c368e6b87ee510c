// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

// A heldLog is a log whose writes wait while it is held, and fail while it is broken.
type heldLog struct {
	raft.LogStore

	mu     sync.Mutex
	held   chan struct{} // closed by release; nil unless it is held
	broken error
	writes [][]uint64 // indexes of what each has stored
}

func (h *heldLog) IsMonotonic() bool { return true }

func (h *heldLog) StoreLogs(es []*raft.Log) error {
	h.mu.Lock()
	held := h.held
	h.mu.Unlock()
	if held != nil {
		<-held
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return h.broken
	}
	var indexes []uint64
	for _, e := range es {
		indexes = append(indexes, e.Index)
	}
	h.writes = append(h.writes, indexes)
	return h.LogStore.StoreLogs(es)
}

func (h *heldLog) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = make(chan struct{})
	}
}

func (h *heldLog) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held != nil {
		close(h.held)
		h.held = nil
	}
}

func (h *heldLog) breakWith(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = err
}

// heldCluster is a cluster whose nodes have logs that can be held, by the node's name.
func heldCluster(t *testing.T, change ...func(*Config)) (*memCluster, map[string]*heldLog) {
	logs := make(map[string]*heldLog)
	c := newMemCluster(t, append(change, func(cfg *Config) {
		h := &heldLog{}
		logs[cfg.Name] = h
		cfg.Hooks.LogStore = func(s raft.LogStore) raft.LogStore { h.LogStore = s; return h }
	})...)
	t.Cleanup(func() { // before the nodes are closed
		for _, h := range logs {
			h.release()
		}
	})
	return c, logs
}
