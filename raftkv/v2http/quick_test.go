// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"strings"
	"testing"

	"confd/raftkv/tree"
)

// TestQuick: what may be answered while others wait is a get of a small file, or of a key that is
// not there, by who need not say who he is, and with a quorum if nobody is to be asked for it.
func TestQuick(t *testing.T) {
	h, node := newTestHandler(Options{})
	put(t, node, "/a", "x")
	put(t, node, "/small", strings.Repeat("x", maxQuick))
	put(t, node, "/large", strings.Repeat("x", maxQuick+1))
	put(t, node, "/dir/b", "x")
	query := ""
	get := func(path string) (*response, uint64) {
		before := h.node.Tree().Stats()
		resp := new(response)
		h.serve(t.Context(), &request{method: "GET", path: keysPath + path, query: query, quick: true}, resp)
		after := h.node.Tree().Stats()
		return resp, after.GetsSuccess + after.GetsFail - before.GetsSuccess - before.GetsFail
	}
	slow := func(when, path string) {
		t.Helper()
		if resp, counted := get(path); !resp.slow || len(resp.body) > 0 || counted != 0 {
			t.Errorf("%s: %s has %.300q, counted as %d gets", when, path, resp.body, counted)
		}
	}
	for path, want := range map[string]string{
		"/a":     `"value":"x"`,
		"/a/":    `"value":"x"`,
		"/dir/b": `"value":"x"`,
		"/small": `"value":"xxx`,
		"/none":  `"errorCode":100`,
	} {
		if resp, counted := get(path); resp.slow || !strings.Contains(string(resp.body), want) || counted != 1 {
			t.Errorf("%s: %.300q, slow: %v, counted as %d gets", path, resp.body, resp.slow, counted)
		}
	}
	for _, path := range []string{"/large", "/dir", "/", ""} {
		slow("a large answer", path)
	}
	node.unready = true
	slow("before the node is ready", "/a")
	query = quickQuery
	if resp, counted := get("/a"); resp.slow || resp.status != 200 || counted != 1 {
		t.Errorf("with a quorum: %.300q, slow: %v, counted as %d gets", resp.body, resp.slow, counted)
	}
	node.hang = true
	slow("a quorum that has to be asked", "/a")
	node.unready, node.hang = false, false
	enableAuth(t, h)
	slow("with authentication", "/a")
}

// A lateNode gets ready right after it has given a view.
type lateNode struct {
	*fakeNode
	t *testing.T
}

func (n *lateNode) View() *tree.View {
	v := n.fakeNode.View()
	if n.unready {
		put(n.t, n.fakeNode, "/a", "new")
		n.unready = false
	}
	return v
}

// TestQuickNotStale: what a node shows before it is ready is not taken for the newest.
func TestQuickNotStale(t *testing.T) {
	h, node := newTestHandler(Options{})
	put(t, node, "/a", "old")
	node.unready = true
	h.node = &lateNode{node, t}
	for range 2 {
		resp := new(response)
		h.serve(t.Context(), &request{method: "GET", path: keysPath + "/a", quick: true}, resp)
		if strings.Contains(string(resp.body), "old") {
			t.Errorf("got %q", resp.body)
		}
	}
}
