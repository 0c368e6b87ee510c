// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// The registry says who belongs to the cluster. It is replicated metadata, and apart from
// raft's configuration, which says who votes: a member that was added and has not started
// is in the registry only. It has no vote, so the quorum is what it was.
//
//	member/ID   a memberRecord
//	removed/ID  what the record was; the id has left for good, whatever member/ID says
//
// So to remove is one write. The leader alone changes the registry, one change after the
// other, hence what a change has checked still holds when it is written.
const (
	memberPrefix  = "member/"
	removedPrefix = "removed/"
)

// Errors of changes to the registry, to be tested with errors.Is.
var (
	// ErrMemberNotFound means that there never was a member of that id.
	ErrMemberNotFound = errors.New("no such member")

	// ErrMemberRemoved means that the member of that id has been removed.
	ErrMemberRemoved = errors.New("member was removed for good")

	// ErrPeerURLExists means that another member has one of the peer URLs.
	ErrPeerURLExists = errors.New("peer URL belongs to another member")

	// ErrLastMember means that without this member no started one would be left.
	ErrLastMember = errors.New("the only member that has started cannot be removed; to give the cluster up, stop it and delete its data directory")
)

// A Member is a node of the cluster as the registry has it.
type Member struct {
	ID         string // a 64-bit number in hex
	Name       string // empty until it has started
	PeerURLs   []string
	ClientURLs []string // empty until it has started
}

// Started reports whether the member has ever been part of the cluster, not just added.
func (m Member) Started() bool { return m.Name != "" }

// memberRecord is the JSON of a member's record.
type memberRecord struct {
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
}

func (m Member) record() []byte {
	b, err := json.Marshal(memberRecord{m.Name, m.PeerURLs, m.ClientURLs})
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return b
}

// registry is the node's part in the registry.
type registry struct {
	cache atomic.Pointer[memberList]

	// mu is held from the check of a change to its end.
	mu sync.Mutex
}

// A memberList is what was read from one state of the metadata.
type memberList struct {
	meta    *map[string][]byte
	members []Member
}

// Members returns the members that this node knows, sorted by id. The slice is shared and
// must not be changed. It costs a comparison unless the metadata has changed.
func (n *Node) Members() []Member {
	meta := n.Meta()
	if l := n.registry.cache.Load(); l != nil && l.meta == meta {
		return l.members
	}
	l := &memberList{meta: meta}
	for key, value := range *meta {
		id, ok := strings.CutPrefix(key, memberPrefix)
		if !ok || (*meta)[removedPrefix+id] != nil {
			continue
		}
		var r memberRecord
		if err := json.Unmarshal(value, &r); err != nil {
			n.log.Error("reading the record of a member", "id", id, "err", err)
		}
		l.members = append(l.members, Member{id, r.Name, r.PeerURLs, r.ClientURLs})
	}
	slices.SortFunc(l.members, func(a, b Member) int {
		// The ids are numbers without leading zeros.
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), strings.Compare(a.ID, b.ID))
	})
	n.registry.cache.Store(l)
	return l.members
}

// AddMember registers a member that is to start later, under a new id. It does not vote
// and counts for nothing until it has joined.
func (n *Node) AddMember(ctx context.Context, peerURLs []string) (Member, error) {
	urls, err := ParsePeerURLs(peerURLs)
	if err != nil {
		return Member{}, notProposed(err)
	}
	n.registry.mu.Lock()
	defer n.registry.mu.Unlock()
	if err := n.checkChange("", urls); err != nil {
		return Member{}, notProposed(err)
	}
	m := Member{ID: randomID(), PeerURLs: urls, ClientURLs: []string{}}
	return m, n.SetMeta(ctx, memberPrefix+m.ID, nil, m.record())
}

// UpdateMember replaces the peer URLs of a member. The record of a member that runs is
// written anew when it leads again, from its own configuration.
func (n *Node) UpdateMember(ctx context.Context, id string, peerURLs []string) error {
	urls, err := ParsePeerURLs(peerURLs)
	if err != nil {
		return notProposed(err)
	}
	n.registry.mu.Lock()
	defer n.registry.mu.Unlock()
	m, err := n.findMember(id)
	if err == nil {
		err = n.checkChange(id, urls)
	}
	if err != nil {
		return notProposed(err)
	}
	prev := (*n.Meta())[memberPrefix+id]
	m.PeerURLs = urls
	return n.SetMeta(ctx, memberPrefix+id, prev, m.record())
}

