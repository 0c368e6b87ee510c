// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// AppendStatus appends the status line of an answer to b.
func AppendStatus(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, "\r\n"...)
}

// AppendEnd appends the last header fields of the answer to r and the end of its headers:
// Date, Content-Length if there is one, and Connection. length is that of the body,
// which the answer to HEAD does not have.
func (r *Request) AppendEnd(b []byte, length int) []byte {
	b = r.appendDate(b)
	if length > 0 || r.Method != "HEAD" { // as in net/http
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(length), 10)
	}
	return r.appendConnection(b)
}

// AppendChunked is as AppendEnd, for a body of chunks.
func (r *Request) AppendChunked(b []byte) []byte {
	b = append(r.appendDate(b), "\r\nTransfer-Encoding: chunked"...)
	return r.appendConnection(b)
}

func (r *Request) appendDate(b []byte) []byte {
	return append(append(b, "Date: "...), r.date[:]...)
}

func (r *Request) appendConnection(b []byte) []byte {
	if r.Close {
		b = append(b, "\r\nConnection: close"...)
	}
	return append(b, "\r\n\r\n"...)
}

const dateLength = len(http.TimeFormat)

// A date is the text of one second.
type date struct {
	second int64
	text   [dateLength]byte
}

// A calendar keeps the text of the second, since that is asked for more than once in it.
// It may be used concurrently.
type calendar struct {
	today atomic.Pointer[date]
}

// at returns the text of the second of t.
func (c *calendar) at(t time.Time) *[dateLength]byte {
	d := c.today.Load()
	if second := t.Unix(); d == nil || d.second != second {
		d = &date{second: second}
		t.UTC().AppendFormat(d.text[:0], http.TimeFormat)
		c.today.Store(d)
	}
	return &d.text
}
