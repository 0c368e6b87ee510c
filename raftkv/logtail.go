// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import "github.com/hashicorp/raft"

// This file is the goroutine of an aheadLog, which writes its tail to the disk.

// writeLoop writes the tail.
func (l *aheadLog) writeLoop() {
	defer close(l.ended)
	for {
		select {
		case <-l.wake:
			l.writeTail()
		case <-l.closing:
			l.writeTail()
			l.pipe.turn <- struct{}{} // what is synced still
			l.pipe.turn.give()
			return
		}
	}
}

// writeTail writes until there is nothing left, or a write fails. What is large is written
// while the disk syncs what was before it, and all that was written meanwhile is synced at once: see
// logPipe.
func (l *aheadLog) writeTail() {
	held := 0 // entries that are in the file, and not to be synced yet
	for {
		es := l.nextPart()
		var err error
		switch {
		case len(es) > 0 && held == 0 && sizeOf(es) < pipedBytes:
			err = l.writePart(es)
		case len(es) > 0:
			held += len(es)
			if err = l.logStore.begin(es); err == nil && l.pipe.turn.try() {
				held = l.commit(held)
			}
		case held == 0:
			return
		default:
			select {
			case l.pipe.turn <- struct{}{}:
				held = l.commit(held)
			case <-l.wake:
			}
		}
		if err != nil { // the node has been told
			return
		}
	}
}

// nextPart returns the next entries that are to be written.
func (l *aheadLog) nextPart() []*raft.Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	es := bounded(l.tail[l.begun:])
	l.begun += len(es)
	return es
}

// writePart writes a part of the tail to the disk.
func (l *aheadLog) writePart(es []*raft.Log) error {
	l.pipe.turn <- struct{}{}
	defer l.pipe.turn.give()
	err := l.logStore.StoreLogs(es)
	if err == nil {
		l.wrote(len(es))
	}
	return err
}

// commit has the next count entries of the tail synced, in its turn. It returns 0.
func (l *aheadLog) commit(count int) int {
	sync := l.logStore.commit()
	go func() { // close waits for its turn
		defer l.pipe.turn.give()
		if sync() == nil {
			l.wrote(count)
		}
	}()
	return 0
}

// wrote notes that the first count entries of the tail are on the disk.
func (l *aheadLog) wrote(count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	es := l.tail[:count]
	l.size -= sizeOf(es)
	l.begun -= count
	l.durable.Store(lastOf(es))
	l.tail = l.tail[count:] // where another part of it is being written
	if len(l.tail) == 0 {
		l.tail = es[:0]
	}
	clear(es)
	close(l.written)
	l.written = make(chan struct{})
}
