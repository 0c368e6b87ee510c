// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"confd/raftkv"
	"confd/resource"
)

// A statusPage is what /status answers. Times that have not come are left out.
type statusPage struct {
	Version   string           `json:"version"`
	Started   time.Time        `json:"started"`
	UpToDate  bool             `json:"up_to_date"` // all of them
	Backend   backendStatus    `json:"backend"`
	Resources []resourceStatus `json:"resources"`
	Broken    []brokenStatus   `json:"broken"` // files that cannot be used as they are now
}

// A brokenStatus is a resource file that an edit has broken, or its template.
type brokenStatus struct {
	File           string    `json:"file"`                    // of conf.d, or that directory
	Resources      []string  `json:"resources"`               // of it, as long as they go on
	EarlierVersion bool      `json:"earlier_version_applies"` // their version of before goes on
	Since          time.Time `json:"since"`
	Errors         []string  `json:"errors"` // each as FILE:LINE:COLUMN: WHAT
}

type backendStatus struct {
	Name      string  `json:"name"`
	Reachable bool    `json:"reachable"`
	Age       float64 `json:"age_seconds"` // for so long nothing may have been heard of changes
	Error     string  `json:"error,omitempty"`
}

// A resourceStatus is one row. The five indexes are those of the backend's snapshots.
type resourceStatus struct {
	Name     string `json:"name"`
	Dest     string `json:"dest"`
	Bundle   string `json:"bundle,omitempty"`
	State    string `json:"state"` // up to date, failed, edit broken, reload due or not yet
	UpToDate bool   `json:"up_to_date"`

	Seen     uint64 `json:"seen"`
	Rendered uint64 `json:"rendered"`
	Checked  uint64 `json:"checked"`
	Written  uint64 `json:"written"`
	Reloaded uint64 `json:"reloaded"`

	ReloadDue bool       `json:"reload_due"`
	Error     string     `json:"error,omitempty"` // of the last attempt, with what the command printed
	Failures  int        `json:"failures"`        // in a row
	Retry     *time.Time `json:"retry,omitempty"` // of what the error is about; none after a rollback

	ReloadError string     `json:"reload_error,omitempty"` // of the last reload, as long as it is due
	ReloadRetry *time.Time `json:"reload_retry,omitempty"`

	SeenAt         *time.Time `json:"seen_at,omitempty"`
	WrittenAt      *time.Time `json:"written_at,omitempty"`
	RenderSeconds  float64    `json:"render_seconds"` // the last time
	CheckSeconds   float64    `json:"check_seconds"`
	ReloadSeconds  float64    `json:"reload_seconds"`
	Writes         uint64     `json:"writes"`
	Reloads        uint64     `json:"reloads"`
	ReloadFailures uint64     `json:"reload_failures"`
	Rollbacks      uint64     `json:"rollbacks"`
}

// A statusServer answers for a runner.
type statusServer struct {
	runner  atomic.Pointer[resource.Runner]
	open    atomic.Bool // the backend is, and the runner works
	backend string
	started time.Time
}

// errNotOpen is what is wrong with the backend until it is open.
var errNotOpen = errors.New("it is not open yet: other nodes, or the servers, are waited for; the log says for which")

// begin has it answer for a runner that works.
func (s *statusServer) begin(runner *resource.Runner) {
	s.runner.Store(runner)
	s.open.Store(true)
}

// state returns how the runner does.
func (s *statusServer) state() resource.State {
	open := s.open.Load()
	state := s.runner.Load().State()
	if !open {
		state.Since, state.Err = s.started, errNotOpen
	}
	return state
}

// listenStatus opens the status port; nil if there is none.
func (p *program) listenStatus(ctx context.Context) (net.Listener, error) {
	if p.StatusAddr == "" {
		return nil, nil
	}
	l, err := raftkv.Listen(ctx, p.StatusAddr)
	if err != nil {
		return nil, hint(fmt.Errorf("opening the status port: %w", err), "choose another address with -status-addr")
	}
	return l, nil
}

// serveStatus serves the status port, if there is one, until the function that it
// returns is called, which may be done more than once. Until begin, it answers for a
// runner that waits. fail is called if it cannot go on.
func (p *program) serveStatus(l net.Listener, waiting *resource.Runner, fail func(error)) (*statusServer, func()) {
	s := &statusServer{backend: p.Backend, started: time.Now()}
	s.runner.Store(waiting)
	if l == nil {
		return s, func() {}
	}
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	p.log.Info("serving the status", "url", "http://"+reachable(l.Addr().String())+"/status")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serving the status port: %w", err))
		}
	}()
	return s, func() { srv.Close(); <-done }
}

