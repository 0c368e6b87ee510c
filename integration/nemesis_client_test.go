// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	nemOpLimit = 3 * time.Second       // after it the outcome is open
	nemPause   = 20 * time.Millisecond // the longest between two operations of a client
	nemSlots   = 4                     // keys that the clients fight over
	nemMaxOpen = 5                     // open outcomes on a key; then its slot gets another

	nemHuntEvery = 40 * time.Millisecond
)

// nemKeys names the keys of a round. As every open outcome doubles what the checker has
// to look at, a key is given up when it has seen several.
type nemKeys struct {
	dir  string
	mu   sync.Mutex
	open [nemSlots]int
	used [nemSlots]int // how many keys of the slot are given up
}

func (k *nemKeys) pick(slot int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprintf("%s/k%d.%d", k.dir, slot, k.used[slot])
}

// opened counts an open outcome.
func (k *nemKeys) opened(slot int, key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key != fmt.Sprintf("%s/k%d.%d", k.dir, slot, k.used[slot]) {
		return
	}
	if k.open[slot]++; k.open[slot] >= nemMaxOpen {
		k.open[slot] = 0
		k.used[slot]++
	}
}

// A nemClient does one operation after another.
type nemClient struct {
	id      int
	cluster *nemCluster
	history *nemHistory
	keys    *nemKeys
	rand    *rand.Rand
	http    *http.Client
	node    int
	count   int
	last    map[string]nemValue // :: key → the value that this client saw last
}

