// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/hashicorp/raft"
)

// A connection between nodes begins with its first byte, the hello of the node that has
// dialled, and the answer. So what comes from elsewhere, or is meant for a node that was
// here before, never reaches raft. Each of the two is a length of four bytes, little
// endian, and JSON; fields that one side does not know are ignored.

// peerProtocol is the version of what nodes say to each other. Nodes of neighbouring
// versions speak the lower of their two.
const (
	peerProtocol    = 2 // with it came commit notes
	minPeerProtocol = 1
)

// spoken returns the version of the protocol that this node and one of version theirs both speak.
func (n *Node) spoken(theirs int) int { return min(theirs, n.cfg.Hooks.protocol()) }

// maxHello is the longest hello in bytes.
const maxHello = 4096

// A hello is what the dialling node says about itself.
type hello struct {
	Protocol int    `json:"protocol"`          // highest version that it speaks
	Cluster  string `json:"cluster,omitempty"` // empty: it has none yet
	ID       string `json:"id"`
	Name     string `json:"name"`
	To       string `json:"to,omitempty"` // the node that is meant; empty: whoever is there
	Version  string `json:"version,omitempty"`
}

// A helloReply is the answer.
type helloReply struct {
	Protocol int    `json:"protocol"` // highest version that this side speaks
	Cluster  string `json:"cluster,omitempty"`
	ID       string `json:"id"`
	Name     string `json:"name"`
	Version  string `json:"version,omitempty"`
	Refused  string `json:"refused,omitempty"` // one of the reasons below; empty: welcome
}

// Why a hello is refused.
const (
	refusedProtocol = "protocol"   // no version in common
	refusedCluster  = "cluster"    // of another cluster
	refusedNode     = "node"       // another node than the one that is meant
	refusedRemoved  = "removed"    // was removed from the cluster, and the others go on without it
	refusedNoMember = "not-member" // this node is not part of a cluster yet
)

// Errors of a refusal.
var (
	// ErrOtherCluster means that a node belongs to another cluster.
	ErrOtherCluster = errors.New("belongs to another cluster")

	// ErrRemoved means that this node was removed from its cluster.
	ErrRemoved = errors.New("this node was removed from the cluster; to have it join again, stop it and delete its data directory")

	errHTTP      = errors.New("a server of HTTP is there, as on the client port of a node; name the peer port, 7001 as a rule, and not 4001")
	errOtherNode = errors.New("another node has the address")
	errNoMember  = errors.New("not part of a cluster yet")
)

// refusal returns the error of a refusal, nil if there is none. from is the node that
// dialled.
func (r *helloReply) refusal(from hello) error {
	switch r.Refused {
	case "":
		return nil
	case refusedProtocol:
		return fmt.Errorf("node %s speaks version %d of the peer protocol, this one %d to %d", r.ID, r.Protocol, minPeerProtocol, from.Protocol)
	case refusedCluster:
		return fmt.Errorf("node %s (%s) %w: %s, not %s", r.ID, r.Name, ErrOtherCluster, r.Cluster, from.Cluster)
	case refusedNode:
		return fmt.Errorf("%w: %s (%s), not %s", errOtherNode, r.ID, r.Name, from.To)
	case refusedRemoved:
		return ErrRemoved
	case refusedNoMember:
		return fmt.Errorf("node %s (%s) is %w", r.ID, r.Name, errNoMember)
	}
	return fmt.Errorf("node %s (%s) refuses the connection: %s", r.ID, r.Name, r.Refused)
}

// turnedAway reports whether the other node has answered a hello and does not want the
// connection.
func turnedAway(err error) bool {
	return slices.ContainsFunc([]error{ErrOtherCluster, ErrRemoved, errOtherNode, errNoMember}, func(e error) bool { return errors.Is(err, e) })
}

// greet answers a hello for a connection of that kind.
func (n *Node) greet(proto byte, h hello) helloReply {
	cluster := n.ClusterID()
	r := helloReply{
		Protocol: n.cfg.Hooks.protocol(), Cluster: cluster, ID: n.dir.id, Name: n.cfg.Name, Version: n.cfg.Version,
	}
	switch {
	case h.Protocol < minPeerProtocol:
		r.Refused = refusedProtocol
	case h.To != "" && h.To != n.dir.id:
		r.Refused = refusedNode
	case cluster == "" && (proto == protoRaft || h.Cluster == ""):
		// Both may wait to be let in; neither can help the other.
		r.Refused = refusedNoMember
	case cluster != "" && h.Cluster != cluster && (proto == protoRaft || h.Cluster != ""):
		r.Refused = refusedCluster
	case n.isRemoved(h.ID) && !n.counted(h.ID):
		r.Refused = refusedRemoved
	case h.Cluster != "":
		n.peers.named(h.ID, h.Name)
	}
	return r
}

// hello returns what this node says when it dials the node with the id to.
func (n *Node) hello(to string) hello {
	return hello{Protocol: n.cfg.Hooks.protocol(), Cluster: n.ClusterID(), ID: n.dir.id, Name: n.cfg.Name, To: to, Version: n.cfg.Version}
}

// helloEnd ends the JSON of a hello, which may have white space behind it. It has a server
// of HTTP answer at once, that what it got is no request.
const helloEnd = "\r\n\r\n"

// sayHello makes the dialling side's part, and returns the answer of a node that
// welcomes it. The caller has set a deadline.
func sayHello(c net.Conn, proto byte, h hello) (helloReply, error) {
	var r helloReply
	b, err := json.Marshal(h)
	if err == nil {
		err = writeSized(c, []byte{proto}, append(b, helloEnd...))
	}
	if err != nil {
		return r, err
	}
	if err := readJSON(c, &r); err != nil {
		return r, fmt.Errorf("waiting for an answer of the peer port: %w", err)
	}
	if r.Refused == "" && r.Protocol < minPeerProtocol {
		r.Refused = refusedProtocol
	}
	return r, r.refusal(h)
}

// answerHello makes the other side's part. It reports whether the dialling side is
// welcome.
func answerHello(c net.Conn, greet func(hello) helloReply) (hello, bool, error) {
	var h hello
	if err := readJSON(c, &h); err != nil {
		return h, false, err
	}
	r := greet(h)
	return h, r.Refused == "", writeJSON(c, nil, r)
}

func writeJSON(w io.Writer, before []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeSized(w, before, b)
}

// writeSized writes b with its length in front, and that behind what comes before.
func writeSized(w io.Writer, before, b []byte) error {
	out := append(before, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[len(before):], uint32(len(b)))
	_, err := w.Write(append(out, b...))
	return err
}

func readJSON(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if string(head[:]) == "HTTP" {
		return errHTTP
	}
	if n > maxHello {
		return errors.New("what is there is no node of this store; an etcd speaks another protocol")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// counted reports whether raft still has the node in its configuration: until the others go
// on without it, they may need it.
func (n *Node) counted(id string) bool {
	if !n.running.Load() {
		return false
	}
	servers, err := n.servers()
	return err == nil && slices.ContainsFunc(servers, func(s raft.Server) bool { return string(s.ID) == id })
}