func (s *statusServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.HandleFunc("GET /healthz", s.serveHealth)
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	return mux
}

func (s *statusServer) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(s.page(time.Now())) // a client that has gone wants no answer
}

// serveHealth tells whether the process works at all: a supervisor restarts it if not.
func (s *statusServer) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if stuck := s.state().Stuck; len(stuck) > 0 {
		http.Error(w, "stuck: "+strings.Join(stuck, ", "), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// serveReady tells whether every file has been up to date once: what reads them can be
// started. It stays so when a later change fails, since the files of before are in place.
func (s *statusServer) serveReady(w http.ResponseWriter, _ *http.Request) {
	var missing []string
	state := s.state()
	if missed := slices.ContainsFunc(state.Resources, func(r resource.Status) bool { return !r.Done }); state.Err != nil && (missed || errors.Is(state.Err, errNotOpen)) {
		missing = append(missing, "backend "+s.backend+" not reachable: "+oneLine(state.Err.Error()))
	}
	for _, r := range state.Resources {
		if !r.Done {
			line := r.Name + ": " + stateOf(r)
			if r.Err != nil {
				line += ": " + oneLine(r.Err.Error())
			}
			missing = append(missing, line)
		}
	}
	for _, b := range brokenRows(state.Broken) {
		if !b.EarlierVersion {
			missing = append(missing, b.File+": broken: "+oneLine(strings.Join(b.Errors, " | ")))
		}
	}
	if missing != nil {
		http.Error(w, strings.Join(missing, "\n"), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// page returns what there is to say.
func (s *statusServer) page(now time.Time) statusPage {
	state := s.state()
	page := statusPage{
		Version:   version,
		Started:   s.started.UTC().Round(time.Second),
		UpToDate:  state.Err == nil && len(state.Broken) == 0,
		Backend:   backendStatus{Name: s.backend, Reachable: state.Err == nil},
		Resources: []resourceStatus{},
		Broken:    brokenRows(state.Broken),
	}
	if state.Err != nil {
		page.Backend.Age, page.Backend.Error = now.Sub(state.Since).Seconds(), state.Err.Error()
	}
	for _, r := range state.Resources {
		row := rowOf(r)
		page.UpToDate = page.UpToDate && row.UpToDate
		page.Resources = append(page.Resources, row)
	}
	return page
}

func brokenRows(broken []resource.Broken) []brokenStatus {
	rows := []brokenStatus{}
	for _, b := range broken {
		row := brokenStatus{File: b.Path, Resources: b.Names, EarlierVersion: len(b.Names) > 0, Since: b.Since.UTC().Round(time.Millisecond)}
		if row.File == "" {
			row.File = "conf.d"
		}
		if row.Resources == nil {
			row.Resources = []string{}
		}
		for _, e := range flatten(b.Err) {
			row.Errors = append(row.Errors, e.Error())
		}
		rows = append(rows, row)
	}
	return rows
}

func rowOf(r resource.Status) resourceStatus {
	row := resourceStatus{
		Name: r.Name, Dest: r.Dest, Bundle: r.Bundle, State: stateOf(r), UpToDate: r.UpToDate(),
		Seen: r.Seen, Rendered: r.Rendered, Checked: r.Checked, Written: r.Written, Reloaded: r.Reloaded,
		ReloadDue: r.Pending, ReloadRetry: moment(r.ReloadRetry), Failures: r.Failures, Retry: moment(r.Retry),
		SeenAt: moment(r.SeenAt), WrittenAt: moment(r.WrittenAt),
		RenderSeconds: r.RenderTook.Seconds(), CheckSeconds: r.CheckTook.Seconds(), ReloadSeconds: r.ReloadTook.Seconds(),
		Writes: r.Writes, Reloads: r.Reloads, ReloadFailures: r.ReloadFailures, Rollbacks: r.Rollbacks,
	}
	if r.Err != nil {
		row.Error = r.Err.Error()
	}
	if r.ReloadErr != nil {
		row.ReloadError = r.ReloadErr.Error()
	}
	return row
}

// stateOf returns how the resource does, in two words.
func stateOf(r resource.Status) string {
	switch {
	case r.Err != nil:
		return "failed"
	case r.Broken != nil:
		return "edit broken"
	case r.Pending:
		return "reload due"
	case !r.UpToDate():
		return "not yet"
	}
	return "up to date"
}

// moment returns a time that has come, nil for one that has not.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Round(time.Millisecond)
	return &t
}
