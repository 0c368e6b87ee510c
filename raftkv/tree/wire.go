// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// A WireEvent is the JSON form of an answer, for clients to decode.
type WireEvent struct {
	Action string    `json:"action"`
	Node   *WireNode `json:"node,omitempty"`
	Prev   *WireNode `json:"prevNode,omitempty"`
}

// A WireNode is the JSON form of a node.
type WireNode struct {
	Key        string      `json:"key,omitempty"`
	Value      *string     `json:"value,omitempty"`
	Dir        bool        `json:"dir,omitempty"`
	Expiration string      `json:"expiration,omitempty"`
	TTL        int64       `json:"ttl,omitempty"`
	Nodes      []*WireNode `json:"nodes,omitempty"`
	Modified   uint64      `json:"modifiedIndex,omitempty"`
	Created    uint64      `json:"createdIndex,omitempty"`
}

// A WireError is the JSON form of an error.
type WireError struct {
	Code    Code   `json:"errorCode"`
	Message string `json:"message"`
	Cause   string `json:"cause,omitempty"`
	Index   uint64 `json:"index"`
}
