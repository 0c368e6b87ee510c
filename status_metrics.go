// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"confd/raftkv"
	"confd/resource"
)

// resourceMetrics are the metrics that each resource has a sample of.
var resourceMetrics = []struct {
	kind, name, help string
	value            func(resource.Status) uint64
}{
	{"gauge", "confd_resource_up_to_date", "1 if nothing is left to do for the resource, else 0.",
		func(s resource.Status) uint64 { return bit(s.UpToDate()) }},
	{"gauge", "confd_resource_reload_due", "1 if a reload is due, else 0.",
		func(s resource.Status) uint64 { return bit(s.Pending) }},
	{"gauge", "confd_resource_edit_broken", "1 if the resource's file or template cannot be used as it is now and the version of before goes on, else 0.",
		func(s resource.Status) uint64 { return bit(s.Broken != nil) }},
	{"gauge", "confd_resource_failures", "Attempts that have failed in a row.",
		func(s resource.Status) uint64 { return uint64(s.Failures) }},
	{"counter", "confd_resource_writes_total", "How often the destination was replaced.",
		func(s resource.Status) uint64 { return s.Writes }},
	{"counter", "confd_resource_reloads_total", "Reloads that have succeeded.",
		func(s resource.Status) uint64 { return s.Reloads }},
	{"counter", "confd_resource_reload_failures_total", "Reloads that have failed.",
		func(s resource.Status) uint64 { return s.ReloadFailures }},
	{"counter", "confd_resource_rollbacks_total", "How often the earlier file was put back after a reload had failed.",
		func(s resource.Status) uint64 { return s.Rollbacks }},
}

// resourceTimes are the durations that each resource has a sample of.
var resourceTimes = []struct {
	name, help string
	value      func(resource.Status) time.Duration
}{
	{"confd_resource_render_seconds", "How long the last rendering took.", func(s resource.Status) time.Duration { return s.RenderTook }},
	{"confd_resource_check_seconds", "How long the last check took.", func(s resource.Status) time.Duration { return s.CheckTook }},
	{"confd_resource_reload_seconds", "How long the last reload took.", func(s resource.Status) time.Duration { return s.ReloadTook }},
}

// resourceSteps are the five indexes.
var resourceSteps = []struct {
	name  string
	value func(resource.Status) uint64
}{
	{"seen", func(s resource.Status) uint64 { return s.Seen }},
	{"rendered", func(s resource.Status) uint64 { return s.Rendered }},
	{"checked", func(s resource.Status) uint64 { return s.Checked }},
	{"written", func(s resource.Status) uint64 { return s.Written }},
	{"reloaded", func(s resource.Status) uint64 { return s.Reloaded }},
}

func (s *statusServer) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	var page raftkv.MetricsPage
	s.writeMetrics(&page, time.Now())
	metrics.WriteProcessMetrics(&page)
	metrics.WriteFDMetrics(&page)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(page.Bytes()) // a client that has gone wants no answer
}

func (s *statusServer) writeMetrics(p *raftkv.MetricsPage, now time.Time) {
	state := s.state()
	age := time.Duration(0)
	if state.Err != nil {
		age = now.Sub(state.Since)
	}
	p.Gauge("confd_backend_reachable", "1 if the backend answers, else 0.", bit(state.Err == nil))
	p.Begin("gauge", "confd_backend_age_seconds", "For so long nothing may have been heard of changes; 0 while the backend answers.")
	p.Seconds("", age)
	p.Gauge("confd_files_broken", "Resource files that cannot be used as they are now, for themselves or for their templates.", uint64(len(state.Broken)))
	p.Gauge("confd_resources_stuck", "Lanes whose pass takes longer than all its commands may.", uint64(len(state.Stuck)))
	for _, m := range resourceMetrics {
		p.Begin(m.kind, m.name, m.help)
		for _, r := range state.Resources {
			p.Uint(label("resource", r.Name), m.value(r))
		}
	}
	for _, m := range resourceTimes {
		p.Begin("gauge", m.name, m.help)
		for _, r := range state.Resources {
			p.Seconds(label("resource", r.Name), m.value(r))
		}
	}
	p.Begin("gauge", "confd_resource_index", "Index of the newest snapshot that the step was done for.")
	for _, r := range state.Resources {
		for _, step := range resourceSteps {
			p.Uint(label("resource", r.Name)+","+label("step", step.name), step.value(r))
		}
	}
}

func bit(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// label returns a label of a sample.
func label(name, value string) string { return name + `="` + labelEscapes.Replace(value) + `"` }
