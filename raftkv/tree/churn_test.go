// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
)

// TestWatcherChurn opens and closes watches and waits of all kinds beside a writer and a
// restore. Nobody is left in the hub.
func TestWatcherChurn(t *testing.T) {
	tr := New()
	const workers, rounds = 40, 100 // 4,000 of each
	stop := make(chan struct{})
	var writer, rest sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			key := fmt.Sprintf("/d%d/k%d", i%7, i%40)
			tr.Apply(&Op{Action: Set, Key: key, Value: "v"}, t0)
			if i%50 == 49 {
				tr.Apply(&Op{Action: Delete, Key: fmt.Sprintf("/d%d", i%7), Recursive: true}, t0)
			}
			tr.Publish()
			if i%1000 == 999 {
				restoreCopy(t, tr)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range workers {
		rest.Go(func() {
			for i := range rounds {
				key := fmt.Sprintf("/d%d/k%d", i%7, w)
				if i%3 == 0 {
					key = fmt.Sprintf("/d%d", i%7)
				}
				watcher, err := tr.Watch(key, i%2 == 0, i%5 == 0, 0)
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithCancel(t.Context())
				rest.Go(func() { tr.Wait(ctx, []string{key, "/none"}, tr.View().Index()) })
				if i%4 == 0 {
					<-watcher.C
				}
				watcher.Close()
				cancel()
			}
		})
	}
	rest.Wait()
	close(stop)
	writer.Wait()
	if n, spots := tr.Stats().Watchers, len(tr.hub.spots); n != 0 || spots != 0 {
		t.Errorf("%d watchers and %d spots are left", n, spots)
	}
}

// restoreCopy replaces the tree's state by its own snapshot.
func restoreCopy(t *testing.T, tr *Tree) {
	var b bytes.Buffer
	if _, err := tr.Snapshot().WriteTo(&b); err != nil {
		t.Error(err)
	}
	if err := tr.Restore(&b); err != nil {
		t.Error(err)
	}
}
