// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A nemProgram is what the nodes of a cluster run.
type nemProgram interface {
	name() string

	// command returns what starts node i; fresh says that its data directory is empty.
	command(c *nemCluster, i int, fresh bool) []string

	// together says that fresh nodes wait for each other, so that all must be started at once.
	together() bool

	// streams says that a stream may begin in the past.
	streams() bool

	// refused tells whether an error 300 with that cause promises that nothing was and
	// will be written.
	refused(cause string) bool

	// stopped tells whether a process that was sent SIGTERM has ended as it should.
	stopped(err error) bool
}

// nemConfd is the program under test.
type nemConfd struct{}

func (nemConfd) name() string   { return "confd" }
func (nemConfd) together() bool { return false }
func (nemConfd) streams() bool  { return true }

func (nemConfd) command(c *nemCluster, i int, fresh bool) []string {
	n := c.nodes[i]
	args := []string{
		filepath.Join(binDir, "confd"), "-store-only", "-name", n.name, "-data-dir", filepath.Join(n.dir, "data"),
		"-addr", n.api, "-peer-addr", n.peer,
	}
	if n.bind != n.peer {
		args = append(args, "-peer-bind-addr", n.bind)
	}
	if fresh && i > 0 {
		args = append(args, "-peers", c.nodes[0].peer)
	}
	return args
}

func (nemConfd) refused(cause string) bool { // docs/api.md says so
	return cause == "etcdserver: no leader" || cause == "etcdserver: too many requests"
}

func (nemConfd) stopped(err error) bool { return err == nil }

// nemEtcd is Debian's etcd 3.4 with its v2 store, for comparison.
type nemEtcd struct{}

func (nemEtcd) name() string   { return "etcd" }
func (nemEtcd) together() bool { return true }
func (nemEtcd) streams() bool  { return false }

func (nemEtcd) command(c *nemCluster, i int, _ bool) []string {
	n := c.nodes[i]
	var initial []string
	for _, n := range c.nodes {
		initial = append(initial, n.name+"=http://"+n.peer)
	}
	return []string{
		"etcd", "--enable-v2", "--name", n.name, "--data-dir", filepath.Join(n.dir, "data"),
		"--listen-client-urls", "http://" + n.api, "--advertise-client-urls", "http://" + n.api,
		"--listen-peer-urls", "http://" + n.bind, "--initial-advertise-peer-urls", "http://" + n.peer,
		"--initial-cluster", strings.Join(initial, ","),
	}
}

func (nemEtcd) refused(string) bool { return false }

func (nemEtcd) stopped(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err == nil
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGTERM // it ends itself by the signal that it got
}

// A nemCluster is a set of processes and the network between them.
type nemCluster struct {
	program nemProgram
	network nemNetwork
	nodes   []*nemNode
	report  *nemReport
	http    *http.Client
}

// A nemNode is a member of the cluster; its process comes and goes.
type nemNode struct {
	i               int
	name, dir       string
	api, peer, bind string

	mu      sync.Mutex
	process *nemProcess // nil = not running
	fresh   bool        // it has not been started yet
	life    int         // which process, counted
	floor   uint64      // the highest index that this process has shown
}

type nemProcess struct {
	cmd      *exec.Cmd
	done     chan struct{} // closed when it has ended
	err      error         // of Wait, set before done is closed
	expected bool          // its end is; guarded by the node's mu
}

func newNemCluster(t *testing.T, program nemProgram, nodes int, report *nemReport) *nemCluster {
	t.Helper()
	c := &nemCluster{program: program, network: newNemNetwork(t, nodes), report: report}
	c.http = c.client()
	for i := range nodes {
		n := &nemNode{i: i, name: string(rune('a' + i)), dir: t.TempDir(), fresh: true}
		n.api, n.peer, n.bind = c.network.addrs(i)
		c.nodes = append(c.nodes, n)
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if p := c.signal(n, syscall.SIGKILL); p != nil {
				<-p.done
			}
		}
	})
	return c
}

// client returns an HTTP client with connections of its own.
func (c *nemCluster) client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: nemDial(c.network), MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// startAll starts the nodes one after another, or at once.
func (c *nemCluster) startAll(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		if err := c.start(n); err != nil {
			t.Fatal(err)
		}
		if !c.program.together() {
			eventually(t, "node "+n.name+" answers", func() bool { return c.healthy(n) == nil })
		}
	}
	if err := c.awaitHealth("after the start"); err != nil {
		t.FailNow()
	}
}

