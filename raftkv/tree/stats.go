// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// Stats are the counters of /v2/stats/store. Writes are equal on all replicas; reads
// and watchers are this one's.
type Stats struct {
	GetsSuccess             uint64 `json:"getsSuccess"`
	GetsFail                uint64 `json:"getsFail"`
	SetsSuccess             uint64 `json:"setsSuccess"`
	SetsFail                uint64 `json:"setsFail"`
	DeleteSuccess           uint64 `json:"deleteSuccess"`
	DeleteFail              uint64 `json:"deleteFail"`
	UpdateSuccess           uint64 `json:"updateSuccess"`
	UpdateFail              uint64 `json:"updateFail"`
	CreateSuccess           uint64 `json:"createSuccess"`
	CreateFail              uint64 `json:"createFail"`
	CompareAndSwapSuccess   uint64 `json:"compareAndSwapSuccess"`
	CompareAndSwapFail      uint64 `json:"compareAndSwapFail"`
	CompareAndDeleteSuccess uint64 `json:"compareAndDeleteSuccess"`
	CompareAndDeleteFail    uint64 `json:"compareAndDeleteFail"`
	ExpireCount             uint64 `json:"expireCount"`
	Watchers                uint64 `json:"watchers"`
}

// Stats returns the counters of /v2/stats/store, those of writes as published.
func (t *Tree) Stats() Stats {
	s := t.view.Load().stats
	s.GetsSuccess = t.getsSuccess.Load()
	s.GetsFail = t.getsFail.Load()
	t.hub.mu.Lock()
	s.Watchers = uint64(t.hub.watchers)
	t.hub.mu.Unlock()
	return s
}

// CutOff returns how many watchers have been ended because their reader was too slow.
func (t *Tree) CutOff() uint64 {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	return t.hub.cutOff
}

// CountGet counts a read in the statistics. It may be called concurrently.
func (t *Tree) CountGet(ok bool) {
	if ok {
		t.getsSuccess.Add(1)
	} else {
		t.getsFail.Add(1)
	}
}

// count counts an operation.
func (s *Stats) count(a Action, ok bool) {
	success, fail := s.of(a)
	if ok {
		*success++
	} else {
		*fail++
	}
}

// of returns the counters of an action that an Op can have.
func (s *Stats) of(a Action) (success, fail *uint64) {
	switch a {
	case Set:
		return &s.SetsSuccess, &s.SetsFail
	case Create:
		return &s.CreateSuccess, &s.CreateFail
	case Update:
		return &s.UpdateSuccess, &s.UpdateFail
	case CompareAndSwap:
		return &s.CompareAndSwapSuccess, &s.CompareAndSwapFail
	case Delete:
		return &s.DeleteSuccess, &s.DeleteFail
	default:
		return &s.CompareAndDeleteSuccess, &s.CompareAndDeleteFail
	}
}

// replicated returns the counters that are equal on all replicas, in the order of
// their encoding in a snapshot: append only.
func (s *Stats) replicated() []*uint64 {
	var all []*uint64
	for a := Set; a <= CompareAndDelete; a++ {
		success, fail := s.of(a)
		all = append(all, success, fail)
	}
	return append(all, &s.ExpireCount)
}
