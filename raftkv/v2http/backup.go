// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"confd/raftkv"
)

// backupPath is where a backup of the whole state is read, on the client port: that is the
// one which people and their scripts reach.
const backupPath = "/v2/admin/backup"

// maxBackups is how many backups may be under way at once. Each reads the whole state.
const maxBackups = 2

// serveBackup answers with a backup in raftkv's format. With stale=true it is this node's
// own state, and needs no leader.
//
// With authentication on it takes the role root. With authentication off everybody can
// read all keys anyway, but not the hashes of passwords. So while there are users, it is
// refused.
func (h *Handler) serveBackup(ctx context.Context, r *request, resp *response) {
	if !h.requireRoot(r, resp) {
		return
	}
	if !h.auth.Enabled() && len(h.auth.Users()) > 0 {
		resp.message(403, "there are users, and authentication is off: a backup would give the hashes of their passwords to anybody; "+
			"enable authentication, and ask as a user with the role root")
		return
	}
	query, err := url.ParseQuery(r.query)
	if err != nil {
		resp.message(400, err.Error())
		return
	}
	stale := false
	switch text := query.Get("stale"); text {
	case "", "false":
	case "true":
		stale = true
	default:
		resp.message(400, "stale: want true or false, not "+text)
		return
	}
	if !stale {
		if _, err := h.node.Linearizable(ctx); err != nil {
			h.log.WarnContext(ctx, "refusing a backup", "err", err)
			resp.message(503, causeOf(err)+"; with stale=true this node's own state is taken, which may lack the last changes")
			return
		}
	}
	select {
	case h.backups <- struct{}{}:
	default:
		resp.message(503, "other backups are under way; try again later")
		return
	}
	resp.status = 200
	resp.contentType = "application/octet-stream"
	resp.download = func(ctx context.Context, w io.Writer) error {
		defer func() { <-h.backups }()
		began := time.Now()
		info, err := h.node.Backup(ctx, w, raftkv.BackupOptions{Stale: true, Program: h.program}) // made sure of above
		if err != nil {
			h.log.WarnContext(ctx, "a backup was cut off", "err", err)
			return err
		}
		h.log.InfoContext(ctx, "made a backup", "keys", info.Keys, "index", info.Index, "took", time.Since(began))
		return nil
	}
}

// sendDownload sends an answer whose body is made while it is sent. If it cannot be made to
// its end, the connection is cut, so that the client does not take it for whole.
func sendDownload(w http.ResponseWriter, r *http.Request, status int, download func(context.Context, io.Writer) error) {
	w.WriteHeader(status)
	if download(r.Context(), &steadyWriter{w, http.NewResponseController(w)}) != nil {
		panic(http.ErrAbortHandler)
	}
}

// A steadyWriter gives up a client that takes nothing for stallTime.
type steadyWriter struct {
	w  io.Writer
	rc *http.ResponseController
}

func (s *steadyWriter) Write(p []byte) (int, error) {
	// A writer without deadlines, as httptest.ResponseRecorder, has no slow client.
	_ = s.rc.SetWriteDeadline(time.Now().Add(stallTime))
	n, err := s.w.Write(p)
	_ = s.rc.SetWriteDeadline(time.Time{})
	return n, err
}
