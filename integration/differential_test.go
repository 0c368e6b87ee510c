// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSameAsEtcd sends random sequences of requests to Debian's etcd 3.4 with its v2
// store and to the daemon, and compares what a client sees: statuses, headers, bodies,
// how the bodies are framed, and the events of watches. The differences that we want
// are intendedDifferences, each shown by a sequence of its own.
//
// Half of the sequences come from a fixed seed and half from one of the day, which is
// logged. To run more of them, or a seed again:
//
//	DIFF_SEQUENCES=500000 go test ./integration -run TestSameAsEtcd -timeout 0 -v
//	DIFF_SEED=42 go test ./integration -run TestSameAsEtcd
//
// A sequence that is answered differently is cut down to the requests that matter and
// printed as lines of curl.
func TestSameAsEtcd(t *testing.T) {
	t.Run("intended differences", func(t *testing.T) {
		t.Parallel()
		startPair(t).testIntended(t)
	})
	t.Run("expiry", func(t *testing.T) {
		t.Parallel()
		p := startPair(t)
		steps := expirySteps()
		if at, etcd, ours := p.differs(t, steps); at >= 0 {
			t.Errorf("answered differently at request %d of\n%s\n--- etcd: %s\n--- ours: %s", at+1, asCurl(steps), etcd, ours)
		}
	})
	count, seeds := 2400, []uint64{1, rand.Uint64N(1 << 32)}
	if s := os.Getenv("DIFF_SEQUENCES"); s != "" {
		count = number(t, "DIFF_SEQUENCES", s)
	}
	if s := os.Getenv("DIFF_SEED"); s != "" {
		seeds = []uint64{uint64(number(t, "DIFF_SEED", s))}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			startPair(t).testSeed(t, seed, count/len(seeds))
		})
	}
}

func number(t *testing.T, name, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}

// A diffPair is the two servers, which get the same requests.
type diffPair struct {
	etcd, ours *diffSide
	rows       []intended
	forgiven   []int          // per row
	sequences  int            // run so far; each has a root of its own
	seen       map[string]int // :: action or errorCode in etcd's answers → how often
}

// startPair starts both servers and gives them a past.
func startPair(t *testing.T) *diffPair {
	d := newDaemon(t, map[string]string{"conf.d/.keep": "", "templates/.keep": ""})
	d.start(t)
	p := &diffPair{etcd: startReference(t), ours: &diffSide{name: "ours", addr: d.api}, rows: intendedDifferences()}
	p.forgiven = make([]int, len(p.rows))
	p.seen = make(map[string]int)
	p.both(t, func(s *diffSide) error {
		for s.last < diffWarmUp {
			if err := s.quiet("PUT", diffKeys+"/_base"); err != nil {
				return err
			}
		}
		return nil
	})
	return p
}

