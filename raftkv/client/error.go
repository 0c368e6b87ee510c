// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"confd/raftkv/tree"
)

// ErrOutcomeUnknown is the error of a write that may or may not have been carried out:
// it was sent, and no answer came that says so.
var ErrOutcomeUnknown = errors.New("the outcome of the write is unknown")

// ErrWatchEnded is the error of a watch that can deliver no more, though nothing was
// refused: the connection ended, or another cluster answers. Events may have been
// missed; the caller reads the keys and watches again.
var ErrWatchEnded = errors.New("the watch has ended")

// ErrUnhealthy is the error of a server that says of itself that it does not serve
// reads and writes.
var ErrUnhealthy = errors.New("it is unhealthy")

// An Error is a server's refusal.
type Error struct {
	Code    tree.Code // errorCode of the v2 API; 0 if the answer was none of its errors
	Message string
	Cause   string // may hold values (code 101), therefore not part of Error()
	Index   uint64 // X-Etcd-Index; 0 if not told

	Status    int    // of HTTP
	ClusterID string // X-Etcd-Cluster-Id; empty with etcd 0.4
	Endpoint  string // who answered
}

// Error returns what the server said, without values.
func (e *Error) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("%s answered %d %s", e.Endpoint, e.Status, e.Message)
	}
	if e.Cause == "" || e.Code == tree.CodeCompareFailed {
		return fmt.Sprintf("%s (code %d)", e.Message, e.Code)
	}
	return fmt.Sprintf("%s: %s (code %d)", e.Message, e.Cause, e.Code)
}

// The codes that callers tell apart.
const (
	CodeKeyNotFound       = tree.CodeKeyNotFound
	CodeNodeExist         = tree.CodeNodeExist
	CodeEventIndexCleared = tree.CodeEventIndexCleared
)

// IsCode tells whether err is, or wraps, an *Error with this code.
func IsCode(err error, code tree.Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// codeStandby is etcd 0.4's answer from a machine outside the cluster that knows no leader.
const codeStandby tree.Code = 402

// refusal makes the *Error of an answer with a status of 400 or more.
func refusal(a *answer, body []byte) *Error {
	e := &Error{
		Status:    a.status,
		Index:     headerUint(a.header, "X-Etcd-Index"),
		ClusterID: a.header.Get("X-Etcd-Cluster-Id"),
		Endpoint:  a.endpoint,
	}
	var wire tree.WireError
	if json.Unmarshal(body, &wire) == nil && wire.Message != "" {
		e.Code, e.Message, e.Cause = wire.Code, wire.Message, wire.Cause
		if e.Index == 0 {
			e.Index = wire.Index
		}
		return e
	}
	e.Message = http.StatusText(a.status)
	if a.status == http.StatusNotFound {
		e.Message += " (not the etcd v2 API; etcd 3.4 needs --enable-v2)"
	}
	return e
}

func headerUint(h http.Header, name string) uint64 {
	n, err := strconv.ParseUint(h.Get(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
