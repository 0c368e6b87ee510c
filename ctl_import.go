// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"confd/raftkv/client"
)

const (
	importWriters    = 16 // writes under way at a time; the store commits them together
	progressInterval = 2 * time.Second

	// maxImportTTL is the longest time to live in seconds, a hundred years: the store
	// refuses more than 136, and etcd overflows at 292.
	maxImportTTL = 100 * 365 * 24 * 60 * 60
)

// An importRun is one run of import.
type importRun struct {
	c       *call
	keep    bool
	now     time.Time
	dirs    []*client.Node // those that no file brings along, in order
	files   []*client.Node
	expired int
	written atomic.Int64
	kept    atomic.Int64
}

func runImport(ctx context.Context, c *call) error {
	in := io.Reader(c.in)
	if len(c.args) > 0 && c.args[0] != "-" {
		f, err := os.Open(c.args[0])
		if err != nil {
			return failure("opening the copy: %w", err)
		}
		defer f.Close()
		in = f
	}
	run := &importRun{c: c, keep: c.on("keep"), now: time.Now()}
	if err := run.read(in); err != nil {
		return err
	}
	if err := c.patient(copyPatience); err != nil {
		return err
	}
	err := run.write(ctx)
	if errors.Is(err, context.Canceled) {
		return failure("interrupted: %d of %d keys were written", run.written.Load(), len(run.files))
	}
	if err != nil {
		return fmt.Errorf("%d of %d keys were written: %w", run.written.Load(), len(run.files), err)
	}
	c.say("Imported %d keys; %d existed and were kept, %d had expired", run.written.Load(), run.kept.Load(), run.expired)
	return nil
}

// read takes a copy apart. It fails without having written anything.
func (run *importRun) read(in io.Reader) error {
	d := json.NewDecoder(in)
	for n := 1; ; n++ {
		var e client.Event
		err := d.Decode(&e)
		switch {
		case err == io.EOF && n > 1:
			return nil
		case err == io.EOF:
			return failure("the copy is empty")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return failure("the copy ends in the middle")
		case err != nil || e.Node == nil: // the error of package json may repeat a value
			return hint(failure("object %d of the copy is not a listing of the v2 API", n),
				"import reads what confd export writes, confd restore what confd backup writes; -backend file renders from plain YAML or JSON files")
		}
		if e.Node.Key == "" {
			e.Node.Key = "/"
		}
		if err := run.add(e.Node); err != nil {
			return err
		}
	}
}

// add sorts a node and all below it into directories and files.
func (run *importRun) add(n *client.Node) error {
	switch {
	case n.Key == "":
		return failure("the copy has a key without a name")
	case n.Key != path.Clean("/"+n.Key): // the API would take it for another key
		return failure("the copy's %q is not a clean key; it would become %q", n.Key, path.Clean("/"+n.Key))
	}
	expires, err := expiration(n, run.now)
	if err != nil {
		return failure("the copy's %q: %w", n.Key, err)
	}
	if !expires.IsZero() && !expires.After(run.now) {
		run.expired += countFiles(n)
		return nil
	}
	if !n.Dir {
		run.files = append(run.files, n)
		return nil
	}
	if n.Key != "/" && (len(n.Nodes) == 0 || !expires.IsZero()) {
		run.dirs = append(run.dirs, n)
	}
	for _, child := range n.Nodes {
		if err := run.add(child); err != nil {
			return err
		}
	}
	return nil
}

// expiration returns when a node goes; the zero time is never.
func expiration(n *client.Node, now time.Time) (time.Time, error) {
	switch {
	case n.Expiration != "":
		at, err := time.Parse(time.RFC3339Nano, n.Expiration)
		if err != nil {
			return time.Time{}, errors.New("its expiration is not a time")
		}
		return at, nil
	case n.TTL != 0:
		return now.Add(time.Duration(min(max(n.TTL, -maxImportTTL), maxImportTTL)) * time.Second), nil
	}
	return time.Time{}, nil
}

// write makes the directories, one after the other, then the files, many at a time.
func (run *importRun) write(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer run.progress()()
	for _, n := range run.dirs {
		if err := run.makeDir(ctx, n); err != nil {
			return fmt.Errorf("writing %q: %w", n.Key, err)
		}
	}
	queue := make(chan *client.Node)
	var writers sync.WaitGroup
	for range importWriters {
		writers.Go(func() {
			for n := range queue {
				if err := run.writeFile(ctx, n); err != nil {
					cancel(fmt.Errorf("writing %q: %w", n.Key, err))
				}
			}
		})
	}
	for _, n := range run.files {
		select {
		case queue <- n:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	writers.Wait()
	return context.Cause(ctx)
}

// progress tells every two seconds how far the run is, until the function that it
// returns is called.
func (run *importRun) progress() (stop func()) {
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintf(run.c.stderr, "confd: imported %d of %d keys\n", run.written.Load(), len(run.files))
			}
		}
	})
	return func() {
		close(done)
		telling.Wait()
	}
}

// makeDir makes a directory, or gives the one that is there its time to live.
func (run *importRun) makeDir(ctx context.Context, n *client.Node) error {
	opts := client.SetOptions{Dir: true, TTL: run.ttl(n)}
	_, err := run.c.conn.Create(ctx, n.Key, "", opts)
	switch {
	case !client.IsCode(err, client.CodeNodeExist):
		return err
	case run.keep:
		return nil
	}
	// What exists may be a file; an update would empty it.
	r, err := run.c.conn.Get(ctx, n.Key, client.GetOptions{Quorum: true})
	if err != nil {
		return err
	}
	if !r.Event.Node.Dir {
		return failure("the copy has a directory there, the store a value")
	}
	if opts.TTL == 0 {
		return nil
	}
	_, err = run.c.conn.Update(ctx, n.Key, "", opts)
	return err
}

func (run *importRun) writeFile(ctx context.Context, n *client.Node) error {
	opts := client.SetOptions{TTL: run.ttl(n)}
	var err error
	if run.keep {
		_, err = run.c.conn.Create(ctx, n.Key, valueOf(n), opts)
	} else {
		_, err = run.c.conn.Set(ctx, n.Key, valueOf(n), opts)
	}
	if run.keep && client.IsCode(err, client.CodeNodeExist) {
		run.kept.Add(1)
		return nil
	}
	if err == nil {
		run.written.Add(1)
	}
	return err
}

// ttl returns the whole seconds that a node has left, from one to maxImportTTL, or 0 for
// ever.
func (run *importRun) ttl(n *client.Node) uint64 {
	at, err := expiration(n, run.now)
	if err != nil || at.IsZero() {
		return 0
	}
	left := min(time.Until(at), maxImportTTL*time.Second) // Until says 292 years for all that is later
	return uint64(max(1, (left+time.Second-1)/time.Second))
}
