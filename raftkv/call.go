// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
)

// A call is a request of one node to another that is rare enough to be JSON.
type call struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Hops   int             `json:"hops,omitempty"` // how many nodes have passed it on to their leader
}

// The methods.
const (
	methodJoin         = "join"     // introduction → welcome; passed on to the leader
	methodAnnounce     = "announce" // introduction → welcome
	methodStatus       = "status"   // → NodeStatus
	methodAddMember    = "member.add"
	methodUpdateMember = "member.update"
	methodRemoveMember = "member.remove"
)

// A memberCall is the parameters of the member methods.
type memberCall struct {
	ID       string   `json:"id,omitempty"`
	PeerURLs []string `json:"peerURLs,omitempty"`
}

// callAt calls a node that is given by its id or its address.
func (n *Node) callAt(ctx context.Context, node, method string, params, result any) error {
	client := n.peers.client(node)
	if strings.Contains(node, ":") {
		client = newPeerClient(n.cfg.frameLimit(), func(ctx context.Context) (net.Conn, int, error) {
			c, r, err := n.dialNode(ctx, node, "", protoPeer)
			return c, n.spoken(r.Protocol), err
		})
		defer client.close()
	}
	b, err := json.Marshal(params)
	if err != nil {
		return err
	}
	return send(ctx, client, call{Method: method, Params: b}, result)
}

// callLeader calls the leader, which is another node.
func (n *Node) callLeader(ctx context.Context, c call, result any) error {
	to := n.route.Load()
	if to == nil || to.self || c.Hops > 0 {
		return notProposed(ErrNoLeader)
	}
	c.Hops++
	return send(ctx, n.peers.client(to.leader), c, result)
}

func send(ctx context.Context, client *peerClient, c call, result any) error {
	request, err := json.Marshal(c)
	if err != nil {
		return err
	}
	answer, err := client.call(ctx, kindCall, request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("the answer of another node cannot be read: %w", err)
	}
	return nil
}

// atLeader carries out a change that only the leader makes: here, or by asking it.
func (n *Node) atLeader(ctx context.Context, method string, params, result any, here func() error) error {
	if to := n.route.Load(); to != nil && to.self {
		return here()
	}
	b, err := json.Marshal(params)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout, ErrTimeout)
	defer cancel()
	return n.callLeader(ctx, call{Method: method, Params: b}, result)
}

// serveCall answers a call of another node.
func (n *Node) serveCall(ctx context.Context, from hello, payload []byte) ([]byte, error) {
	var c call
	if err := decode(payload, &c); err != nil {
		return nil, err
	}
	if from.Cluster == "" && c.Method != methodJoin {
		return nil, notProposed(errNoMember)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout, ErrTimeout)
	defer cancel()
	result, err := n.carryOut(ctx, c)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

func (n *Node) carryOut(ctx context.Context, c call) (any, error) {
	switch c.Method {
	case methodStatus:
		return n.Self(), nil
	case methodAnnounce:
		var in introduction
		if err := decode(c.Params, &in); err != nil {
			return nil, err
		}
		return n.announced(ctx, in)
	case methodJoin, methodAddMember, methodUpdateMember, methodRemoveMember:
	default:
		return nil, notProposed(fmt.Errorf("unknown request %q; this node may be of an older version", c.Method))
	}
	if to := n.route.Load(); to == nil || !to.self {
		var result json.RawMessage
		err := n.callLeader(ctx, c, &result)
		return result, err
	}
	if c.Method == methodJoin {
		var in introduction
		if err := decode(c.Params, &in); err != nil {
			return nil, err
		}
		return n.letIn(ctx, in)
	}
	var m memberCall
	if err := decode(c.Params, &m); err != nil {
		return nil, err
	}
	switch c.Method {
	case methodAddMember:
		return n.addMember(ctx, m.PeerURLs)
	case methodUpdateMember:
		return struct{}{}, n.updateMember(ctx, m.ID, m.PeerURLs)
	}
	return struct{}{}, n.removeMember(ctx, m.ID)
}
