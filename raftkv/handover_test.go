// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// A textLog keeps what is logged.
type textLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *textLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *textLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// TestHandingOverIsNoWarning: a leader that ends, and one that is removed, hand over as
// they should; neither says nor hears that something has gone wrong.
func TestHandingOverIsNoWarning(t *testing.T) {
	for _, test := range []struct {
		end  func(t *testing.T, leader *Node)
		want string
	}{
		{func(t *testing.T, leader *Node) { closeNode(t, leader) }, `"leadership handed over" cause="this node ends"`},
		{func(t *testing.T, leader *Node) {
			if err := leader.RemoveMember(t.Context(), leader.dir.id); err != nil {
				t.Error(err)
			}
		}, `"leadership handed over" cause="this node was removed"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			logs := map[string]*textLog{}
			c := newMemCluster(t, func(cfg *Config) {
				log := &textLog{}
				logs[cfg.Name] = log
				cfg.Log = slog.New(slog.NewTextHandler(log, nil))
			})
			leader, rest := c.leader()
			test.end(t, leader)
			heir := newLeader(t, rest)
			set(t, heir, "/a", "1")
			if log := logs[leader.cfg.Name]; log.count("level=WARN") != 0 || log.count(test.want) != 1 {
				t.Errorf("the leader's log:\n%s", &log.buf)
			}
			if log := logs[heir.cfg.Name]; log.count("level=WARN") != 0 || log.count("the leader hands over to this node") != 1 {
				t.Errorf("the heir's log:\n%s", &log.buf)
			}
		})
	}
}
