// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"confd/raftkv/tree"
	"confd/raftkv/v2http/http1"
)

// The adapter: the one file that knows how net/http hands over a request and takes an
// answer.

const (
	// bodyTime is how long a client may take to send a body.
	bodyTime = 60 * time.Second

	// stallTime is how long a client may take nothing of an answer.
	stallTime = 30 * time.Second

	// smallUpload is how much of a body is read from a client before it is known whether
	// that may write.
	smallUpload = http1.MaxBody // the loop reads that much of any

	// smallBody is what fits into the socket's buffer for certain, and what net/http
	// gives a Content-Length by itself.
	smallBody = 2 << 10
)

// ServeHTTP answers one request. It returns when the answer is written; for a watch,
// when it has ended or the client has gone.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serveHTTP(w, r, false) }

// serveHTTP is ServeHTTP for one of the two ports.
func (h *Handler) serveHTTP(w http.ResponseWriter, r *http.Request, peer bool) {
	defer h.logPanic()
	if h.pprof && !peer && under(r.URL.Path, pprofPath) {
		h.servePprof(w, r)
		return
	}
	// An open watch holds on to as little as possible: not to the exchange, which may
	// have large buffers.
	if watcher, stream := h.answer(w, r, peer); watcher != nil {
		h.sendEvents(w, r, watcher, stream)
	}
}

// logPanic logs a panic, which net/http would tell at the level of a broken connection,
// and ends the request.
func (h *Handler) logPanic() {
	if p := recover(); p != nil {
		if p != http.ErrAbortHandler {
			h.log.Error("a request made the server panic", "err", p, "stack", string(debug.Stack()))
		}
		panic(http.ErrAbortHandler)
	}
}

// answer answers a request. For a watch it sets the headers and returns its watcher.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, peer bool) (watcher *tree.Watcher, stream bool) {
	x := h.exchanges.Get().(*exchange)
	defer func() {
		x.reset()
		h.exchanges.Put(x)
	}()
	x.req = request{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, host: r.Host, tls: r.TLS != nil, peer: peer, credentials: credentialsOf(r)}
	if ct := r.Header["Content-Type"]; len(ct) > 0 {
		x.req.contentType = ct[0]
	}
	if limit := h.bodyLimit(&x.req); limit > 0 && r.Body != http.NoBody {
		small := r.ContentLength >= 0 && r.ContentLength <= smallUpload
		if x.req.denied = !small && !h.mayUpload(r.Context(), &x.req); !x.req.denied {
			x.buffers = &h.buffers
			x.readBody(w, r, limit)
		}
	}
	began := time.Now()
	h.serve(r.Context(), &x.req, &x.resp)
	h.meters.observe(&x.req, &x.resp, time.Since(began))
	writeHeader(w.Header(), &x.resp)
	if h.cors != nil && !peer {
		h.cors.writeHeader(w.Header(), r.Header)
	}
	switch {
	case x.resp.download != nil:
		sendDownload(w, r, x.resp.status, x.resp.download)
	case x.resp.watcher == nil:
		sendBody(w, r, &x.resp)
	}
	return x.resp.watcher, x.resp.stream
}

// credentialsOf returns the credentials of r.
func credentialsOf(r *http.Request) credentials {
	c := credentials{from: r.RemoteAddr}
	if a := r.Header["Authorization"]; len(a) > 0 {
		c.authorization = a[0]
	}
	// The certificate itself, not those that signed it.
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.certified = r.TLS.VerifiedChains[0][0].Subject.CommonName
	}
	return c
}

// The header values that never change, shared by all answers; nobody appends to them.
var (
	headerJSON    = []string{typeJSON}
	headerNoSniff = []string{"nosniff"}
	headerClose   = []string{"close"}
)

// writeHeader sets the fields of resp. The names are in the canonical form that
// http.Header has as keys.
func writeHeader(hd http.Header, resp *response) {
	switch resp.contentType {
	case "":
	case typeJSON:
		hd["Content-Type"] = headerJSON
	default:
		hd["Content-Type"] = []string{resp.contentType}
	}
	if resp.noSniff {
		hd["X-Content-Type-Options"] = headerNoSniff
	}
	if resp.allow != "" {
		hd["Allow"] = []string{resp.allow}
	}
	if resp.location != "" {
		hd["Location"] = []string{resp.location}
	}
	if resp.closes {
		hd["Connection"] = headerClose
	}
	// One array and one string hold the values of the four fields that every answer
	// about a key has.
	var values [4]string
	var scratch [64]byte
	n := scratch[:0]
	if resp.hasIndex {
		n = strconv.AppendUint(n, resp.etcdIndex, 10)
	}
	i := len(n)
	if resp.hasRaft {
		n = strconv.AppendUint(n, resp.raftIndex, 10)
	}
	j := len(n)
	if resp.hasRaft {
		n = strconv.AppendUint(n, resp.raftTerm, 10)
	}
	text := string(n)
	values = [4]string{resp.clusterID, text[:i], text[i:j], text[j:]}
	for k, name := range [4]string{"X-Etcd-Cluster-Id", "X-Etcd-Index", "X-Raft-Index", "X-Raft-Term"} {
		if values[k] != "" {
			hd[name] = values[k : k+1 : k+1]
		}
	}
}

// sendBody sends the status and the body.
func sendBody(w http.ResponseWriter, r *http.Request, resp *response) {
	size := resp.size()
	if size <= smallBody && len(resp.parts) == 0 { // then there are no inserts
		w.WriteHeader(resp.status)
		// An error means that the client has gone.
		_, _ = w.Write(resp.body)
		return
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
	w.WriteHeader(resp.status)
	if r.Method == "HEAD" {
		return
	}
	rc := http.NewResponseController(w)
	for part := range resp.pieces(0) {
		_ = rc.SetWriteDeadline(time.Now().Add(stallTime))
		if _, err := w.Write(part); err != nil {
			return
		}
	}
	_ = rc.Flush()
	_ = rc.SetWriteDeadline(time.Time{})
}

// sendEvents sends the headers at once and then the events of the watcher, until it
// ends, the client has gone or does not read, or watches are to end. It returns at once
// if the connection can be taken over.
func (h *Handler) sendEvents(w http.ResponseWriter, r *http.Request, watcher *tree.Watcher, stream bool) {
	rc := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if rc.Flush() != nil {
		watcher.Close()
		return
	}
	if h.takeOver(w, r, watcher, stream) {
		return
	}
	defer watcher.Close()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-h.ended:
			return
		case e, ok := <-watcher.C:
			if !ok || !h.sendEvent(w, rc, e, len(watcher.C) == 0) || !stream {
				return
			}
		}
	}
}

// sendEvent sends one event, at once if it is the last for now. It reports whether the
// client has taken it.
func (h *Handler) sendEvent(w http.ResponseWriter, rc *http.ResponseController, e *tree.Event, last bool) bool {
	x := h.exchanges.Get().(*exchange)
	defer func() {
		x.reset()
		h.exchanges.Put(x)
	}()
	x.resp.body = append(tree.AppendEvent(x.resp.body[:0], e), '\n')
	_ = rc.SetWriteDeadline(time.Now().Add(stallTime))
	if _, err := w.Write(x.resp.body); err != nil {
		return false
	}
	if last && rc.Flush() != nil {
		return false
	}
	_ = rc.SetWriteDeadline(time.Time{})
	h.meters.events.Add(1)
	return true
}
