// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// metaConfig is the metadata key of the cluster's configuration.
const metaConfig = "config"

// A ClusterConfig is what all members agree on, with the names and limits of etcd 0.4; what
// comes of it is reconcile's work.
type ClusterConfig struct {
	ActiveSize   int           // how many members vote; others stand by. At least 3, default 9
	RemoveDelay  time.Duration // how long a silent member keeps its vote. At least 2 s, default 30 min
	SyncInterval time.Duration // how often it is looked whether a standby is to vote. At least 1 s, default 5 s
}

// The limits of etcd 0.4.
const (
	defaultActiveSize   = 9
	defaultRemoveDelay  = 1800 * time.Second
	defaultSyncInterval = 5 * time.Second

	minActiveSize   = 3
	minRemoveDelay  = 2 * time.Second
	minSyncInterval = time.Second
)

// clusterRecord is the JSON of the record.
type clusterRecord struct {
	ActiveSize   int           `json:"activeSize"`
	RemoveDelay  time.Duration `json:"removeDelayNanos"`
	SyncInterval time.Duration `json:"syncIntervalNanos"`
}

// withDefaults fills in what is zero.
func (c ClusterConfig) withDefaults() ClusterConfig {
	setDefault(&c.ActiveSize, defaultActiveSize)
	setDefault(&c.RemoveDelay, defaultRemoveDelay)
	setDefault(&c.SyncInterval, defaultSyncInterval)
	return c
}

// withMinimums raises what is too small.
func (c ClusterConfig) withMinimums() ClusterConfig {
	return ClusterConfig{
		ActiveSize:   max(c.ActiveSize, minActiveSize),
		RemoveDelay:  max(c.RemoveDelay, minRemoveDelay),
		SyncInterval: max(c.SyncInterval, minSyncInterval),
	}
}

// ClusterConfig returns the configuration as this node knows it.
func (n *Node) ClusterConfig() ClusterConfig {
	value := (*n.Meta())[metaConfig]
	if value == nil {
		return ClusterConfig{}.withDefaults()
	}
	var r clusterRecord
	if err := json.Unmarshal(value, &r); err != nil {
		n.log.Error("reading the cluster's configuration; the defaults are used", "err", err)
		return ClusterConfig{}.withDefaults()
	}
	return ClusterConfig(r)
}

// SetClusterConfig lets change alter the configuration, raises what is too small
// afterwards, and returns what is in force then. change is called again if somebody else
// was faster.
func (n *Node) SetClusterConfig(ctx context.Context, change func(*ClusterConfig)) (ClusterConfig, error) {
	for {
		// Read in this order: a change in between is found when it is written.
		prev := (*n.Meta())[metaConfig]
		c := n.ClusterConfig()
		change(&c)
		c = c.withMinimums()
		err := n.SetMeta(ctx, metaConfig, prev, c.record())
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, ErrMetaChanged) {
			return ClusterConfig{}, fmt.Errorf("writing the cluster's configuration: %w", err)
		}
	}
}

func (c ClusterConfig) record() []byte {
	b, err := json.Marshal(clusterRecord(c))
	if err != nil {
		panic(err) // numbers always have a JSON form
	}
	return b
}

// initClusterConfig gives a new cluster the configuration that the node was started with.
func (n *Node) initClusterConfig(term uint64) error {
	return n.putMeta(n.ctx, metaConfig, term, func(prev []byte) []byte {
		if prev != nil || n.cfg.Cluster == (ClusterConfig{}) {
			return nil
		}
		return n.cfg.Cluster.withDefaults().withMinimums().record()
	})
}
