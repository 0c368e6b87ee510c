// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// watches are the connections of open watches.
type watches struct {
	mu    sync.Mutex
	conns map[*watchConn]struct{}
	polls map[*poll]struct{} // those that the loop has
	ended bool
	none  sync.Cond // told when both have become empty; of mu
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
	ws.tell()
}

// addPoll is add for a poll of the loop.
func (ws *watches) addPoll(p *poll) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.polls == nil {
		ws.polls = make(map[*poll]struct{})
	}
	ws.polls[p] = struct{}{}
	return !ws.ended
}

func (ws *watches) removePoll(p *poll) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.polls, p)
	ws.tell()
}

// tell says if there are none any more. The caller holds mu.
func (ws *watches) tell() {
	if len(ws.conns)+len(ws.polls) == 0 {
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
	stuck := time.AfterFunc(endGrace, ws.close)
	defer stuck.Stop()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.ended = true
	for c := range ws.conns {
		c.end()
	}
	for p := range ws.polls {
		p.watcher.Close()
	}
	for len(ws.conns)+len(ws.polls) > 0 {
		ws.none.Wait()
	}
}

// close closes all connections. That may have to wait for somebody who waits for mu.
func (ws *watches) close() {
	ws.mu.Lock()
	conns, polls := slices.Collect(maps.Keys(ws.conns)), slices.Collect(maps.Keys(ws.polls))
	ws.mu.Unlock()
	for _, c := range conns {
		c.conn.Close()
	}
	for _, p := range polls {
		p.client.Close()
	}
}
