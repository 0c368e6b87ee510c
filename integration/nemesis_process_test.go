// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A nemNode is a member of the cluster; its process comes and goes.
type nemNode struct {
	i               int
	name, dir, logs string
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
	started := make(chan error, 2)
	go func() {
		defer log.Close()
		// Pdeathsig is about the thread that has started the process: it waits here.
		runtime.LockOSThread()
		started <- c.network.in(n.i, func() {
			err := p.cmd.Start()
			started <- err
			if err == nil {
				p.err = p.cmd.Wait()
				c.ended(n, p)
			}
		})
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting node %s: %w", n.name, err)
	}
	c.network.started(n.i, p.cmd.Process.Pid)
	n.process, n.fresh, n.floor = p, false, 0
	n.life++
	return nil
}

// ended notes that a node's process has ended.
func (c *nemCluster) ended(n *nemNode, p *nemProcess) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !p.expected {
		c.report.violation("node %s has ended by itself: %v\n%s", n.name, p.err, n.logTail(4096))
	}
	n.process = nil
	close(p.done)
}

func (n *nemNode) logFile() string { return filepath.Join(n.logs, n.name+".log") }

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