// RemoveMember takes a member out for good: its id never comes back.
func (n *Node) RemoveMember(ctx context.Context, id string) error {
	n.registry.mu.Lock()
	defer n.registry.mu.Unlock()
	m, err := n.findMember(id)
	if err == nil {
		err = n.checkChange(id, nil)
	}
	if err != nil {
		return notProposed(err)
	}
	others := func(o Member) bool { return o.ID != id && o.Started() }
	if m.Started() && !slices.ContainsFunc(n.Members(), others) {
		return notProposed(ErrLastMember)
	}
	return n.SetMeta(ctx, removedPrefix+id, nil, m.record())
}

// findMember returns the member of that id, as Members shows it.
func (n *Node) findMember(id string) (Member, error) {
	if (*n.Meta())[removedPrefix+id] != nil {
		return Member{}, ErrMemberRemoved
	}
	for _, m := range n.Members() {
		if m.ID == id {
			return m, nil
		}
	}
	return Member{}, ErrMemberNotFound
}

// checkChange returns an error unless this node may change the registry, and nobody but
// the member of that id has one of the URLs. It is called with registry.mu held.
func (n *Node) checkChange(id string, urls []string) error {
	if n.lead.Load() == nil {
		return ErrNoLeader
	}
	for _, m := range n.Members() {
		if m.ID == id {
			continue
		}
		for _, u := range urls {
			if slices.Contains(m.PeerURLs, u) {
				return fmt.Errorf("%w: %q", ErrPeerURLExists, u)
			}
		}
	}
	return nil
}

// register writes this node's own record, unless it is there.
func (n *Node) register() error {
	own := Member{n.dir.id, n.cfg.Name, []string{n.peerURL()}, []string{}}
	if n.cfg.ClientURL != "" {
		own.ClientURLs = append(own.ClientURLs, n.cfg.ClientURL)
	}
	return n.putMeta(memberPrefix+own.ID, func(prev []byte) []byte {
		if record := own.record(); !bytes.Equal(prev, record) {
			return record
		}
		return nil
	})
}

// putMeta sets a metadata key to what next makes of its value, nil to leave it, until
// nobody interferes.
func (n *Node) putMeta(key string, next func(prev []byte) []byte) error {
	for {
		prev := (*n.Meta())[key]
		value := next(prev)
		if value == nil {
			return nil
		}
		if err := n.SetMeta(n.ctx, key, prev, value); !errors.Is(err, ErrMetaChanged) {
			return err
		}
	}
}

// peerURL returns the URL of the peer port that other nodes are told.
func (n *Node) peerURL() string {
	if n.cfg.PeerTLS != nil {
		return "https://" + string(n.transport.LocalAddr())
	}
	return "http://" + string(n.transport.LocalAddr())
}

// ParsePeerURLs checks the peer URLs of a member and returns them in their normal form,
// sorted: at least one, with a scheme, a host and a port, and without a path. The errors
// are in etcd's words, which its clients show.
func ParsePeerURLs(texts []string) ([]string, error) {
	if len(texts) == 0 {
		return nil, errors.New("no valid URLs given")
	}
	urls := make([]string, 0, len(texts))
	for _, text := range texts {
		text = strings.TrimSpace(text)
		u, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains([]string{"http", "https", "unix", "unixs"}, u.Scheme) {
			return nil, fmt.Errorf("URL scheme must be http, https, unix, or unixs: %s", text)
		}
		if _, _, err := net.SplitHostPort(u.Host); err != nil {
			return nil, fmt.Errorf("URL address does not have the form \"host:port\": %s", text)
		}
		if u.Path != "" {
			return nil, fmt.Errorf("URL must not contain a path: %s", text)
		}
		urls = append(urls, u.String())
	}
	slices.Sort(urls)
	return urls, nil
}
