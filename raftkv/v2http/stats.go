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
	resp.answer(struct {
		Leader    string              `json:"leader"`
		Followers map[string]struct{} `json:"followers"`
	}{st.LeaderID, map[string]struct{}{}})
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
