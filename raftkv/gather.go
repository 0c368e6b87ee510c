// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import "time"

// slowWrite is how long a batch must have taken for others to be waited for.
const slowWrite = 2 * time.Millisecond

// gather gives those whose count requests were answered just now a moment to come back
// with the next ones, a tenth of the time that they took: on a slow disk, those who came a
// little too late for one write would else have the next one for themselves, and everybody
// would wait for two. It ends when all are there, or when closing is closed.
func (q *queue) gather(count int, took time.Duration, closing <-chan struct{}) {
	if took < slowWrite || !q.await(count) {
		return
	}
	t := time.NewTimer(took / 10)
	defer t.Stop()
	select {
	case <-q.gathered:
		return
	case <-t.C:
	case <-closing:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.awaited = 0
	select {
	case <-q.gathered:
	default:
	}
}

// await has gathered receive when count more wait than now, or a batch is full. It reports
// whether there is anybody to wait for.
func (q *queue) await(count int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting) - q.head
	want := min(n+count, maxBatchOps)
	if want < 2 || n >= want || q.bytes >= maxBatchBytes || q.closed != nil {
		return false
	}
	q.awaited = want
	return true
}