// both does the same with both sides at once.
func (p *diffPair) both(t *testing.T, f func(*diffSide) error) {
	t.Helper()
	var wg sync.WaitGroup
	var errs [2]error
	for i, s := range []*diffSide{p.etcd, p.ours} {
		wg.Go(func() { errs[i] = f(s) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run sends a sequence to both.
func (p *diffPair) run(t *testing.T, steps []diffStep) (etcd, ours []diffAnswer) {
	t.Helper()
	p.sequences++
	root := fmt.Sprintf("/s%09d", p.sequences)
	answers := make(map[*diffSide][]diffAnswer)
	var mu sync.Mutex
	p.both(t, func(s *diffSide) error {
		a, err := s.run(root, steps)
		mu.Lock()
		defer mu.Unlock()
		answers[s] = a
		if err != nil {
			return fmt.Errorf("%w; the sequence is\n%s", err, asCurl(s.sent))
		}
		return nil
	})
	for _, a := range answers[p.etcd] {
		for _, m := range diffKind.FindAllString(a.body, 1) {
			p.seen[m]++
		}
	}
	return answers[p.etcd], answers[p.ours]
}

var diffKind = regexp.MustCompile(`"action":"\w+"|"errorCode":\d+`)

// diffKinds are the answers that the sequences must have brought about.
var diffKinds = []string{
	`"action":"get"`, `"action":"set"`, `"action":"create"`, `"action":"update"`, `"action":"delete"`, `"action":"compareAndSwap"`, `"action":"compareAndDelete"`,
	`"errorCode":100`, `"errorCode":101`, `"errorCode":102`, `"errorCode":104`, `"errorCode":105`, `"errorCode":107`, `"errorCode":108`,
	`"errorCode":201`, `"errorCode":202`, `"errorCode":203`, `"errorCode":209`, `"errorCode":210`, `"errorCode":211`, `"errorCode":212`, `"errorCode":401`,
}

// differs runs a sequence and returns the first step that was answered differently, -1 if
// there is none.
func (p *diffPair) differs(t *testing.T, steps []diffStep) (at int, etcd, ours diffAnswer) {
	t.Helper()
	e, o := p.run(t, steps)
	for i := range steps {
		etcd, ours = e[i], o[i]
		if etcd.same(ours) {
			continue
		}
		c := &diffContext{steps: p.etcd.sent, answers: e, at: i}
		for r, row := range p.rows {
			if row.forgive == nil {
				continue
			}
			before := [2]diffAnswer{etcd, ours}
			if row.forgive(c, &etcd, &ours); before != [2]diffAnswer{etcd, ours} {
				p.forgiven[r]++
			}
			if etcd.same(ours) {
				break
			}
		}
		if !etcd.same(ours) {
			return i, e[i], o[i]
		}
	}
	return -1, diffAnswer{}, diffAnswer{}
}

func (p *diffPair) testSeed(t *testing.T, seed uint64, count int) {
	g := newDiffGen(seed)
	start, requests, failures := time.Now(), 0, 0
	for n := range count {
		steps := g.sequence()
		requests += len(steps)
		if at, etcd, ours := p.differs(t, steps); at >= 0 {
			p.report(t, fmt.Sprintf("seed %d, sequence %d", seed, n), steps, at, etcd, ours)
			if failures++; failures == 10 {
				t.Fatal("that is enough")
			}
		}
	}
	t.Logf("%d sequences, %d requests in %v", count, requests, time.Since(start).Round(time.Second))
	for _, kind := range diffKinds {
		t.Logf("%7d times %s", p.seen[kind], kind)
		if p.seen[kind] == 0 && count >= 500 {
			t.Errorf("no request was answered with %s: the generator has a gap", kind)
		}
	}
	for i, row := range p.rows {
		if p.forgiven[i] > 0 {
			t.Logf("%7d times %s", p.forgiven[i], row.what)
		}
	}
}

// report cuts a sequence down and prints it. A difference that does not come again is a
// failure too: it must have a reason.
func (p *diffPair) report(t *testing.T, what string, steps []diffStep, at int, etcd, ours diffAnswer) {
	t.Helper()
	found := false
	for i := len(steps) - 1; i >= 0; i-- {
		fewer := slices.Concat(steps[:i], steps[i+1:])
		if a, e, o := p.differs(t, fewer); a >= 0 {
			steps, at, etcd, ours = fewer, a, e, o
			found = true
		}
	}
	if !found {
		if a, e, o := p.differs(t, steps); a >= 0 {
			at, etcd, ours = a, e, o
		} else {
			what += ", not seen again"
		}
	}
	filled := slices.Clone(steps)
	for i := range filled {
		filled[i].target = strings.ReplaceAll(filled[i].target, "{root}", "/r")
	}
	t.Errorf("%s: answered differently at request %d of\n%s\n--- etcd: %.3000s\n--- ours: %.3000s", what, at+1, asCurl(filled), etcd, ours)
}

// asCurl returns a sequence as lines of curl; what stands in braces is an index.
func asCurl(steps []diffStep) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%2d  %s\n", i+1, s.asCurl())
	}
	return b.String()
}

// testIntended shows every difference that we want.
func (p *diffPair) testIntended(t *testing.T) {
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range p.rows {
		if line := fmt.Sprintf("\n| %s | %s | %s |\n", row.what, row.etcd, row.ours); !strings.Contains(string(page), line) {
			t.Errorf("docs/api.md lacks the line%s", line)
		}
		if row.show == nil {
			continue
		}
		e, o := p.run(t, row.show)
		etcd, ours := e[row.at], o[row.at]
		for _, s := range []struct {
			name, want, not string
			diffAnswer
		}{{"etcd", row.wantEtcd, row.wantOurs, etcd}, {"ours", row.wantOurs, row.wantEtcd, ours}} {
			got := fmt.Sprintf("%d %s", s.status, s.body)
			if !strings.Contains(got, s.want) || s.not != "" && strings.Contains(got, s.not) {
				t.Errorf("%s: %s: got %.300q, want %q, not %q", row.what, s.name, got, s.want, s.not)
			}
		}
	}
}

// expirySteps has keys that expire while others watch. Both servers look for them every
// half second, so the answers are the same but for the moment.
func expirySteps() []diffStep {
	put := func(target, body string) diffStep {
		return diffStep{method: "PUT", target: diffKeys + "{root}" + target, contentType: diffForm, body: body}
	}
	get := func(target string) diffStep { return diffStep{method: "GET", target: diffKeys + "{root}" + target} }
	watch := func(key, query string) diffStep {
		s := get(key + "?wait=true" + query)
		s.watch = "{root}" + key
		return s
	}
	last := watch("/z-last", "")
	last.block = true
	return []diffStep{
		watch("", "&recursive=true&stream=true"), watch("/f", "&stream=true"),
		put("/f", "value=v&ttl=1"), put("/dir", "dir=true&ttl=1"), put("/dir/x", "value=1"), put("/dir/_h", "value=1"), put("/_g", "value=1&ttl=1"),
		watch("/dir", ""), watch("/dir/x", "&stream=true"), watch("/dir/_h", ""), watch("/dir/none", ""), watch("/_g", ""), watch("/keep", ""),
		put("/zero", "value=v&ttl=1"), put("/keep", "value=1&ttl=1"), put("/keep", "value=2"), put("/update", "value=1&ttl=1"), put("/update?prevExist=true", "value=2&ttl="),
		put("/refresh", "value=1&ttl=1"), put("/refresh", "refresh=true&ttl=100"), put("/swap", "value=1"), put("/swap?prevValue=1", "value=2&ttl=1"),
		put("/again", "value=1&ttl=1"), {method: "DELETE", target: diffKeys + "{root}/again"}, put("/again", "value=2"),
		{method: "POST", target: diffKeys + "{root}/q", contentType: diffForm, body: "value=1&ttl=1"},
		put("/z-last", "value=1&ttl=2"), last,
		get("?recursive=true&sorted=true"), get("/f"), get("/dir/x"), get("/q?sorted=true"), put("/dir/x", "value=again"), get("/dir"),
		watch("/f", "&waitIndex={i:+2}"), watch("/dir/x", "&waitIndex={i:+7}"),
	}
}
