// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"
)

// A Config says what a node is and where it keeps its data. Name, DataDir and PeerAddr
// are needed; zero means the default everywhere else.
type Config struct {
	Name      string // what people know the node by
	DataDir   string // holds log, snapshots and the node's id; created if missing
	PeerAddr  string // address of the peer port to listen on, as in 127.0.0.1:7001; port 0 takes any
	ClientURL string // what others are told to reach the client API by, as in http://127.0.0.1:4001

	Version string // of the program, told to the other nodes

	// Peers are addresses of nodes to join, host:port. A node whose data directory is new
	// asks them to let it in, and waits until one does; one that has data only looks
	// whether they belong to the same cluster, and tells them where it is. Without any a
	// new node makes a cluster of its own.
	Peers []string

	// Discover, if not nil, is asked, in place of Peers, by a node whose data directory is
	// new: to whom it belongs, if to anybody.
	Discover func(ctx context.Context) (Founders, error)

	AdvertisePeerAddr string // what others are told to reach the peer port by; default: the address listened on

	// PeerTLS makes the peer port speak TLS, in both directions and with certificates on
	// both sides, so it needs a file of authorities. Nil means no TLS.
	PeerTLS *TLS

	MaxValue int // largest value in bytes; default 16 MiB

	// A snapshot is taken, and the log before it cut, when the log has grown since the
	// last one by this many entries (default 8192; an entry holds what many clients
	// wrote at once) or by this many bytes (default 64 MiB). If four times the last snapshot's
	// size is more it is that, up to four times as many bytes, and twice its size beyond.
	SnapshotCount uint64
	SnapshotBytes int64

	// ElectionTimeout is how long raft waits at a follower without a sign of the leader, and
	// half of it how long a leader without contact goes on leading; default and advice 1 s.
	// After 0.6 of it a majority of followers that miss the leader hold an election.
	ElectionTimeout time.Duration

	// Timeout is how long Do and Linearizable wait at most, for a leader too, Do a twentieth
	// longer at times; default 5 s and two election timeouts, as etcd.
	Timeout time.Duration

	// StallTimeout is how long one write to the log may take before the node counts
	// as failed; default 10 s.
	StallTimeout time.Duration

	Cluster ClusterConfig // of a new cluster; zero fields are etcd 0.4's. An existing one keeps its own

	Now func() time.Time // the wall clock; default time.Now
	Log *slog.Logger     // default: nothing is logged

	Hooks Hooks // for tests
}

// Hooks let a test stand between the node and the world. Nil means no hook.
type Hooks struct {
	// LogStore returns what the node uses in place of its log store.
	LogStore func(raft.LogStore) raft.LogStore

	// LogFS is what the log's files are kept in, in place of the operating system's.
	// If it has a method SyncDir(dir string) error, that makes the names in dir durable.
	LogFS types.VFS

	// Listen and Dial are the network of the peer port, in place of TCP.
	Listen func(addr string) (net.Listener, error)
	Dial   func(ctx context.Context, addr string) (net.Conn, error)

	// Killed reports whether Close stands for the end of a killed process, which writes
	// nothing any more.
	Killed func() bool

	// Protocol is the version of the peer protocol that the node says it speaks; 0 is the
	// one it does.
	Protocol int
}

func (h *Hooks) killed() bool { return h.Killed != nil && h.Killed() }

func (h *Hooks) protocol() int {
	if h.Protocol != 0 {
		return h.Protocol
	}
	return peerProtocol
}

const (
	defaultMaxValue      = 16 << 20
	defaultSnapshotCount = 8192
	defaultSnapshotBytes = 64 << 20
	defaultElection      = time.Second
	defaultStall         = 10 * time.Second

	maxKey = 64 << 10 // longest key in bytes

	// maxDepth is the most levels of a key. Each is a key of its own, so that one
	// operation may make maxDepth * maxKey / 2 bytes of keys, and of a listing.
	maxDepth = 256

	// maxMaxValue keeps an operation within maxChunks chunks.
	maxMaxValue = 512 << 20
)

// withDefaults returns the configuration with every field filled in.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Name == "":
		return c, errors.New("missing name of the node")
	case c.DataDir == "":
		return c, errors.New("missing data directory")
	case c.PeerAddr == "":
		return c, errors.New("missing peer address; 127.0.0.1:7001 is the usual one")
	case c.PeerTLS != nil && c.PeerTLS.files.CA == "":
		return c, errors.New("TLS on the peer port without a file of authorities to know the other nodes by")
	case c.MaxValue < 0 || c.MaxValue > maxMaxValue:
		return c, fmt.Errorf("largest value of %d bytes is not between 1 and %d", c.MaxValue, maxMaxValue)
	}
	setDefault(&c.MaxValue, defaultMaxValue)
	setDefault(&c.SnapshotCount, defaultSnapshotCount)
	setDefault(&c.SnapshotBytes, defaultSnapshotBytes)
	setDefault(&c.ElectionTimeout, defaultElection)
	setDefault(&c.Timeout, 5*time.Second+2*c.ElectionTimeout)
	setDefault(&c.StallTimeout, defaultStall)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Hooks.Listen == nil {
		c.Hooks.Listen = func(addr string) (net.Listener, error) { return Listen(context.Background(), addr) }
	}
	if c.Hooks.Dial == nil {
		c.Hooks.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	return c, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// raftConfig returns raft's configuration. The reasons are in the package comment.
func (c *Config) raftConfig(id string) *raft.Config {
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(id)
	r.HeartbeatTimeout = c.ElectionTimeout
	r.ElectionTimeout = c.ElectionTimeout
	r.LeaderLeaseTimeout = c.ElectionTimeout / 2
	r.MaxAppendEntries = 64                  // raft makes lists of that length for each entry
	r.CommitTimeout = 250 * time.Millisecond // followers are told by a nudge; see transport
	r.SnapshotInterval = 24 * time.Hour      // compactor decides; raft's own rule counts entries only
	r.SnapshotThreshold = 1 << 62
	r.TrailingLogs = c.minTrailing() // what is kept besides decides firstKept
	r.NoLegacyTelemetry = true
	// Raft must not stop by itself: it forgets what is on its way to the state machine.
	r.ShutdownOnRemove = false
	r.Logger = newHCLog(c.Log)
	return r
}
