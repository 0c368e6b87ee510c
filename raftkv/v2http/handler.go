// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"confd/raftkv"
	"confd/raftkv/auth"
	"confd/raftkv/tree"
)

// A Node is what the API is served over; *raftkv.Node is one. All methods may be called
// concurrently.
type Node interface {
	// Do carries out op and returns its event once this node has applied it. A refusal
	// is a *tree.Error; after any other error the outcome is unknown, unless it is
	// raftkv.ErrNotProposed. The node gives up by a deadline of its own. The memory of op is
	// used again when its event, which may refer to it, has been sent; after an error it is not.
	Do(ctx context.Context, op *tree.Op) (*tree.Event, error)

	// Start is Do for those who do not wait; see raftkv.Node.Start.
	Start(op *tree.Op, w raftkv.Waiter)

	// Tree returns the node's tree, for watches and statistics.
	Tree() *tree.Tree

	// View returns this node's own copy, which may be old. It does not block.
	View() *tree.View

	// Linearizable returns a view that holds every write acknowledged by any node
	// before the call. The node gives up by a deadline of its own.
	Linearizable(ctx context.Context) (*tree.View, error)

	// LinearizableNow is Linearizable as far as that need not wait, and reports whether so.
	LinearizableNow() (*tree.View, bool)

	// Ready returns a channel that is closed when View has everything that was
	// acknowledged before the node was started. Before that it is older.
	Ready() <-chan struct{}

	// Cluster asks all members how they are, until ctx ends. Followers returns what this
	// node, if it leads, knows of the others.
	Cluster(ctx context.Context) []raftkv.MemberStatus
	Followers() []raftkv.Follower

	// Roles returns what each member is, by its id: one of raftkv's roles.
	Roles() map[string]string

	// Status returns what the node knows about itself and its leader.
	Status() raftkv.Status

	// ClusterID returns the cluster's id in hex, empty before its first leader.
	ClusterID() string

	// Members returns the members that the node knows, sorted by id; the slice is shared.
	Members() []raftkv.Member

	// AddMember, UpdateMember and RemoveMember change the members. The refusals are
	// raftkv's ErrMemberNotFound, ErrMemberRemoved, ErrPeerURLExists, ErrLastMember,
	// ErrQuorum and ErrTooManyMembers.
	AddMember(ctx context.Context, peerURLs []string) (raftkv.Member, error)
	UpdateMember(ctx context.Context, id string, peerURLs []string) error
	RemoveMember(ctx context.Context, id string) error

	// ClusterConfig and SetClusterConfig read and change what all members agree on.
	ClusterConfig() raftkv.ClusterConfig
	SetClusterConfig(ctx context.Context, change func(*raftkv.ClusterConfig)) (raftkv.ClusterConfig, error)

	// Meta and SetMeta read and change the replicated metadata, where users and roles
	// are; the error of a value that is not prev any more is raftkv.ErrMetaChanged.
	Meta() *map[string][]byte
	SetMeta(ctx context.Context, key string, prev, value []byte) error

	// RaftIndex and RaftTerm return the index of the last log entry applied and the
	// term: what Status says, but cheaply.
	RaftIndex() uint64
	RaftTerm() uint64

	// Now returns the time of the store, Unix time in nanoseconds: what remaining times
	// to live are counted from.
	Now() int64

	// Backup writes the whole state to w.
	Backup(ctx context.Context, w io.Writer, opts raftkv.BackupOptions) (raftkv.BackupInfo, error)

	// WriteMetrics adds to page what the node counts and measures.
	WriteMetrics(page *raftkv.MetricsPage)
}

var _ Node = (*raftkv.Node)(nil)

// Options configure a Handler. The zero value is valid.
type Options struct {
	MaxValue int              // largest value in bytes; 0 is 16 MiB
	Now      func() time.Time // clock for the uptime in /v2/stats/self; nil is time.Now
	Log      *slog.Logger     // failures of the node; nil discards them
	Pprof    bool             // serve the profiles of the Go runtime under /debug/pprof
	Program  string           // what the program calls itself, for those who read a backup

	// RedirectWrites sends clients on to the leader, as etcd 0.4 did: a write, and a get with
	// consistent=true, is answered by 307 on a node that does not lead. Otherwise the node
	// asks the leader itself.
	RedirectWrites bool

	// CORS holds the origins whose pages may use the API from a browser, or "*" for all
	// of them; none by default, as in etcd 0.4 and 2.x. (3.4's default is "*".)
	CORS []string
}

const (
	defaultMaxValue = 16 << 20
	healthTimeout   = time.Second
)

// A Handler serves the client port. It is an http.Handler.
type Handler struct {
	node     Node
	maxValue int
	now      func() time.Time
	log      *slog.Logger
	auth     *auth.Auth
	cors     *cors // nil if no origin is allowed
	pprof    bool
	redirect bool
	program  string
	backups  chan struct{} // holds one for each backup under way

	exchanges sync.Pool // of *exchange
	writes    sync.Pool // of *begunWrite
	buffers   buffers
	meters    meters
	watches   watches
	senders   senders

	endOnce sync.Once
	ended   chan struct{} // closed by EndWatches
}

// New returns a handler that serves node.
func New(node Node, opts Options) *Handler {
	h := &Handler{
		node:     node,
		maxValue: opts.MaxValue,
		now:      opts.Now,
		log:      opts.Log,
		auth:     auth.New(auth.Config{Store: node, Changed: raftkv.ErrMetaChanged, Log: opts.Log}),
		cors:     newCORS(opts.CORS),
		pprof:    opts.Pprof,
		redirect: opts.RedirectWrites,
		program:  opts.Program,
		backups:  make(chan struct{}, maxBackups),
		ended:    make(chan struct{}),
	}
	if h.maxValue == 0 {
		h.maxValue = defaultMaxValue
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.watches.none.L = &h.watches.mu
	h.exchanges.New = func() any { return new(exchange) }
	h.writes.New = func() any { return &begunWrite{h: h} }
	h.senders.init(h)
	return h
}

// EndWatches ends all watches, and every later one at once: their clients see the body
// end, which for a watch means "ask again". Other requests go on. It may be called more
// than once. A server made by Server calls it on Shutdown, but does not wait for it:
// EndWatches returns when the ends have been sent, or after a second.
func (h *Handler) EndWatches() {
	h.endOnce.Do(func() { close(h.ended) })
	h.watches.end()
}
