// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNemesis runs a cluster of real processes, lets several clients work with it, kills,
// stops and cuts off its nodes meanwhile, and then checks that
//
//   - what the clients saw of each key is linearizable (porcupine), and the indexes of
//     writes and linearizable reads agree with the time across all keys;
//   - watchers that follow with waitIndex from node to node were told of every change
//     once, in order, and of no other; acknowledged writes are among them, refused ones not;
//   - any read, also one that may be stale, shows the key as the change of its
//     X-Etcd-Index left it, and that index never goes back while a process lives;
//   - every acknowledged write of the ledger is on every node at the end, and the nodes
//     have the same keys;
//   - nobody hangs without a quorum, no process ends by itself, and the cluster gets well
//     without help.
//
// It goes in rounds, each with keys of its own and checked for itself. By hand, for an hour
// and beside etcd:
//
//	make nemesis NEMESIS=1h
//
// NEMESIS_DURATION is how long to go on, NEMESIS_SEED draws the same faults again (the
// times of processes are their own), NEMESIS_NODES sets the size, NEMESIS_PROGRAMS
// (confd,etcd) what to run, NEMESIS_FAULTS=leader draws only the faults with that word in
// their name, NEMESIS_NETWORK=proxies does without network namespaces.
func TestNemesis(t *testing.T) {
	duration, nodes, seed, programs := 75*time.Second, 3, rand.Uint64N(1<<32), "confd"
	if s := os.Getenv("NEMESIS_DURATION"); s != "" {
		var err error
		if duration, err = time.ParseDuration(s); err != nil {
			t.Fatalf("NEMESIS_DURATION: %v", err)
		}
	}
	if s := os.Getenv("NEMESIS_NODES"); s != "" {
		if nodes = number(t, "NEMESIS_NODES", s); nodes < 3 {
			t.Fatal("NEMESIS_NODES: a cluster that survives faults has three or more")
		}
	}
	if s := os.Getenv("NEMESIS_SEED"); s != "" {
		seed = uint64(number(t, "NEMESIS_SEED", s))
	}
	if s := os.Getenv("NEMESIS_PROGRAMS"); s != "" {
		programs = s
	}
	t.Logf("NEMESIS_SEED=%d", seed)
	known := map[string]nemProgram{"confd": nemConfd{}, "etcd": nemEtcd{}}
	var reports []*nemReport
	for name := range strings.SplitSeq(programs, ",") {
		program := known[name]
		if program == nil {
			t.Fatalf("NEMESIS_PROGRAMS: %q is neither confd nor etcd", name)
		}
		t.Run(name, func(t *testing.T) {
			r := newNemReport(t, name, nodes)
			reports = append(reports, r)
			runNemesis(t, program, r, seed, duration)
		})
	}
	printReports(t, reports)
}

func runNemesis(t *testing.T, program nemProgram, r *nemReport, seed uint64, duration time.Duration) {
	c := newNemCluster(t, program, r.nodes, r)
	r.network = c.network.String()
	t.Logf("%s, %d nodes, %s", r.program, r.nodes, r.network)
	defer func() {
		if r.broken() {
			for _, n := range c.nodes {
				t.Logf("log of node %s: %s", n.name, r.keep(n.name+".log", n.logTail(1<<30)))
			}
		}
	}()
	c.startAll(t)
	n := &nemRun{t: t, cluster: c, report: r, rand: rand.New(rand.NewPCG(seed, 0))}
	n.deck = &nemDeck{rand: n.rand, only: os.Getenv("NEMESIS_FAULTS")}
	if !n.deck.knows() {
		t.Fatalf("NEMESIS_FAULTS=%q: no fault is called so", n.deck.only)
	}
	start := time.Now()
	for !r.broken() && time.Since(start) < duration {
		n.round(min(nemRoundTime, duration-time.Since(start)))
		r.took = time.Since(start)
	}
	r.checkGaps(program.gapGoal())
}

const (
	nemRoundTime = 25 * time.Second
	nemClients   = 6
	nemWatchers  = 3
)

// A nemRun is the life of a cluster.
type nemRun struct {
	t       *testing.T
	cluster *nemCluster
	report  *nemReport
	rand    *rand.Rand
	deck    *nemDeck
	rounds  int
	marks   int // writes of its own
}

// round lets clients, watchers and faults loose for some time and checks what came of it.
func (n *nemRun) round(length time.Duration) {
	dir := fmt.Sprintf("/nem/%d", n.rounds)
	n.rounds++
	history := &nemHistory{start: time.Now()}
	begin, err := n.write(history, dir+"/begin")
	if err != nil {
		n.report.violation("a healthy cluster refuses a write: %v", err)
		return
	}
	watchers, stopWatchers := n.watch(dir, begin)
	defer stopWatchers()
	keys := &nemKeys{dir: dir}
	stopClients := n.work(keys, history)
	hunter := &nemClient{id: nemClients + 1, cluster: n.cluster, history: history, keys: keys, http: n.cluster.client(), rand: rand.New(rand.NewPCG(n.rand.Uint64(), 0))}
	n.faults(hunter, length)
	stopClients()
	end, finals, err := n.settle(history, dir)
	if err == nil {
		err = n.caughtUp(watchers, end)
	}
	if err != nil {
		n.report.violation("the end of round %d: %v", n.rounds, err)
	}
	stopWatchers()
	n.check(history, watchers, finals, end)
	n.forget(dir)
}

