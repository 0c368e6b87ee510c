// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"strconv"

	"github.com/kelseyhightower/memkv"
)

// output collects what a template writes, until ctx ends.
type output struct {
	ctx context.Context // of the one Render that owns the output
	buf []byte
}

func (o *output) Write(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	o.room(len(p))
	o.buf = append(o.buf, p...)
	return len(p), nil
}

// room makes room for n more bytes. It doubles the buffer, where append would add a quarter to
// one that is large: what is copied, and memory that is touched for the first time, is several
// times less then.
func (o *output) room(n int) {
	if n <= cap(o.buf)-len(o.buf) {
		return
	}
	larger := make([]byte, len(o.buf), max(2*cap(o.buf), len(o.buf)+n))
	copy(larger, o.buf)
	o.buf = larger
}

// pairs writes a loop over pairs.
func (o *output) pairs(l loop, list memkv.KVPairs) error {
	for i, kv := range list {
		if err := o.ctx.Err(); err != nil {
			return err
		}
		for j := range l {
			switch p := &l[j]; p.what {
			case key:
				o.text(p, kv.Key)
			case value:
				o.text(p, kv.Value)
			default:
				o.piece(p, i)
			}
		}
	}
	return nil
}

// texts writes a loop over texts.
func (o *output) texts(l loop, list []string) error {
	for i, text := range list {
		if err := o.ctx.Err(); err != nil {
			return err
		}
		for j := range l {
			switch p := &l[j]; p.what {
			case element:
				o.text(p, text)
			default:
				o.piece(p, i)
			}
		}
	}
	return nil
}

// piece writes a piece that has nothing of the i-th element.
func (o *output) piece(p *piece, i int) {
	if p.what == index {
		o.buf = strconv.AppendInt(o.buf, int64(i), 10)
		return
	}
	o.room(len(p.text))
	o.buf = append(o.buf, p.text...)
}

// text writes a text of an element.
func (o *output) text(p *piece, text string) {
	for _, f := range p.funcs {
		text = f(text)
	}
	o.room(len(text))
	o.buf = append(o.buf, text...)
}
