// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// A File is a key that is no directory.
type File struct{ Key, Value string }

// A Listing is the answer to List.
type Listing struct {
	Response        // without an Event
	Files    []File // in any order
}

// List reads the files of a key and everything below it, as Get does with Recursive, which
// is set, at a fraction of its cost: the answer is taken apart while it comes. That no
// file is listed twice is up to the server.
func (c *Client) List(ctx context.Context, key string, opts GetOptions) (*Listing, error) {
	var k keeper
	r, err := c.ListTo(ctx, key, opts, &k)
	if err != nil {
		return nil, err
	}
	return &Listing{*r, k.files}, nil
}

// A Taker takes the files of a listing, some hundred at a time, while the rest still comes.
type Taker interface {
	// Begin is called for each answer that begins. What was taken before is of one that broke
	// off, and does not count.
	Begin()

	// Take takes files, in any order. It returns an empty slice for the next ones, which may
	// be the same one.
	Take(files []File) []File
}

// ListTo is List, and gives the files to a taker. After an error they are of no use. The
// response has no Event.
func (c *Client) ListTo(ctx context.Context, key string, opts GetOptions, to Taker) (*Response, error) {
	opts.Recursive = true
	r := &Response{}
	err := c.keyCall(ctx, &request{method: http.MethodGet, path: c.keyPath(key), query: opts.query()}, r,
		func(s *scanner) error {
			to.Begin()
			return s.files(to.Take)
		}, listSize)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// A keeper keeps what it takes.
type keeper struct{ files []File }

// Begin forgets what was there.
func (k *keeper) Begin() { k.files = nil }

// Take keeps the files.
func (k *keeper) Take(files []File) []File {
	k.files = append(k.files, files...)
	return files[:0]
}

// listSize is how much of a listing is read at a time, in bytes: less than a processor's
// cache, and more than the way into the kernel costs.
const listSize = 128 << 10

// listPart is how many files are given to a taker at a time.
const listPart = 256

// files reads an event and has the files in its node taken.
func (s *scanner) files(take func([]File) []File) error {
	l := lister{scanner: s, take: take}
	found := false
	var e Event
	err := s.eventInto(&e.Action, func(f field) error {
		if f == fieldPrev {
			return s.node(&e.Prev)
		}
		if found {
			return s.fail(errTwice)
		}
		var err error
		found, err = l.node()
		return err
	})
	if err == nil && (e.Action == "" || !found) {
		err = errNoEvent
	}
	if err == nil {
		take(l.files)
	}
	return err
}

// errTwice is the error of an object that has its node or nodes twice. encoding/json would
// put both together; no server means that.
var errTwice = errors.New("the same field twice")

// A lister collects the files of a listing, and has them taken when it is sure of them.
type lister struct {
	*scanner
	take    func([]File) []File
	files   []File
	taken   int // how many were taken before files
	unsure  int // how many of the nodes around may be no directory, which then is the only file
	strings arena
}

// node takes a node, and adds its file or those below it. It reports whether there is one,
// and no null.
func (l *lister) node() (bool, error) {
	if file, ok := l.plain(); ok {
		return true, l.add(l.taken+len(l.files), file)
	}
	open, err := l.open('{')
	if !open {
		return false, err
	}
	var file File
	var other Node // what nobody asks for, but must be in order
	children, before := false, l.taken+len(l.files)
	for first := true; ; first = false {
		f, more, err := l.field(first)
		switch {
		case err != nil:
			return true, err
		case !more:
			if !other.Dir {
				err = l.add(before, file)
			}
			return true, err
		case f == fieldNodes && children:
			return true, l.fail(errTwice)
		}
		switch f {
		case fieldKey:
			err = l.stringInto(&file.Key)
		case fieldValue:
			file.Value = ""
			err = l.stringInto(&file.Value)
		case fieldNodes:
			children, err = true, l.nodes(other.Dir)
		default:
			err = l.nodeField(&other, f)
		}
		if err != nil {
			return true, err
		}
	}
}

// add puts a file in the place of those from before on.
func (l *lister) add(before int, file File) error {
	at := before - l.taken
	if at < 0 { // it was said to be a directory
		return l.fail(errTwice)
	}
	l.files = append(l.files[:at], file)
	if len(l.files) >= listPart && l.unsure == 0 {
		l.taken += len(l.files)
		l.files = l.take(l.files)
	}
	return nil
}

// plain takes a file that is told as all servers tell nearly all of theirs: these fields in
// this order, without a blank, an escape, or anything but ASCII. It reports false, and has
// taken nothing, if anything else comes, or if not all of the file has come yet.
func (l *lister) plain() (file File, ok bool) {
	b := l.buf[l.pos:l.end]
	key, b := plainText(b, `{"key":"`)
	value, b := plainText(b, `,"value":"`)
	b = plainNumber(b, `,"modifiedIndex":`)
	b = plainNumber(b, `,"createdIndex":`)
	if len(b) == 0 || b[0] != '}' {
		return file, false
	}
	l.pos = l.end - len(b) + 1
	return File{l.strings.add(key), l.strings.add(value)}, true
}

// plainText returns the text that is between begin and the next quote, and what follows that,
// which is nothing if b is not like that.
func plainText(b []byte, begin string) (text, rest []byte) {
	if len(b) < len(begin) || string(b[:len(begin)]) != begin {
		return nil, nil
	}
	b = b[len(begin):]
	n := ordinary(b)
	if n == len(b) || b[n] != '"' {
		return nil, nil
	}
	return b[:n], b[n+1:]
}

// plainNumber returns what follows begin and a number, whose digits are too few to overflow.
func plainNumber(b []byte, begin string) (rest []byte) {
	if len(b) < len(begin) || string(b[:len(begin)]) != begin {
		return nil
	}
	b = b[len(begin):]
	n := digits(b[:min(len(b), 19)])
	if n == 0 || n > 1 && b[0] == '0' {
		return nil
	}
	return b[n:]
}

// nodes takes the nodes of what is known to be a directory, or is not.
func (l *lister) nodes(dir bool) error {
	if !dir {
		l.unsure++
		defer func() { l.unsure-- }()
	}
	open, err := l.open('[')
	for first := true; open && err == nil; first = false {
		if open, err = l.next(first, ']'); open && err == nil {
			_, err = l.node()
		}
	}
	return err
}

// stringInto reads a string into v, which a null leaves as it is.
func (l *lister) stringInto(v *string) error {
	if ok, err := l.scalar(`"`); !ok || err != nil {
		return err
	}
	b, err := l.string()
	if err == nil {
		*v = l.strings.add(b)
	}
	return err
}

const (
	// arenaSize is how many bytes of strings are kept together.
	arenaSize = 64 << 10

	// arenaLongest is the longest string that is kept with others: the longer one is,
	// the more would stay for a short one beside it.
	arenaLongest = 1 << 10
)

// An arena keeps short strings together, which is quicker than each for itself. What was
// replaced is given back only when nothing beside it is used any more.
type arena struct{ strings.Builder }

// add returns the text as a string.
func (a *arena) add(text []byte) string {
	if len(text) > arenaLongest {
		return string(text)
	}
	if a.Cap()-a.Len() < len(text) {
		a.Reset()
		a.Grow(arenaSize)
	}
	n := a.Len()
	a.Write(text)
	return a.String()[n:]
}
