// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"sync"

	"github.com/hashicorp/raft"
)

// peers are the other nodes as this one reaches them. Raft's configuration has addresses
// too, but they are those of the day a node joined; here is what the nodes say themselves
// and what the registry says, kept in the file "peers", so that a cluster whose nodes have
// all changed their addresses can still elect a leader.
type peers struct {
	node *Node

	mu      sync.Mutex
	known   map[string]*knownPeer  // :: id
	clients map[string]*peerClient // :: id
	names   map[string]string      // :: id → what a node of the cluster has called itself
	saved   map[string]string      // what the file holds
	closed  bool
}

// A knownPeer is what a node has said about where it is.
type knownPeer struct {
	addr     string // host:port
	registry string // what the registry said then; when that changes, it is newer
	compared bool   // registry is set
	heard    bool   // in this run, not read from the file
}

func newPeers(n *Node) *peers {
	return &peers{node: n, known: make(map[string]*knownPeer), clients: make(map[string]*peerClient), names: make(map[string]string)}
}

// load reads the file, which need not exist. A damaged one is nothing but a loss of hints.
func (p *peers) load() {
	b, err := os.ReadFile(p.node.dir.peers())
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(b, &p.saved)
	}
	if err != nil {
		p.node.log.Warn("the addresses of other nodes could not be read; those in the log are used", "err", err)
	}
	for id, addr := range p.saved {
		p.known[id] = &knownPeer{addr: addr}
	}
}

// save writes the file if it would change.
func (p *peers) save() {
	all := make(map[string]string)
	for _, id := range p.ids() {
		if addr, err := p.addr(id); err == nil {
			all[id] = addr
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if maps.Equal(all, p.saved) {
		return
	}
	b, err := json.Marshal(all)
	if err == nil {
		err = writeFile(p.node.dir.peers(), b)
	}
	if err != nil {
		p.node.log.Warn("saving the addresses of other nodes", "err", err)
		return
	}
	p.saved = all
}

// ids returns the nodes that this one knows of, without itself.
func (p *peers) ids() []string {
	ids := make(map[string]bool)
	for _, m := range p.node.Members() {
		ids[m.ID] = m.Started()
	}
	p.mu.Lock()
	for id := range p.known {
		ids[id] = true
	}
	p.mu.Unlock()
	var list []string
	for id, started := range ids {
		if started && id != p.node.dir.id && !p.node.isRemoved(id) {
			list = append(list, id)
		}
	}
	return list
}

// announced keeps what a node has said about its address.
func (p *peers) announced(id, addr string) {
	if id == p.node.dir.id || addr == "" {
		return
	}
	registry := p.node.registryAddr(id)
	p.mu.Lock()
	if len(p.known) < 2*maxMembers || p.known[id] != nil {
		p.known[id] = &knownPeer{addr, registry, true, true}
	}
	p.mu.Unlock()
	p.save()
}

// named keeps the name of a node of the cluster: after a restart the registry is not there
// at once.
func (p *peers) named(id, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.names) < 2*maxMembers || p.names[id] != "" {
		p.names[id] = name
	}
}

// name returns the name of a node, empty if it is not known.
func (p *peers) name(id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.names[id]
}

// rumoured keeps what somebody else has said about a node's address, unless the node has
// said so itself.
func (p *peers) rumoured(addrs map[string]string) {
	for id, addr := range addrs {
		p.mu.Lock()
		k := p.known[id]
		if id != p.node.dir.id && (k == nil && len(p.known) < 2*maxMembers || k != nil && !k.heard) {
			p.known[id] = &knownPeer{addr: addr}
		}
		p.mu.Unlock()
	}
	p.save()
}

// addr returns host and port of a node's peer port.
func (p *peers) addr(id string) (string, error) {
	registry := p.node.registryAddr(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.known[id]
	switch {
	case k == nil:
	case !k.compared:
		k.registry, k.compared = registry, true
		return k.addr, nil
	case k.registry == registry || registry == "":
		return k.addr, nil
	}
	if registry == "" {
		return "", fmt.Errorf("the address of node %s is not known", id)
	}
	return registry, nil
}

// addrs returns all addresses that are known, this node's own with them.
func (p *peers) addrs() map[string]string {
	all := map[string]string{p.node.dir.id: string(p.node.transport.LocalAddr())}
	for _, id := range p.ids() {
		if addr, err := p.addr(id); err == nil {
			all[id] = addr
		}
	}
	return all
}

// heard returns what the nodes themselves have said, and this node's own address.
func (p *peers) heard() map[string]string {
	all := map[string]string{p.node.dir.id: string(p.node.transport.LocalAddr())}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, k := range p.known {
		if k.heard {
			all[id] = k.addr
		}
	}
	return all
}

// ServerAddr returns where raft's transport is to dial: the id, "@" and the address; see
// raftStream.
func (p *peers) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	if string(id) == p.node.dir.id {
		return p.node.transport.LocalAddr(), nil
	}
	addr, err := p.addr(string(id))
	return raft.ServerAddress(string(id) + "@" + addr), err
}

// client returns what reaches a node.
func (p *peers) client(id string) *peerClient {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.clients[id]
	if c == nil {
		c = newPeerClient(p.node.cfg.frameLimit(), func(ctx context.Context) (net.Conn, int, error) {
			addr, err := p.addr(id)
			if err != nil {
				return nil, 0, err
			}
			conn, r, err := p.node.dialNode(ctx, addr, id, protoPeer)
			return conn, p.node.spoken(r.Protocol), err
		})
		c.lost = p.node.pulse.wakeUp
		c.noted = func(note []byte) { p.node.transport.noted(id, note) }
		c.closed = p.closed
		p.clients[id] = c
	}
	return c
}

// close ends all connections that this node has made.
func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	clients := p.clients
	p.clients = make(map[string]*peerClient)
	p.mu.Unlock()
	for _, c := range clients {
		c.close()
	}
}

// registryAddr returns the address of a member's peer port as the registry has it, empty
// if it has none.
func (n *Node) registryAddr(id string) string {
	for _, m := range n.Members() {
		if m.ID == id && len(m.PeerURLs) > 0 {
			return hostOf(m.PeerURLs[0])
		}
	}
	return ""
}

// hostOf returns host and port of a URL, or of what is host and port already.
func hostOf(addr string) string {
	if u, err := url.Parse(addr); err == nil && u.Host != "" {
		return u.Host
	}
	return addr
}
