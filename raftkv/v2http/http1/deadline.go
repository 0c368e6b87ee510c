// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import "time"

// slack is how much later than said a deadline may be.
const slack = time.Second

// writeWithin has writes fail d after now, or a little later.
func (c *conn) writeWithin(d time.Duration) {
	if !lasts(c.writeBy.Sub(c.now), d) {
		c.writeBy = c.now.Add(d + slack)
		c.writeErr = c.rwc.SetWriteDeadline(c.writeBy)
	}
}

// lasts reports whether a deadline that is left away will do for one of d.
func lasts(left, d time.Duration) bool { return d <= left && left <= d+slack }

// readWithin has reads fail d after now, or a little later.
func (c *conn) readWithin(d time.Duration, now time.Time) {
	if !lasts(c.readBy.Sub(now), d) {
		c.readUntil(now.Add(d + slack))
	}
}

// readUntil has reads fail from t on.
func (c *conn) readUntil(t time.Time) {
	c.readBy = t
	// An error is that of a closed connection, which reads have as well.
	_ = c.rwc.SetReadDeadline(t)
}
