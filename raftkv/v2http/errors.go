// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// statusOf returns the HTTP status that goes with a code.
func statusOf(code tree.Code) int {
	switch code {
	case tree.CodeKeyNotFound:
		return 404
	case tree.CodeNotFile, tree.CodeDirNotEmpty:
		return 403
	case tree.CodeCompareFailed, tree.CodeNodeExist:
		return 412
	case tree.CodeUnauthorized:
		return 401
	case tree.CodeRaftInternal, tree.CodeLeaderElect:
		return 500
	}
	return 400
}

// succeeded sets the status and headers of a success at that index of the tree.
func (h *Handler) succeeded(resp *response, status int, index uint64) {
	resp.status = status
	resp.contentType = typeJSON
	resp.hasIndex, resp.etcdIndex = true, index
	resp.hasRaft, resp.raftIndex, resp.raftTerm = true, h.node.RaftIndex(), h.node.RaftTerm()
}

// refused makes resp the answer of an error of the store or of the validation.
func (h *Handler) refused(resp *response, err *tree.Error) {
	resp.status = statusOf(err.Code)
	resp.contentType = typeJSON
	resp.hasIndex, resp.etcdIndex = true, err.Index
	resp.body = append(tree.AppendError(resp.body[:0], err), '\n')
}

// tooLarge makes resp the answer to something that will not be stored.
func (h *Handler) tooLarge(resp *response, cause string) {
	h.refused(resp, refuse(tree.CodeInvalidForm, cause))
	resp.status = 413
}

// valueTooLarge is tooLarge for a value.
func (h *Handler) valueTooLarge(resp *response) {
	h.tooLarge(resp, "the value is larger than "+strconv.Itoa(h.maxValue)+" bytes")
}

// failed makes resp the answer of an error of the node.
func (h *Handler) failed(ctx context.Context, resp *response, err error) {
	var refusal *tree.Error
	switch {
	case errors.As(err, &refusal):
		h.refused(resp, refusal)
	case errors.Is(err, raftkv.ErrTooLarge):
		h.tooLarge(resp, err.Error())
	default:
		h.logFailure(ctx, err)
		h.refused(resp, refuse(tree.CodeRaftInternal, causeOf(err)))
	}
}

// logFailure logs why the node could not do what was asked. What passes, and a request that
// nobody waits for any more, is no more than a detail: the node itself tells of a leader
// that is lost, once and not for every request.
func (h *Handler) logFailure(ctx context.Context, err error) {
	level := slog.LevelWarn
	passing := []error{raftkv.ErrNoLeader, raftkv.ErrTimeout, raftkv.ErrBusy, raftkv.ErrClosed, context.DeadlineExceeded, context.Canceled}
	if slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }) {
		level = slog.LevelDebug
	}
	h.log.Log(ctx, level, "answering a request with error 300", "err", err)
}

const causeNoLeader = "etcdserver: no leader"

// causeOf returns the cause of error 300, in etcd's words.
func causeOf(err error) string {
	switch {
	case errors.Is(err, raftkv.ErrNoLeader) && errors.Is(err, raftkv.ErrNotProposed):
		return causeNoLeader
	case errors.Is(err, raftkv.ErrNoLeader):
		return "etcdserver: leader changed"
	case errors.Is(err, raftkv.ErrBusy):
		return "etcdserver: too many requests"
	case errors.Is(err, raftkv.ErrClosed):
		return "etcdserver: server stopped"
	case errors.Is(err, raftkv.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "etcdserver: request timed out"
	}
	return err.Error()
}
