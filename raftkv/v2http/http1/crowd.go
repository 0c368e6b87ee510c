// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

const (
	// shortestRow is how many quick requests in a row a connection has before it joins a crowd.
	// For one that was dismissed it is twice as many as the last time, since to come and go costs
	// as much as a request, but no more than longestRow.
	shortestRow = 8
	longestRow  = 1 << 16
)

// maxBegun is how long, in bytes, the body of a request may be that a crowd begins to answer: it has
// to come together with its head.
const maxBegun = MaxHead / 2

// isQuick reports whether it looks as if r can be answered, or begun, at once.
func (l *Loop) isQuick(r *Request) bool {
	if r.Authorization != nil {
		return false
	}
	if r.Method == "GET" {
		return r.Length == 0 && (len(r.Query) == 0 || string(r.Query) == l.config.QuickQuery)
	}
	return l.config.Begin != nil && r.Method != "HEAD" && r.Length <= maxBegun
}

// count counts the quick requests in a row.
func (c *conn) count() {
	if c.row++; !c.loop.isQuick(&c.req) {
		c.row = 0
	}
}

// wantsCrowd reports whether a connection that waits for its next request is to join a crowd.
// It is asked after each request.
func (c *conn) wantsCrowd() bool {
	if c.row < max(c.need, shortestRow) {
		return false
	}
	if c.loop.isCrowded() {
		return true
	}
	c.row = 0
	return false
}

// isCrowded reports whether there are enough connections for crowds.
func (l *Loop) isCrowded() bool {
	return l.config.Quick != nil && int(l.alone.Load()+l.members.Load()) >= l.config.Crowd
}
