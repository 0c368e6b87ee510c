// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"

	"confd/raftkv/client"
)

// printKey prints the answer of a key operation in the form that was asked for. index
// is the one of the store that came with it.
//
// Only a plain delete shows the value that was there; for compareAndDelete and expire
// the simple form is an empty line. That is etcdctl's way.
func (c *call) printKey(e *client.Event, index uint64) error {
	switch c.form {
	case "json":
		text, err := json.Marshal(jsonResponse{e.Action, jsonOf(e.Node), jsonOf(e.Prev)})
		if err != nil {
			return failure("encoding the answer: %w", err)
		}
		c.say("%s", text)
		return nil
	case "extended":
		c.say("Key: %s\nCreated-Index: %d\nModified-Index: %d", e.Node.Key, e.Node.Created, e.Node.Modified)
		if e.Prev != nil {
			c.say("PrevNode.Value: %s", valueOf(e.Prev))
		}
		c.say("TTL: %d\nIndex: %d", e.Node.TTL, index)
		if e.Action != "delete" {
			c.say("\n%s", valueOf(e.Node))
		}
		return nil
	}
	if e.Action == "delete" {
		c.say("PrevNode.Value: %s", valueOf(e.Prev))
		return nil
	}
	c.say("%s", valueOf(e.Node))
	return nil
}

// printMore prints the answer only in the forms that say more than a value, which a
// directory does not have.
func (c *call) printMore(e *client.Event, index uint64) error {
	if c.form == "simple" {
		return nil
	}
	return c.printKey(e, index)
}

// valueOf returns the value of a node, "" for a directory and for none.
func valueOf(n *client.Node) string {
	if n == nil || n.Value == nil {
		return ""
	}
	return *n.Value
}

// The JSON that etcdctl prints is not the API's: the fields have another order, and
// some are there when they are empty.

type jsonResponse struct {
	Action string    `json:"action"`
	Node   *jsonNode `json:"node"`
	Prev   *jsonNode `json:"prevNode"`
}

type jsonNode struct {
	Key        string      `json:"key"`
	Dir        bool        `json:"dir,omitempty"`
	Value      string      `json:"value"`
	Nodes      []*jsonNode `json:"nodes"`
	Created    uint64      `json:"createdIndex"`
	Modified   uint64      `json:"modifiedIndex"`
	Expiration string      `json:"expiration,omitempty"`
	TTL        int64       `json:"ttl,omitempty"`
}

func jsonOf(n *client.Node) *jsonNode {
	if n == nil {
		return nil
	}
	j := &jsonNode{
		Key: n.Key, Dir: n.Dir, Value: valueOf(n), Created: n.Created, Modified: n.Modified,
		Expiration: n.Expiration, TTL: n.TTL,
	}
	for _, child := range n.Nodes {
		j.Nodes = append(j.Nodes, jsonOf(child))
	}
	return j
}
