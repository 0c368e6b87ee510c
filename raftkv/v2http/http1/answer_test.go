// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"net/http"
	"testing"
	"time"
)

// TestDate: the date is that of the second of the request.
func TestDate(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		for range 3 {
			p.send(request("/a"))
			resp, _ := p.answer()
			if got, want := resp.Header.Get("Date"), time.Now().UTC().Format(http.TimeFormat); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			time.Sleep(1500 * time.Millisecond)
		}
	})
}
