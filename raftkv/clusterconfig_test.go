// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"sync"
	"testing"
	"time"
)

func TestClusterConfig(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	if got, want := n.ClusterConfig(), (ClusterConfig{9, 1800 * time.Second, 5 * time.Second}); got != want {
		t.Errorf("default: got %+v, want %+v", got, want)
	}
	for _, step := range []struct {
		change func(*ClusterConfig)
		want   ClusterConfig
	}{
		{func(c *ClusterConfig) { c.ActiveSize = 5 }, ClusterConfig{5, 1800 * time.Second, 5 * time.Second}},
		{func(c *ClusterConfig) { c.RemoveDelay = 2500 * time.Millisecond }, ClusterConfig{5, 2500 * time.Millisecond, 5 * time.Second}},
		{func(c *ClusterConfig) { *c = ClusterConfig{} }, ClusterConfig{3, 2 * time.Second, time.Second}},
		{func(c *ClusterConfig) { *c = ClusterConfig{-1, -1, -1} }, ClusterConfig{3, 2 * time.Second, time.Second}},
	} {
		got, err := n.SetClusterConfig(t.Context(), step.change)
		if err != nil || got != step.want || n.ClusterConfig() != step.want {
			t.Errorf("got %+v, %v, then %+v, want %+v", got, err, n.ClusterConfig(), step.want)
		}
	}
	want := n.ClusterConfig()
	closeNode(t, n)
	cfg.Cluster = ClusterConfig{ActiveSize: 7}
	if got := open(t, cfg).ClusterConfig(); got != want {
		t.Errorf("after a restart with another: got %+v, want %+v", got, want)
	}
}

func TestInitialClusterConfig(t *testing.T) {
	cfg := testConfig(t)
	cfg.Cluster = ClusterConfig{ActiveSize: 1, SyncInterval: time.Minute}
	n := open(t, cfg)
	if got, want := n.ClusterConfig(), (ClusterConfig{3, 1800 * time.Second, time.Minute}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestClusterConfigAtOnce: changes of different fields do not undo each other.
func TestClusterConfigAtOnce(t *testing.T) {
	n := open(t, testConfig(t))
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := n.SetClusterConfig(t.Context(), func(c *ClusterConfig) { c.ActiveSize++ }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := n.ClusterConfig().ActiveSize; got != 9+32 {
		t.Errorf("got %d, want %d", got, 9+32)
	}
}