// work starts the clients. What it returns waits for them to end.
func (n *nemRun) work(keys *nemKeys, h *nemHistory) (stop func()) {
	ctx, cancel := context.WithCancel(n.t.Context())
	var wg sync.WaitGroup
	for id := range nemClients {
		c := &nemClient{
			id: id, cluster: n.cluster, history: h, keys: keys, http: n.cluster.client(),
			node: id % len(n.cluster.nodes), rand: rand.New(rand.NewPCG(n.rand.Uint64(), 0)),
		}
		wg.Go(func() { c.work(ctx) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// watch starts the watchers. What it returns waits for them to end.
func (n *nemRun) watch(dir string, first uint64) (watchers []*nemWatcher, stop func()) {
	ctx, cancel := context.WithCancel(n.t.Context())
	var wg sync.WaitGroup
	for i := range nemWatchers {
		w := &nemWatcher{name: fmt.Sprint(i + 1), dir: dir, client: n.cluster.client(), stream: i == 1 && n.cluster.program.streams()}
		for _, node := range n.cluster.nodes {
			w.nodes = append(w.nodes, node.api)
		}
		watchers = append(watchers, w)
		wg.Go(func() { w.follow(ctx, i%len(w.nodes), first) })
	}
	return watchers, func() {
		cancel()
		wg.Wait()
	}
}

// faults lets one fault come after another.
func (n *nemRun) faults(hunter *nemClient, length time.Duration) {
	c := n.cluster
	for start := time.Now(); time.Since(start) < length && !n.report.broken(); {
		leader, err := c.leader(n.t.Context(), c.nodes)
		if err != nil {
			if c.awaitHealth("before a fault") != nil {
				return
			}
			continue
		}
		s := &nemStrike{nemCluster: c, when: hunter.history.now, hunter: hunter, rand: n.rand, leader: leader, losses: make(nemLosses)}
		s.followers = s.others([]*nemNode{leader})
		s.suffer(n.deck.next())
		time.Sleep(time.Duration(n.rand.Int64N(int64(500 * ms)))) // so that not all faults find the same state
	}
}

// write writes a key through node a, as a client after all others, and returns the index.
func (n *nemRun) write(h *nemHistory, key string) (uint64, error) {
	c := &nemClient{id: nemClients, cluster: n.cluster, history: h, http: n.cluster.http}
	n.marks++
	o := &nemOp{client: c.id, kind: nemSet, key: key, value: fmt.Sprintf("mark-%d", n.marks)}
	c.do(o)
	h.add(o)
	if o.outcome != nemOK {
		return 0, fmt.Errorf("%s", o)
	}
	return o.index, nil
}

// settle writes a last change, waits until every node has come to it, and returns its
// index and what is there.
func (n *nemRun) settle(h *nemHistory, dir string) (end uint64, finals []map[string]nemValue, err error) {
	// A write that was given up by its client may still come; then it starts over.
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * ms) {
		if end, err = n.write(h, dir+"/end"); err != nil {
			continue
		}
		finals = nil
		for _, node := range n.cluster.nodes {
			var keys map[string]nemValue
			if keys, err = n.listAt(node, dir, end); err != nil {
				break
			}
			finals = append(finals, keys)
		}
		if err == nil {
			return end, finals, nil
		}
	}
	return 0, nil, fmt.Errorf("the nodes do not agree after %v: %w", patience, err)
}

// listAt lists a directory on a node that must come to be at the given index.
func (n *nemRun) listAt(node *nemNode, dir string, index uint64) (map[string]nemValue, error) {
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(10 * ms) {
		ctx, cancel := context.WithTimeout(n.t.Context(), nemOpLimit)
		a, at, err := n.cluster.do(ctx, http.MethodGet, node, "/v2/keys"+dir+"?recursive=true")
		cancel()
		switch {
		case err != nil:
			return nil, err
		case at == index:
			keys := make(map[string]nemValue)
			a.Node.files(keys)
			return keys, nil
		case at > index || time.Now().After(deadline):
			return nil, fmt.Errorf("node %s is at %d, not at %d", node.name, at, index)
		}
	}
}

// caughtUp waits until the watchers have been told of the last change.
func (n *nemRun) caughtUp(watchers []*nemWatcher, end uint64) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * ms) {
		late := ""
		for _, w := range watchers {
			if err := w.failed(); err != nil {
				return fmt.Errorf("watcher %s: %w", w.name, err)
			}
			if !w.upTo(end) {
				late += " " + w.name
			}
		}
		if late == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not told of change %d after %v: watchers%s", end, patience, late)
		}
	}
}

// forget removes the keys of a round, which are only in the way.
func (n *nemRun) forget(dir string) {
	ctx, cancel := context.WithTimeout(n.t.Context(), nemOpLimit)
	defer cancel()
	if _, _, err := n.cluster.do(ctx, http.MethodDelete, n.cluster.nodes[0], "/v2/keys"+dir+"?recursive=true"); err != nil {
		n.t.Logf("removing %s: %v", dir, err)
	}
}
