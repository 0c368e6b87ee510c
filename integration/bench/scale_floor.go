// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// scaleFloorNote says what the rows are that scaleFloor measures.
const scaleFloorNote = "A floor is what is left if rendering costs nothing, with the same store: of a start, a bare client is sent the keys, and then a program that does nothing else writes, syncs and renames 1,000 files of the same size, 64 at a time; " +
	"of a write to each, such a program is told of each write when it is acknowledged. So it is about the least that any renderer takes here."

// filesAtOnce is how many files a floor writes at a time, as confd does.
const filesAtOnce = 64

// scaleFloor measures what a start, in seconds, and a write to each template, in milliseconds
// after the last, take if nothing is rendered. The renderer is stopped before.
func (s *site) scaleFloor(ctx context.Context, m *scaled, templates int) error {
	dir := filepath.Join(s.dir, "floor")
	if err := errors.Join(s.stop(), os.Mkdir(dir, 0o755)); err != nil {
		return err
	}
	text := make([]byte, keysEach*len("v0\n"))
	start := time.Now()
	if err := s.receiveAll(ctx, s.b.http); err != nil {
		return err
	}
	err := parallel(filesAtOnce, templates, func(i int) error { return placeAlone(dir, i, text) })
	if err != nil {
		return err
	}
	m.startFloor = time.Since(start).Seconds()
	m.settledFloor, err = s.burstFloor(ctx, dir, text, templates)
	return err
}

// burstFloor writes a key of each template, as burst does, and a file for each write that is
// acknowledged. It returns how many milliseconds the last of them came after the last
// acknowledgement.
func (s *site) burstFloor(ctx context.Context, dir string, text []byte, templates int) (float64, error) {
	acked := make(chan int, templates)
	written := make(chan error, 1)
	go func() {
		written <- parallel(filesAtOnce, templates, func(int) error {
			if i, ok := <-acked; ok {
				return placeAlone(dir, i, text)
			}
			return nil
		})
	}()
	err := parallel(16, templates, func(i int) error {
		err := s.put(ctx, fmt.Sprintf("/app%d/key9", i), "floor")
		acked <- i
		return err
	})
	last := time.Now()
	close(acked)
	err = errors.Join(err, <-written)
	return ms(time.Since(last)), err
}

// placeAlone writes a file of the folder, syncs it and gives it its name.
func placeAlone(dir string, i int, text []byte) error {
	name := filepath.Join(dir, fmt.Sprintf("r%d", i))
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close(), os.Rename(name+".new", name))
}
