// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package load puts a server of keys under load and checks every answer. All connections
// are driven by one thread with epoll, requests are bytes and answers are read where they
// lie, so that the processor is left to the server.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"
)

// silence is how long the connections may wait for an answer.
const silence = 60 * time.Second

// A Job is what connections ask. Each sends its next request when it has the answer to
// the one before. Requests are numbered from 0 over all connections.
type Job struct {
	// Request appends request n to buf, which is empty.
	Request func(buf []byte, n int) []byte
	// Check returns what is wrong with the answer to request n of a connection.
	Check func(conn, n int, r *Response) error

	Total int           // ends after so many requests, or if it is 0:
	For   time.Duration // how long is measured, after a tenth of that to warm up

	// Mark, if set, is called when the measurement begins, and when it has ended.
	Mark func() error
}

// A Result is what was measured.
type Result struct {
	Ops     int
	Took    time.Duration
	Latency *Histogram // from sending a request to the end of its answer
	CPU     time.Duration
}

// PerSecond returns the operations per second.
func (r Result) PerSecond() float64 { return float64(r.Ops) / r.Took.Seconds() }

// Conns are connections to one server. They may not be used concurrently.
type Conns struct {
	epoll  int
	conns  []*conn
	events []syscall.EpollEvent
}

// Dial opens n connections to an address of IPv4. The caller closes them.
func Dial(addr string, n int) (*Conns, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	c := &Conns{epoll: epoll, events: make([]syscall.EpollEvent, min(n, 256))}
	for i := range n {
		conn, err := dial(epoll, to, i)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

// Close closes the connections.
func (c *Conns) Close() {
	for _, conn := range c.conns {
		conn.close()
	}
	syscall.Close(c.epoll)
}

// A run is a job that is being done.
type run struct {
	Job
	c        *Conns
	sent     int
	open     int // requests without an answer
	measures bool
	ended    bool
	from     time.Time // when the measurement began
	until    time.Time // when it may end
	cpu      time.Duration
	result   Result
}

// Run does a job. It returns the first error of a connection or an answer, and ctx's if
// that ends; the connections are of no use after an error.
func (c *Conns) Run(ctx context.Context, job Job) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := &run{Job: job, c: c, result: Result{Latency: new(Histogram)}}
	if job.Total > 0 {
		if err := r.mark(time.Now()); err != nil {
			return Result{}, err
		}
	}
	warm := time.Now().Add(job.For / 10)
	for _, conn := range c.conns {
		if err := r.next(conn); err != nil {
			return Result{}, err
		}
	}
	for r.open > 0 {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := r.wait(); err != nil {
			return Result{}, err
		}
		if now := time.Now(); !r.ended && r.due(now, warm) {
			if err := r.mark(now); err != nil {
				return Result{}, err
			}
		}
	}
	if !r.ended {
		return r.result, r.mark(time.Now())
	}
	return r.result, nil
}

// due says whether the measurement is to begin or to end.
func (r *run) due(now, warm time.Time) bool {
	switch {
	case r.Total > 0:
		return false
	case !r.measures:
		return now.After(warm)
	}
	return r.result.Ops > 0 && now.After(r.until)
}

// mark begins the measurement, or ends it.
func (r *run) mark(now time.Time) error {
	if r.measures {
		r.result.Took = now.Sub(r.from)
		r.result.CPU = ownCPU() - r.cpu
		r.measures, r.ended = false, true
	} else {
		r.measures, r.from, r.until = true, now, now.Add(r.For)
		r.cpu = ownCPU()
	}
	if r.Mark == nil {
		return nil
	}
	return r.Mark()
}

// next has a connection send its next request, if there is to be one.
func (r *run) next(c *conn) error {
	if r.ended || r.Total > 0 && r.sent == r.Total {
		return nil
	}
	c.n, c.busy = r.sent, true
	r.sent++
	r.open++
	c.out, c.sent = r.Request(c.out[:0], c.n), 0
	c.begun = time.Now()
	return c.send(r.c.epoll)
}

// wait waits for answers and goes on with the connections that have got them.
func (r *run) wait() error {
	err := r.c.wait(r.serve)
	if errors.Is(err, errSilence) {
		return fmt.Errorf("%w, %d requests wait", err, r.open)
	}
	return err
}

// serve goes on with a connection that has got something.
func (r *run) serve(c *conn) error {
	if !c.busy {
		return errors.New("an answer to no request")
	}
	if done, err := c.parse(); !done {
		return err
	}
	r.open--
	c.busy = false
	if r.measures {
		r.result.Ops++
		r.result.Latency.Record(time.Since(c.begun))
	}
	if err := r.Check(c.index, c.n, &c.resp); err != nil {
		return fmt.Errorf("request %d: %w; status %d, %.300q", c.n, err, c.resp.Status, c.resp.Body)
	}
	c.reset()
	return r.next(c)
}

// ownCPU returns the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0 // it cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
