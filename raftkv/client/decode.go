// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// A field is one that an event or a node may have.
type field int

const (
	fieldUnknown field = iota
	fieldAction
	fieldNode
	fieldPrev
	fieldKey
	fieldValue
	fieldDir
	fieldExpiration
	fieldTTL
	fieldNodes
	fieldModified
	fieldCreated
)

var fieldNames = [...]string{
	fieldAction: "action", fieldNode: "node", fieldPrev: "prevNode",
	fieldKey: "key", fieldValue: "value", fieldDir: "dir", fieldExpiration: "expiration", fieldTTL: "ttl",
	fieldNodes: "nodes", fieldModified: "modifiedIndex", fieldCreated: "createdIndex",
}

// fieldOf returns the field of this name, be it in small letters or not.
func fieldOf(name []byte) field {
	switch string(name) {
	case "key":
		return fieldKey
	case "value":
		return fieldValue
	case "modifiedIndex":
		return fieldModified
	case "createdIndex":
		return fieldCreated
	}
	for f, known := range fieldNames {
		if strings.EqualFold(string(name), known) {
			return field(f)
		}
	}
	return fieldUnknown
}

// event reads one event and makes sure that it is one: the answer of some other kind of
// server must not pass as an empty directory. The error is io.EOF only if there is
// nothing more.
func (s *scanner) event() (*Event, error) {
	var e Event
	err := s.eventInto(&e.Action, func(f field) error {
		if f == fieldNode {
			return s.node(&e.Node)
		}
		return s.node(&e.Prev)
	})
	if err != nil {
		return nil, err
	}
	if e.Action == "" || e.Node == nil {
		return nil, errNoEvent
	}
	return &e, nil
}

// errNoEvent is the error of what is JSON, but no event.
var errNoEvent = errors.New("it is not an event of the etcd v2 API")

// eventInto reads one event, with its action into a string; node reads the nodes in it.
func (s *scanner) eventInto(action *string, node func(field) error) error {
	s.depth = 0
	if _, err := s.peek(); err == io.ErrUnexpectedEOF {
		return io.EOF
	}
	open, err := s.open('{')
	for first := true; open && err == nil; first = false {
		var f field
		if f, open, err = s.field(first); !open || err != nil {
			break
		}
		switch f {
		case fieldAction:
			err = s.actionInto(action)
		case fieldNode, fieldPrev:
			err = node(f)
		default:
			err = s.skip()
		}
	}
	switch {
	case errors.Is(err, errSyntax):
		return fmt.Errorf("it is %w, so not of the etcd v2 API", err)
	case errors.Is(err, errType):
		return fmt.Errorf("it is not as in the etcd v2 API: %w", err)
	}
	return err
}

// node reads a node into the one that *at points to, or a new one.
func (s *scanner) node(at **Node) error {
	open, err := s.open('{')
	if !open {
		*at = nil
		return err
	}
	if *at == nil {
		*at = &Node{}
	}
	for first := true; ; first = false {
		f, more, err := s.field(first)
		if !more || err != nil {
			return err
		}
		if err := s.nodeField(*at, f); err != nil {
			return err
		}
	}
}

// nodeField reads one field of a node.
func (s *scanner) nodeField(n *Node, f field) error {
	switch f {
	case fieldKey:
		return s.stringInto(&n.Key)
	case fieldValue:
		return s.valueInto(&n.Value)
	case fieldDir:
		return s.bool(&n.Dir)
	case fieldExpiration:
		return s.stringInto(&n.Expiration)
	case fieldTTL:
		return s.int(&n.TTL)
	case fieldNodes:
		return s.nodes(&n.Nodes)
	case fieldModified:
		return s.uint(&n.Modified)
	case fieldCreated:
		return s.uint(&n.Created)
	}
	return s.skip()
}

// nodes reads the children of a node. Told twice, the second ones go on where the first
// ones are, as encoding/json has it.
func (s *scanner) nodes(list *[]*Node) error {
	open, err := s.open('[')
	if !open {
		*list = nil
		return err
	}
	*list = (*list)[:0]
	for {
		more, err := s.next(len(*list) == 0, ']')
		if err != nil {
			return err
		}
		if !more {
			if *list == nil {
				*list = []*Node{}
			}
			return nil
		}
		n := len(*list)
		if n < cap(*list) {
			*list = (*list)[:n+1]
		} else {
			*list = append(*list, nil)
		}
		if err := s.node(&(*list)[n]); err != nil {
			return err
		}
	}
}

// stringInto reads a string into v, which a null leaves as it is.
func (s *scanner) stringInto(v *string) error {
	if ok, err := s.scalar(`"`); !ok || err != nil {
		return err
	}
	b, err := s.string()
	if err == nil {
		*v = string(b)
	}
	return err
}

// valueInto reads a string, which a null is none.
func (s *scanner) valueInto(v **string) error {
	if ok, err := s.scalar(`"`); !ok || err != nil {
		*v = nil
		return err
	}
	b, err := s.string()
	if err == nil {
		text := string(b)
		*v = &text
	}
	return err
}
