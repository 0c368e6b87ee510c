// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"runtime"
	"strings"
	"time"

	"confd/raftkv"
)

// selfStats is the body of /v2/stats/self.
type selfStats struct {
	Name       string     `json:"name"`
	ID         string     `json:"id"`
	State      string     `json:"state"`
	StartTime  time.Time  `json:"startTime"`
	LeaderInfo leaderInfo `json:"leaderInfo"`

	RecvAppendRequestCnt uint64 `json:"recvAppendRequestCnt"`
	SendAppendRequestCnt uint64 `json:"sendAppendRequestCnt"`
}

type leaderInfo struct {
	Leader    string    `json:"leader"`
	Uptime    string    `json:"uptime"`
	StartTime time.Time `json:"startTime"`
}

func (h *Handler) serveSelfStats(_ context.Context, _ *request, resp *response) {
	st := h.node.Status()
	resp.answer(selfStats{
		Name:      st.Name,
		ID:        st.ID,
		State:     stateName(st),
		StartTime: st.Started.UTC(),
		LeaderInfo: leaderInfo{
			Leader:    st.LeaderID,
			Uptime:    h.since(st.LeaderSince).String(),
			StartTime: st.LeaderSince.UTC(),
		},
		RecvAppendRequestCnt: st.AppendsReceived,
		SendAppendRequestCnt: st.AppendsSent,
	})
}

// serveLeaderStats answers on the leader only.
func (h *Handler) serveLeaderStats(_ context.Context, _ *request, resp *response) {
	st := h.node.Status()
	if st.LeaderID != st.ID {
		resp.message(403, "not current leader")
		return
	}
	followers := make(map[string]followerStats)
	for _, f := range h.node.Followers() {
		var s followerStats
		s.Latency.Current, s.Latency.Average, s.Latency.Deviation = f.LatencyCurrent, f.LatencyAverage, f.LatencyDeviation
		s.Latency.Minimum, s.Latency.Maximum = f.LatencyMin, f.LatencyMax
		s.Counts.Success, s.Counts.Fail = f.Successes, f.Fails
		followers[f.ID] = s
	}
	resp.answer(struct {
		Leader    string                   `json:"leader"`
		Followers map[string]followerStats `json:"followers"`
	}{st.LeaderID, followers})
}

// followerStats is a follower in /v2/stats/leader; times are in milliseconds.
type followerStats struct {
	Latency struct {
		Current   float64 `json:"current"`
		Average   float64 `json:"average"`
		Deviation float64 `json:"standardDeviation"`
		Minimum   float64 `json:"minimum"`
		Maximum   float64 `json:"maximum"`
	} `json:"latency"`
	Counts struct {
		Fail    uint64 `json:"fail"`
		Success uint64 `json:"success"`
	} `json:"counts"`
}

// memberStats is a member in /v2/stats/cluster, which is this project's own: how it is, as
// it says itself, and what the node that was asked knows of it.
type memberStats struct {
	member
	Version string `json:"version"`
	Role    string `json:"role"` // leader, follower, standby, or empty if it has not started

	Answers bool   `json:"answers"`
	Error   string `json:"error,omitempty"`

	Leader  string `json:"leader,omitempty"` // whom it follows
	Term    uint64 `json:"term,omitempty"`
	Applied uint64 `json:"appliedIndex,omitempty"` // of the log
	Index   uint64 `json:"etcdIndex,omitempty"`
	Ready   bool   `json:"ready"`
	Behind  uint64 `json:"behind"` // log entries that the leader has applied and it has not

	// Contact is the seconds since the leader heard of it; absent unless the leader was
	// asked, and on the leader itself.
	Contact *float64 `json:"lastContact,omitempty"`
}

// serveClusterStats asks all members how they are.
func (h *Handler) serveClusterStats(ctx context.Context, _ *request, resp *response) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	members := []memberStats{}
	for _, m := range h.node.Cluster(ctx) {
		s := memberStats{member: memberOf(m.Member), Version: m.Version, Role: m.Role, Answers: m.Node != nil, Behind: m.Behind}
		if m.Node != nil {
			s.Version, s.Leader, s.Term = m.Node.Version, m.Node.Leader, m.Node.Term
			s.Applied, s.Index, s.Ready = m.Node.Applied, m.Node.Index, m.Node.Ready
		}
		if m.Err != nil {
			s.Error = m.Err.Error()
		}
		if !m.Heard.IsZero() {
			contact := h.now().Sub(m.Heard).Seconds()
			s.Contact = &contact
		}
		members = append(members, s)
	}
	resp.clusterID = h.node.ClusterID()
	resp.answer(struct {
		Cluster string        `json:"cluster"`
		Self    string        `json:"self"`
		Leader  string        `json:"leader"`
		Members []memberStats `json:"members"`
	}{h.node.ClusterID(), h.node.Status().ID, h.node.Status().LeaderID, members})
	resp.body = append(resp.body, '\n')
}

func (h *Handler) serveStoreStats(_ context.Context, _ *request, resp *response) {
	resp.answer(h.node.Tree().Stats())
}

// serveVars answers /debug/vars: what the Go runtime and the node count.
func (h *Handler) serveVars(_ context.Context, _ *request, resp *response) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	st := h.node.Status()
	view := h.node.View()
	type raftStatus struct {
		ID        string `json:"id"`
		Term      uint64 `json:"term"`
		Applied   uint64 `json:"applied"`
		RaftState string `json:"raftState"`
		Lead      string `json:"lead"`
	}
	type treeStatus struct {
		Index uint64 `json:"index"`
		Keys  int    `json:"keys"`
	}
	resp.answer(struct {
		Goroutines int              `json:"goroutines"`
		MemStats   runtime.MemStats `json:"memstats"`
		Raft       raftStatus       `json:"raft.status"`
		Tree       treeStatus       `json:"tree"`
	}{
		Goroutines: runtime.NumGoroutine(),
		MemStats:   mem,
		Raft:       raftStatus{st.ID, st.Term, st.RaftIndex, stateName(st), st.LeaderID},
		Tree:       treeStatus{view.Index(), view.Len()},
	})
	resp.body = append(resp.body, '\n')
}

// stateName returns the node's state as etcd writes it.
func stateName(st raftkv.Status) string {
	if st.State == "" {
		return ""
	}
	return "State" + strings.ToUpper(st.State[:1]) + st.State[1:]
}
