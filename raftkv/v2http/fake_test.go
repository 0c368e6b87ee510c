// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"confd/raftkv"
	"confd/raftkv/auth"
	"confd/raftkv/tree"
)

// fakeNode is a node without a log: a tree and one writer under a lock.
type fakeNode struct {
	mu    sync.Mutex
	tree  *tree.Tree
	meta  atomic.Pointer[map[string][]byte]
	now   func() time.Time
	state raftkv.Status
	fail  error      // what Do and Linearizable return instead, if not nil
	hang  bool       // Do and Linearizable wait for their context to end
	lag   *tree.View // what View returns, if not nil

	unready bool // what Ready returns never receives

	started atomic.Int32 // calls of Start

	cluster   []raftkv.MemberStatus
	standbys  []string // ids
	followers []raftkv.Follower
	backup    func(context.Context) error // called in the middle of Backup, if not nil

	members []raftkv.Member // nil: this node alone
	config  raftkv.ClusterConfig
	changes []string // what was asked of the registry
}

// start is when the fake clock stands still.
var start = time.Date(2026, 1, 2, 3, 4, 5, 600000000, time.UTC)

func newFakeNode() *fakeNode {
	n := &fakeNode{
		tree: tree.New(),
		now:  func() time.Time { return start },
		state: raftkv.Status{
			Name: "one", ID: "80a61a318c14f133", ClusterID: "ee71785aaea52b0a",
			LeaderID: "80a61a318c14f133", LeaderName: "one", State: "leader",
			RaftIndex: 77, Term: 3,
			Started: start.Add(-time.Minute), LeaderSince: start.Add(-30 * time.Second),
			AppendsReceived: 5, AppendsSent: 6,
			PeerAddr: "127.0.0.1:7001", ClientURL: "http://127.0.0.1:4001",
		},
	}
	n.meta.Store(&map[string][]byte{})
	return n
}

func (n *fakeNode) Do(ctx context.Context, op *tree.Op) (*tree.Event, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if n.fail != nil {
		return nil, n.fail
	}
	// The tree keeps what it is given, and the caller may use its memory again.
	given := *op
	given.Key, given.Value = strings.Clone(op.Key), strings.Clone(op.Value)
	e, err := n.tree.Apply(&given, n.now().UnixNano())
	n.tree.Publish()
	return e, err
}

func (n *fakeNode) Start(op *tree.Op, w raftkv.Waiter) {
	n.started.Add(1)
	if !n.hang {
		w.Done(n.Do(context.Background(), op))
	}
}

// expire removes what is due by now.
func (n *fakeNode) expire() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.tree.Expire(n.now().UnixNano())
	n.tree.Publish()
	return c
}

func (n *fakeNode) Linearizable(ctx context.Context) (*tree.View, error) {
	if n.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return n.tree.View(), n.fail
}

func (n *fakeNode) LinearizableNow() (*tree.View, bool) {
	return n.tree.View(), !n.hang && n.fail == nil
}

func (n *fakeNode) View() *tree.View {
	if n.lag != nil {
		return n.lag
	}
	return n.tree.View()
}

func (n *fakeNode) Backup(ctx context.Context, w io.Writer, opts raftkv.BackupOptions) (raftkv.BackupInfo, error) {
	info := raftkv.BackupInfo{Program: opts.Program, Index: n.tree.View().Index()}
	if _, err := io.WriteString(w, strings.Repeat("backup", 10_000)); err != nil || n.backup == nil {
		return info, err
	}
	return info, n.backup(ctx)
}

func (n *fakeNode) Meta() *map[string][]byte { return n.meta.Load() }

func (n *fakeNode) SetMeta(_ context.Context, key string, prev, value []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return n.fail
	}
	old, found := (*n.meta.Load())[key]
	if found != (prev != nil) || !bytes.Equal(old, prev) {
		return raftkv.ErrMetaChanged
	}
	m := maps.Clone(*n.meta.Load())
	if m[key] = value; value == nil {
		delete(m, key)
	}
	n.meta.Store(&m)
	return nil
}

func (n *fakeNode) Ready() <-chan struct{} {
	if n.unready {
		return nil
	}
	return closed
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (n *fakeNode) Cluster(context.Context) []raftkv.MemberStatus { return n.cluster }
func (n *fakeNode) Followers() []raftkv.Follower                  { return n.followers }

// Roles has the members follow the leader, but for those in standbys.
func (n *fakeNode) Roles() map[string]string {
	roles := make(map[string]string)
	for _, m := range n.Members() {
		switch {
		case m.ID == n.state.LeaderID:
			roles[m.ID] = raftkv.RoleLeader
		case slices.Contains(n.standbys, m.ID):
			roles[m.ID] = raftkv.RoleStandby
		case m.Started():
			roles[m.ID] = raftkv.RoleFollower
		}
	}
	return roles
}

func (n *fakeNode) Tree() *tree.Tree      { return n.tree }
func (n *fakeNode) ClusterID() string     { return n.state.ClusterID }
func (n *fakeNode) RaftIndex() uint64     { return n.state.RaftIndex }
func (n *fakeNode) RaftTerm() uint64      { return n.state.Term }
func (n *fakeNode) Now() int64            { return n.now().UnixNano() }
func (n *fakeNode) Status() raftkv.Status { return n.state }

func (n *fakeNode) WriteMetrics(p *raftkv.MetricsPage) {
	p.Gauge("confd_fake", "What a node writes.", 1)
}

func (n *fakeNode) Members() []raftkv.Member {
	if n.members != nil {
		return n.members
	}
	return []raftkv.Member{{
		ID: n.state.ID, Name: n.state.Name,
		PeerURLs: []string{"http://" + n.state.PeerAddr}, ClientURLs: []string{n.state.ClientURL},
	}}
}

func (n *fakeNode) AddMember(_ context.Context, urls []string) (raftkv.Member, error) {
	n.changes = append(n.changes, fmt.Sprint("add ", urls))
	return raftkv.Member{ID: "abc", PeerURLs: urls}, n.fail
}

func (n *fakeNode) UpdateMember(_ context.Context, id string, urls []string) error {
	n.changes = append(n.changes, fmt.Sprint("update ", id, " ", urls))
	return n.fail
}

func (n *fakeNode) RemoveMember(_ context.Context, id string) error {
	n.changes = append(n.changes, "remove "+id)
	return n.fail
}

func (n *fakeNode) ClusterConfig() raftkv.ClusterConfig { return n.config }

func (n *fakeNode) SetClusterConfig(_ context.Context, change func(*raftkv.ClusterConfig)) (raftkv.ClusterConfig, error) {
	if n.fail != nil {
		return raftkv.ClusterConfig{}, n.fail
	}
	change(&n.config)
	return n.config, nil
}

// do sends a request to h without a connection. A body makes it a form.
func do(t testing.TB, h http.Handler, method, target, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", formType)
	}
	w := record(t, h, r)
	return w.Result()
}

// bodyOf returns the body as a string.
func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	resp.Body.Close()
	return string(b)
}

// newTestHandler returns a handler over a fresh fake node, with the fake's clock.
func newTestHandler(opts Options) (*Handler, *fakeNode) {
	n := newFakeNode()
	opts.Now = func() time.Time { return n.now() }
	h := New(n, opts)
	h.auth = auth.New(auth.Config{Store: n, Changed: raftkv.ErrMetaChanged, Cost: 4})
	return h, n
}
