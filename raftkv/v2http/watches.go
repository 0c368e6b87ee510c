// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"sync"
	"time"
)

// watches are the connections of open watches.
type watches struct {
	mu    sync.Mutex
	conns map[*watchConn]struct{}
	ended bool
	none  sync.Cond // told when conns has become empty; of mu
}

// add reports whether watches are open still. Either way remove is called for c.
func (ws *watches) add(c *watchConn) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.conns == nil {
		ws.conns = make(map[*watchConn]struct{})
	}
	ws.conns[c] = struct{}{}
	return !ws.ended
}

func (ws *watches) remove(c *watchConn) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.conns, c)
	if len(ws.conns) == 0 {
		ws.none.Broadcast()
	}
}

func (ws *watches) ending() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.ended
}

// end ends all watches and waits for them.
func (ws *watches) end() {
	stuck := time.AfterFunc(endGrace, func() {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		for c := range ws.conns {
			c.conn.Close()
		}
	})
	defer stuck.Stop()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.ended = true
	for c := range ws.conns {
		c.end()
	}
	for len(ws.conns) > 0 {
		ws.none.Wait()
	}
}
