// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"confd/raftkv"
)

// typeMetrics is the text format of Prometheus.
const typeMetrics = "text/plain; version=0.0.4; charset=utf-8"

// Requests are counted by method, class of route and status. What is not in these
// tables is "other", so that no client can make new series.
var (
	meteredMethods = [...]string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "other"}
	meteredRoutes  = [...]string{
		"keys", "watch", "stats", "members", "auth", "admin", "machines", "discovery", "health", "version", "metrics", "debug", "other",
	}
	meteredStatuses = [...]int{
		200, 201, 204, 301, 307, 400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 429, 500, 501, 502, 503, 504, 0,
	}
)

const (
	routeKeys = iota
	routeWatch
)

// meteredPaths holds the class of the paths that are not keys, by their first component;
// below /v2, by the second.
var meteredPaths = map[string]uint8{
	"stats": 2, "self": 2, "members": 3, "auth": 4, "admin": 5, "machines": 6, "leader": 6, "peers": 6,
	"discovery": 7, "new": 7, "health": 8, "version": 9, "metrics": 10, "debug": 11,
}

// meters are what a Handler counts.
type meters struct {
	// Those of series that have occurred.
	requests [len(meteredMethods)][len(meteredRoutes)][len(meteredStatuses)]atomic.Pointer[raftkv.Histogram]

	events atomic.Uint64 // sent to watches
}

// observe counts a request that took that long to answer; for a watch, until its headers
// are ready. It allocates nothing but for the first of its kind.
func (m *meters) observe(r *request, resp *response, took time.Duration) {
	route := routeWatch
	if resp.watcher == nil {
		route = routeOf(r.path)
	}
	series := &m.requests[methodOf(r.method)][route][statusIndex(resp.status)]
	h := series.Load()
	if h == nil {
		h = new(raftkv.Histogram)
		if !series.CompareAndSwap(nil, h) {
			h = series.Load()
		}
	}
	h.Observe(took)
}

func methodOf(method string) int {
	for i, m := range meteredMethods {
		if m == method {
			return i
		}
	}
	return len(meteredMethods) - 1
}

func statusIndex(status int) int {
	for i, s := range meteredStatuses {
		if s == status {
			return i
		}
	}
	return len(meteredStatuses) - 1
}

func routeOf(path string) int {
	if under(path, keysPath) {
		return routeKeys
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if first == "v2" {
		first, _, _ = strings.Cut(rest, "/")
	}
	if route, ok := meteredPaths[first]; ok {
		return int(route)
	}
	return len(meteredRoutes) - 1
}

// serveMetrics answers /metrics: what the node, the handler and the process count.
func (h *Handler) serveMetrics(_ context.Context, _ *request, resp *response) {
	var page raftkv.MetricsPage
	h.node.WriteMetrics(&page)
	h.meters.write(&page)
	metrics.WriteProcessMetrics(&page)
	metrics.WriteFDMetrics(&page)
	resp.status = 200
	resp.contentType = typeMetrics
	resp.body = append(resp.body[:0], page.Bytes()...)
}

func (m *meters) write(p *raftkv.MetricsPage) {
	p.Begin("histogram", "confd_http_request_duration_seconds", "Requests, from their body being read to their answer being ready; a watch until its headers are.")
	for i, method := range meteredMethods {
		for j, route := range meteredRoutes {
			for k, status := range meteredStatuses {
				h := m.requests[i][j][k].Load()
				if h == nil {
					continue
				}
				code := "other"
				if status != 0 {
					code = strconv.Itoa(status)
				}
				p.Histogram(`method="`+method+`",route="`+route+`",code="`+code+`"`, h)
			}
		}
	}
	p.Counter("confd_http_watch_events_total", "Events sent to long polls and streams.", m.events.Load())
}
