// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

// A Change is what an event says of the key that it is about, and no more.
type Change struct {
	Action   string
	Key      string
	Value    string // "" if there is none
	Dir      bool
	Modified uint64 // the index of the event
}

// actions are those of the v2 API.
var actions = []string{"set", "create", "update", "compareAndSwap", "delete", "compareAndDelete", "expire", "get"}

// change reads one event as event does, into c. A node before the change may be anything.
func (s *scanner) change(c *Change) error {
	*c = Change{}
	found := false
	err := s.eventInto(&c.Action, func(f field) (err error) {
		if f == fieldPrev {
			return s.skip()
		}
		found, err = s.changeNode(c)
		return err
	})
	if err == nil && (c.Action == "" || !found) {
		err = errNoEvent
	}
	return err
}

// changeNode takes a node into c. It reports whether there is one, and no null.
func (s *scanner) changeNode(c *Change) (bool, error) {
	open, err := s.open('{')
	if !open {
		*c = Change{Action: c.Action}
		return false, err
	}
	var other Node // what nobody asks for, but must be in order
	for first := true; ; first = false {
		f, more, err := s.field(first)
		if !more || err != nil {
			return true, err
		}
		switch f {
		case fieldKey:
			err = s.stringInto(&c.Key)
		case fieldValue:
			c.Value = ""
			err = s.stringInto(&c.Value)
		case fieldDir:
			err = s.bool(&c.Dir)
		case fieldModified:
			err = s.uint(&c.Modified)
		default:
			err = s.nodeField(&other, f)
		}
		if err != nil {
			return true, err
		}
	}
}

// actionInto reads an action into v, which a null leaves as it is.
func (s *scanner) actionInto(v *string) error {
	if ok, err := s.scalar(`"`); !ok || err != nil {
		return err
	}
	b, err := s.string()
	if err != nil {
		return err
	}
	for _, known := range actions {
		if string(b) == known {
			*v = known
			return nil
		}
	}
	*v = string(b)
	return nil
}
