// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"net/http"
	"net/http/pprof"
)

// pprofPath is where the profiles of the Go runtime are, with Options.Pprof.
const pprofPath = "/debug/pprof"

// servePprof answers the paths below pprofPath, to root alone while authentication is on:
// profiles hold parts of keys and take the processor. The command line, which net/http/pprof
// would tell, is left out as in /debug/vars.
func (h *Handler) servePprof(w http.ResponseWriter, r *http.Request) {
	var resp response
	if !h.requireRoot(&request{method: r.Method, path: r.URL.Path, credentials: credentialsOf(r)}, &resp) {
		writeHeader(w.Header(), &resp)
		sendBody(w, r, &resp)
		return
	}
	switch r.URL.Path {
	case pprofPath + "/profile":
		pprof.Profile(w, r)
	case pprofPath + "/symbol":
		pprof.Symbol(w, r)
	case pprofPath + "/trace":
		pprof.Trace(w, r)
	case pprofPath:
		http.Redirect(w, r, pprofPath+"/", http.StatusMovedPermanently)
	default:
		pprof.Index(w, r) // the list, and each profile by its name
	}
}
