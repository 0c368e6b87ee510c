// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"time"
)

// passFloorNote says what the floors of a pass are.
const passFloorNote = "The floors are measured by turns with the passes. That of a listing is a client in this process that asks the same store for the same keys, over a connection of its own, and throws away what comes: a pass takes as long for its keys, and renders them besides. That of a process is confd with -version, which is loaded, begins, and ends."

// floorOf names what the floor of a renderer does.
func floorOf(r renderer) string {
	if r.source == embedded {
		return "floor of a process"
	}
	return "floor of a listing"
}

// floor does what no pass can do without, and returns how long that took.
func (s *site) floor(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if s.source == embedded {
		err := exec.CommandContext(ctx, s.path, "-version").Run()
		return time.Since(start), err
	}
	err := s.receiveAll(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	return time.Since(start), err
}

// receiveAll has the store of a site send all keys, as the backend asks for them (see
// backends/etcd), and throws them away.
func (s *site) receiveAll(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.client+"/v2/keys/?quorum=true&recursive=true", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: listing all keys: %s", s.name, resp.Status)
	}
	return err
}
