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
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// The registry says who belongs to the cluster. It is replicated metadata, and apart from
// raft's configuration, which says who votes: a member that was added and has not started
// is in the registry only. It has no vote, so the quorum is what it was.
//
//	member/ID   a memberRecord
//	removed/ID  what the record was; the id has left for good, whatever member/ID says
//
// So to remove is one write; reconcile makes raft's configuration follow. The leader alone
// changes the registry, one change after the other and within one term, hence what a
// change has checked still holds when it is written.
const (
	memberPrefix  = "member/"
	removedPrefix = "removed/"
)

// Errors of changes to the registry, to be tested with errors.Is.
var (
	// ErrQuorum means that without the member the others could not go on: too few of
	// them answer.
	ErrQuorum = errors.New("without this member too few would be left that answer")

	// ErrTooManyMembers means that the cluster takes no more members.
	ErrTooManyMembers = errors.New("the cluster has as many members as it takes")

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
	Version    string   // of the program, as the node said last
}

// Started reports whether the member has ever been part of the cluster, not just added.
func (m Member) Started() bool { return m.Name != "" }

// memberRecord is the JSON of a member's record.
type memberRecord struct {
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Version    string   `json:"version,omitempty"`
	Entries    int      `json:"entries,omitempty"` // highest version of a log entry that it can read
}

func (r memberRecord) bytes() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return b
}

// registry is the node's part in the registry.
type registry struct {
	cache atomic.Pointer[memberList]

	// turn is taken, on the leader, from the check of a change to its end.
	turn turn
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
		l.members = append(l.members, Member{id, r.Name, r.PeerURLs, r.ClientURLs, r.Version})
	}
	slices.SortFunc(l.members, func(a, b Member) int { return compareIDs(a.ID, b.ID) })
	n.registry.cache.Store(l)
	return l.members
}