func (c *nemClient) work(ctx context.Context) {
	c.last = make(map[string]nemValue)
	for ctx.Err() == nil {
		if c.rand.IntN(10) == 0 {
			c.node = c.rand.IntN(len(c.cluster.nodes))
		}
		slot := c.rand.IntN(nemSlots)
		o := c.next(slot)
		c.do(o)
		c.history.add(o)
		pause := time.Duration(c.rand.Int64N(int64(nemPause)))
		switch o.outcome {
		case nemOpen:
			c.keys.opened(slot, o.key)
			pause += 2 * nemPause
			c.node = c.rand.IntN(len(c.cluster.nodes))
		case nemNot:
			pause += nemPause
			c.node = c.rand.IntN(len(c.cluster.nodes))
		case nemOK, nemRefused:
			c.last[o.key] = c.learnt(o)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// hunt reads again and again from a node that has been hit and may not know yet that
// others have gone on without it. A node that is stopped finds the questions of the last
// seconds when it wakes up.
func (c *nemClient) hunt(ctx context.Context, node *nemNode) {
	var reads sync.WaitGroup
	defer reads.Wait()
	for tick := time.NewTicker(nemHuntEvery); ctx.Err() == nil; {
		c.count++
		o := &nemOp{client: c.id + c.count, node: node.i, kind: nemRead, key: c.keys.pick(c.rand.IntN(nemSlots))}
		reads.Go(func() {
			c.do(o)
			c.history.add(o)
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
		}
	}
}

func (c *nemClient) learnt(o *nemOp) nemValue {
	if o.writes() && o.outcome == nemOK {
		return nemValue{o.value, o.index}
	}
	return nemValue{o.seen, o.seenIndex}
}

// next draws an operation.
func (c *nemClient) next(slot int) *nemOp {
	c.count++
	o := &nemOp{client: c.id, node: c.node, key: c.keys.pick(slot), value: fmt.Sprintf("%d-%d", c.id, c.count)}
	seen := c.last[o.key]
	o.prev = seen.value
	if o.prev == "" || c.rand.IntN(10) == 0 {
		o.prev = "none-such"
	} else if c.rand.IntN(2) == 0 {
		o.prevIndex = seen.index
	}
	switch n := c.rand.IntN(100); {
	case n < 25:
		o.kind = nemRead
	case n < 40:
		o.kind = nemPlain
	case n < 55:
		o.kind = nemSet
	case n < 75:
		o.kind = nemSwap
	case n < 79:
		o.kind = nemCad
	case n < 83:
		o.kind = nemDelete
	case n < 89:
		o.kind = nemCreate
	case n < 92:
		o.kind = nemUpdate
	default: // a key of the ledger, which is written once
		o.kind, o.key = nemSet, fmt.Sprintf("%s/ledger/%d-%d", c.keys.dir, c.id, c.count)
	}
	switch o.kind {
	case nemRead, nemPlain, nemDelete, nemCad:
		o.value = ""
	}
	if o.kind != nemSwap && o.kind != nemCad {
		o.prev, o.prevIndex = "", 0
	}
	return o
}

// request is the operation in HTTP.
func (o *nemOp) request(ctx context.Context, addr string) (*http.Request, error) {
	method, query := http.MethodPut, url.Values{}
	switch o.kind {
	case nemRead:
		method = http.MethodGet
		query.Set("quorum", "true")
	case nemPlain:
		method = http.MethodGet
	case nemDelete, nemCad:
		method = http.MethodDelete
	case nemCreate:
		query.Set("prevExist", "false")
	case nemUpdate:
		query.Set("prevExist", "true")
	}
	if o.prevIndex != 0 {
		query.Set("prevIndex", fmt.Sprint(o.prevIndex))
	} else if o.prev != "" {
		query.Set("prevValue", o.prev)
	}
	body := ""
	if method == http.MethodPut {
		body = url.Values{"value": {o.value}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+"/v2/keys"+o.key+"?"+query.Encode(), strings.NewReader(body))
	if err == nil && body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, err
}

// do carries the operation out and fills in what came of it.
func (c *nemClient) do(o *nemOp) {
	ctx, cancel := context.WithTimeout(context.Background(), nemOpLimit) // not cut off when the round ends
	defer cancel()
	node := c.cluster.nodes[o.node]
	life, floor := node.seen()
	req, err := o.request(ctx, node.api)
	if err != nil {
		o.outcome, o.text = nemNot, err.Error()
		return
	}
	o.call = c.history.now()
	resp, err := c.http.Do(req)
	o.ret = c.history.now()
	if err != nil {
		o.outcome, o.text = nemOpen, err.Error()
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			o.outcome = nemNot
		}
		return
	}
	defer resp.Body.Close()
	a, at, err := parseAnswer(resp)
	o.ret = c.history.now()
	if err != nil {
		o.outcome, o.text = nemOpen, err.Error()
		return
	}
	o.at = at
	o.judge(resp.StatusCode, &a, c.cluster.program)
	if o.outcome == nemOK || o.outcome == nemRefused {
		if !node.saw(life, floor, at) {
			c.cluster.report.violation("the index of node %s went back: it was at %d before\n  %s", node.name, floor, o)
		}
	}
}

// judge says what an answer means.
func (o *nemOp) judge(status int, a *nemAnswer, program nemProgram) {
	switch {
	case status < 300 && a.Node != nil:
		o.outcome = nemOK
		e := a.event()
		o.index, o.known, o.seen, o.seenIndex = e.index, true, e.prev, e.prevIndex
		if !o.writes() {
			o.index, o.seen, o.seenIndex = 0, e.value, e.index
		}
		return
	case a.ErrorCode == 100 && !o.writes():
		o.outcome, o.known = nemOK, true
		return
	}
	o.text = fmt.Sprintf("%d %s [%s]", a.ErrorCode, a.Message, a.Cause)
	switch a.ErrorCode {
	case 100:
		o.outcome, o.known = nemRefused, true
	case 105:
		o.outcome, o.exists = nemRefused, true
	case 101:
		o.outcome, o.exists = nemRefused, true
		if o.prevIndex == 0 {
			_, actual, _ := strings.Cut(strings.Trim(a.Cause, "[]"), " != ")
			o.known, o.seen = true, actual
		}
	case 300:
		o.outcome = nemOpen
		if program.refused(a.Cause) {
			o.outcome = nemNot
		}
	default:
		o.outcome = nemOpen
	}
}
