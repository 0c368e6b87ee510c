// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"time"

	"confd/resource"
)

// daemonOptions are those for a confd that stays.
var daemonOptions = []option{
	{name: "wait", arg: "MIN[:MAX]", at: func(s *settings) any { return &s.Wait },
		help: "render when keys have not changed for MIN, and after MAX in any case, as in 2s:10s; for resources that have no wait of their own"},
	{name: "splay", arg: "DURATION", at: func(s *settings) any { return &s.Splay },
		help: "add a random time up to this, so that many machines do not reload at once; for resources that have none of their own"},
	{name: "stop-timeout", arg: "DURATION", at: func(s *settings) any { return &s.StopTimeout }, def: "30s",
		help: "how long a reload that runs is waited for when confd is told to end"},
	{name: "status-addr", arg: "HOST:PORT", at: func(s *settings) any { return &s.StatusAddr },
		help: "serve /status, /healthz, /readyz and /metrics of the rendering here; confd status reads it"},
}

// A pace is what the options of that section come to.
type pace struct {
	wait        resource.Window
	splay       time.Duration
	stopTimeout time.Duration
}

// parsePace returns the pace, and every fault of its options.
func parsePace(s *settings) (p pace, faults []error) {
	var err error
	if s.Wait != "" {
		if p.wait, err = resource.ParseWindow(s.Wait); err != nil {
			faults = append(faults, fmt.Errorf("-wait %s: %w", s.Wait, err))
		}
	}
	for _, o := range []struct {
		name, text string
		to         *time.Duration
	}{{"splay", s.Splay, &p.splay}, {"stop-timeout", s.StopTimeout, &p.stopTimeout}} {
		if o.text == "" {
			continue
		}
		if *o.to, err = time.ParseDuration(o.text); err != nil || *o.to < 0 {
			faults = append(faults, fmt.Errorf("-%s %s: want a duration such as 30s", o.name, o.text))
		}
	}
	if s.StatusAddr != "" {
		if _, _, err := net.SplitHostPort(s.StatusAddr); err != nil {
			faults = append(faults, fmt.Errorf("-status-addr %s: want HOST:PORT, such as 127.0.0.1:4080", s.StatusAddr))
		}
	}
	return p, faults
}