// start starts a node's process if it is not running.
func (c *nemCluster) start(n *nemNode) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		return nil
	}
	argv := c.program.command(c, n.i, n.fresh)
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	p := &nemProcess{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = n.dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	fmt.Fprintf(log, "--- %s: %s\n", time.Now().Format(time.StampMilli), strings.Join(argv, " "))
	started := make(chan error)
	go func() {
		// Pdeathsig is about the thread that has started the process: it waits here.
		runtime.LockOSThread()
		err := c.network.in(n.i, func() {
			err := p.cmd.Start()
			started <- err
			if err == nil {
				p.err = p.cmd.Wait()
			}
		})
		if p.cmd.Process == nil {
			started <- err
			return
		}
		log.Close()
		c.ended(n, p)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting node %s: %w", n.name, err)
	}
	c.network.started(n.i, p.cmd.Process.Pid)
	n.process, n.fresh, n.floor = p, false, 0
	n.life++
	return nil
}

func (c *nemCluster) ended(n *nemNode, p *nemProcess) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !p.expected {
		c.report.violation("node %s has ended by itself: %v\n%s", n.name, p.err, n.logTail(4096))
	}
	n.process = nil
	close(p.done)
}

func (n *nemNode) logFile() string { return filepath.Join(n.dir, "node.log") }

func (n *nemNode) logTail(size int) []byte {
	data, err := os.ReadFile(n.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	return data[max(0, len(data)-size):]
}

// signal sends a signal to a node's process, which it returns, if there is one.
func (c *nemCluster) signal(n *nemNode, sig syscall.Signal) *nemProcess {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.process
	if p == nil {
		return nil
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM {
		p.expected = true
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.report.violation("signal %v to node %s: %v", sig, n.name, err)
	}
	return p
}

// kill is kill -9. It returns at once.
func (c *nemCluster) kill(n *nemNode) { c.signal(n, syscall.SIGKILL) }

// wait waits until the process has ended and returns how.
func (p *nemProcess) wait() error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		return fmt.Errorf("still running after %v", patience)
	}
}

// restart starts a node after its process has ended.
func (c *nemCluster) restart(n *nemNode) {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p != nil {
		if err := p.wait(); err != nil && !p.isDone() {
			c.report.violation("node %s: %v", n.name, err)
			return
		}
	}
	if err := c.start(n); err != nil {
		c.report.violation("%v", err)
	}
}

func (p *nemProcess) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// seen returns which process of the node runs and the highest index that it has shown.
func (n *nemNode) seen() (life int, floor uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life, n.floor
}

// saw notes the index of an answer, and tells whether it is at or above what the same
// process had shown before it was asked.
func (n *nemNode) saw(life int, floor, at uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life != life {
		return true
	}
	n.floor = max(n.floor, at)
	return at >= floor
}

// healthy asks a node for a linearizable read.
func (c *nemCluster) healthy(n *nemNode) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := c.get(ctx, n, "/v2/keys/?quorum=true")
	return err
}

func (c *nemCluster) get(ctx context.Context, n *nemNode, target string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.api+target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("node %s: %s: %s", n.name, resp.Status, body)
	}
	return body, err
}

// do makes a request without a body and reads the answer.
func (c *nemCluster) do(ctx context.Context, method string, n *nemNode, target string) (nemAnswer, uint64, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.api+target, nil)
	if err != nil {
		return nemAnswer{}, 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nemAnswer{}, 0, err
	}
	defer resp.Body.Close()
	a, at, err := parseAnswer(resp)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("node %s: %s: %s [%s]", n.name, resp.Status, a.Message, a.Cause)
	}
	return a, at, err
}

// leader returns the node that most of the given nodes take for the leader.
func (c *nemCluster) leader(ctx context.Context, of []*nemNode) (*nemNode, error) {
	votes := make(map[string]int)
	var errs []error
	for _, n := range of {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		body, err := c.get(ctx, n, "/v2/members/leader")
		cancel()
		var m struct{ Name string }
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		votes[m.Name]++
	}
	for _, n := range c.nodes {
		if 2*votes[n.name] > len(of) {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no leader by most nodes: %v: %w", votes, errors.Join(errs...))
}

// awaitHealth waits until all nodes agree on a leader and serve linearizable reads.
func (c *nemCluster) awaitHealth(when string) error {
	start, limit := time.Now(), 2*patience
	for {
		l, err := c.leader(context.Background(), c.nodes)
		for _, n := range c.nodes {
			if err == nil {
				err = c.healthy(n)
			}
		}
		if err == nil && l != nil {
			c.report.recovered(time.Since(start))
			return nil
		}
		if time.Since(start) > limit {
			c.report.violation("the cluster is not healthy %v %s: %v", limit, when, err)
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