// compareIDs orders ids as the numbers they are, which have no leading zeros.
func compareIDs(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// AddMember registers a member that is to start later, under a new id. It does not vote
// and counts for nothing until it has joined. Any node may be asked, here and below.
func (n *Node) AddMember(ctx context.Context, peerURLs []string) (Member, error) {
	var m Member
	err := n.atLeader(ctx, methodAddMember, memberCall{PeerURLs: peerURLs}, &m, func() (err error) {
		m, err = n.addMember(ctx, peerURLs)
		return err
	})
	return m, err
}

func (n *Node) addMember(ctx context.Context, peerURLs []string) (Member, error) {
	urls, err := ParsePeerURLs(peerURLs)
	if err != nil {
		return Member{}, notProposed(err)
	}
	if err := n.registry.turn.take(ctx); err != nil {
		return Member{}, notProposed(err)
	}
	defer n.registry.turn.give()
	term, err := n.checkChange("", urls)
	if err == nil && len(n.Members()) >= maxMembers {
		err = fmt.Errorf("%w: %d", ErrTooManyMembers, maxMembers)
	}
	if err != nil {
		return Member{}, notProposed(err)
	}
	m := Member{ID: randomID(), PeerURLs: urls, ClientURLs: []string{}}
	return m, n.writeRecord(ctx, m.ID, memberRecord{PeerURLs: urls, ClientURLs: m.ClientURLs}, term)
}

// UpdateMember replaces the peer URLs of a member. A member that runs and has another
// address says so itself, and its word is the last.
func (n *Node) UpdateMember(ctx context.Context, id string, peerURLs []string) error {
	return n.atLeader(ctx, methodUpdateMember, memberCall{id, peerURLs}, new(struct{}), func() error {
		return n.updateMember(ctx, id, peerURLs)
	})
}

func (n *Node) updateMember(ctx context.Context, id string, peerURLs []string) error {
	urls, err := ParsePeerURLs(peerURLs)
	if err != nil {
		return notProposed(err)
	}
	if err := n.registry.turn.take(ctx); err != nil {
		return notProposed(err)
	}
	defer n.registry.turn.give()
	term := uint64(0)
	if _, err = n.findMember(id); err == nil {
		term, err = n.checkChange(id, urls)
	}
	if err != nil {
		return notProposed(err)
	}
	var r memberRecord
	if err := json.Unmarshal((*n.Meta())[memberPrefix+id], &r); err != nil {
		return notProposed(fmt.Errorf("reading the record of member %s: %w", id, err))
	}
	r.PeerURLs = urls
	return n.writeRecord(ctx, id, r, term)
}

// RemoveMember takes a member out for good: its id never comes back, and when it hears of
// it it ends. The error is ErrQuorum if those who are left could not go on. It returns
// when the member does not vote any more.
func (n *Node) RemoveMember(ctx context.Context, id string) error {
	return n.atLeader(ctx, methodRemoveMember, memberCall{ID: id}, new(struct{}), func() error {
		return n.removeMember(ctx, id)
	})
}

func (n *Node) removeMember(ctx context.Context, id string) error {
	if err := n.writeRemoval(ctx, id); err != nil {
		return err
	}
	n.wakeReconcile()
	return n.awaitRemoval(ctx, id)
}

func (n *Node) writeRemoval(ctx context.Context, id string) error {
	if err := n.registry.turn.take(ctx); err != nil {
		return notProposed(err)
	}
	defer n.registry.turn.give()
	term := uint64(0)
	m, err := n.findMember(id)
	if err == nil {
		term, err = n.checkChange(id, nil)
	}
	if err != nil {
		return notProposed(err)
	}
	others := func(o Member) bool { return o.ID != id && o.Started() }
	if m.Started() && !slices.ContainsFunc(n.Members(), others) {
		return notProposed(ErrLastMember)
	}
	if err := n.checkQuorumWithout(id); err != nil {
		return notProposed(err)
	}
	return n.setMetaHere(ctx, removedPrefix+id, nil, (*n.Meta())[memberPrefix+id], term)
}

// awaitRemoval waits until raft has no server of that id.
func (n *Node) awaitRemoval(ctx context.Context, id string) error {
	for {
		servers, err := n.servers()
		if err != nil {
			return err
		}
		has := func(s raft.Server) bool { return string(s.ID) == id }
		if !slices.ContainsFunc(servers, has) || id == n.dir.id {
			return nil // this node hands over first, and ends when it hears of it
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return fmt.Errorf("the member is removed; waiting for the others to go on without it: %w", context.Cause(ctx))
		case <-n.closing:
			return ErrClosed
		}
	}
}

// isRemoved reports whether the member of that id was removed for good.
func (n *Node) isRemoved(id string) bool { return (*n.Meta())[removedPrefix+id] != nil }

// findMember returns the member of that id, as Members shows it.
func (n *Node) findMember(id string) (Member, error) {
	if n.isRemoved(id) {
		return Member{}, ErrMemberRemoved
	}
	for _, m := range n.Members() {
		if m.ID == id {
			return m, nil
		}
	}
	return Member{}, ErrMemberNotFound
}

// checkChange returns the term in which this node may change the registry, and an error if
// it may not, or if anybody but the member of that id has one of the URLs. It is called
// with registry.turn taken.
func (n *Node) checkChange(id string, urls []string) (uint64, error) {
	l := n.lead.Load()
	if l == nil {
		return 0, ErrNoLeader
	}
	for _, m := range n.Members() {
		if m.ID == id {
			continue
		}
		for _, u := range urls {
			if slices.Contains(m.PeerURLs, u) {
				return 0, fmt.Errorf("%w: %q", ErrPeerURLExists, u)
			}
		}
	}
	return l.term, nil
}

// register writes this node's own record, unless it is there.
func (n *Node) register(term uint64) error {
	in := n.introduction()
	return n.writeRecord(n.ctx, in.ID, in.record(), term)
}

// writeRecord writes the record of a member, unless it is there.
func (n *Node) writeRecord(ctx context.Context, id string, r memberRecord, term uint64) error {
	record := r.bytes()
	return n.putMeta(ctx, memberPrefix+id, term, func(prev []byte) []byte {
		if bytes.Equal(prev, record) {
			return nil
		}
		return record
	})
}

// putMeta sets a metadata key, as the leader of that term, to what next makes of its
// value, nil to leave it, until nobody interferes.
func (n *Node) putMeta(ctx context.Context, key string, term uint64, next func(prev []byte) []byte) error {
	for {
		prev := (*n.Meta())[key]
		value := next(prev)
		if value == nil {
			return nil
		}
		if err := n.setMetaHere(ctx, key, prev, value, term); !errors.Is(err, ErrMetaChanged) {
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
