// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	headerTime = 10 * time.Second
	idleTime   = 5 * time.Minute
	maxHeader  = 1 << 20
)

// Server returns a server for h: 10 s for the headers of a request, 5 minutes for an idle
// connection, 1 MB of headers, no limit on the time of an answer, which for a watch may be
// days. Shutdown ends the watches, if h is a Handler or has its EndWatches, and waits for
// everything else. log gets what net/http has to say about single connections; nil
// discards it.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if w, ok := h.(interface{ EndWatches() }); ok {
		srv.RegisterOnShutdown(w.EndWatches)
	}
	return srv
}
