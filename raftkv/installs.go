// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"
	"sync"
	"time"
)

const (
	maxInstalls    = 5 // snapshots that a node takes from its leader within installsWindow
	installsWindow = time.Minute
)

// installs watches how often a leader sends this node a snapshot. A node that is sent one
// after the other has a log that raft cannot bring together with it
// (hashicorp/raft#697): it stays behind for ever, until it is started anew. The log that
// is kept behind a snapshot makes that impossible in all cases known; see minTrailing.
type installs struct {
	fail func(error)

	mu    sync.Mutex
	times []time.Time
}

func (i *installs) count() {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	i.times = append(i.times, now)
	for now.Sub(i.times[0]) > installsWindow {
		i.times = i.times[1:]
	}
	if len(i.times) > maxInstalls {
		i.fail(fmt.Errorf("the leader has sent %d snapshots within %v, and this node's log still does not fit to them; to start it again helps", len(i.times), installsWindow))
	}
}
