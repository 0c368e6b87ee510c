// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"context"
	"strconv"
	"time"
	"unsafe"

	"confd/raftkv/v2http/http1"
)

// The plain key API, answered by http1's loop in place of net/http. This file, and poll.go for
// long polls, know how that hands over a request and takes an answer.

// A plain is the handler of a loop.
type plain struct {
	front ClientHandler
	goOn  goOn // for connections of long polls that were taken from the loop
}

// plainPart is how much of a body is sent together with the headers.
const plainPart = 32 << 10

// maxQuick is how long, in bytes, a value may be that is sent while others wait.
const maxQuick = 16 << 10

// crowd is how many connections there are when those with small requests begin to share goroutines.
const crowd = 64

// Takes reports whether r is a request about a key that is answered at once, or a long poll, and
// whose body, if it has one, is a form.
func (p *plain) Takes(r *http1.Request) bool {
	if !bytes.HasPrefix(r.Path, []byte(keysPath)) || len(r.Path) > len(keysPath) && r.Path[len(keysPath)] != '/' {
		return false
	}
	if r.Method == "GET" && len(r.Query) > 0 {
		// With neither of these there is no parameter wait.
		if bytes.IndexByte(r.Query, '%') >= 0 || bytes.Contains(r.Query, []byte("wait")) && !isPoll(r.Query) {
			return false
		}
	}
	if r.Length > 0 {
		if ok, _ := isForm(contentTypeOf(r)); !ok {
			return false
		}
	}
	h := p.front.Keys()
	return h != nil && r.Length <= h.maxForm()
}

// contentTypeOf returns the content type; the most common one is not copied.
func contentTypeOf(r *http1.Request) string {
	if string(r.ContentType) == formType {
		return formType
	}
	return string(r.ContentType)
}

// Serve answers a request that Takes has taken.
func (p *plain) Serve(ctx context.Context, r *http1.Request, client http1.Client) {
	h := p.front.Keys()
	x := h.exchanges.Get().(*exchange)
	defer func() {
		x.reset()
		h.exchanges.Put(x)
	}()
	x.fill(r, client)
	h.serve(ctx, &x.req, &x.resp)
	took := time.Since(r.Began)
	h.meters.observe(&x.req, &x.resp, took)
	r.Ready = r.Began.Add(took)
	r.Kept = !x.resp.done
	if x.resp.watcher != nil {
		p.watch(h, x, r, client)
		return
	}
	x.read = h.appendHead(x.read[:0], r, &x.resp)
	_ = x.send(r, client)
}

// quickQuery is the one query that Quick knows.
const quickQuery = "quorum=true"

// Quick appends the answer to a GET without a query, or with quickQuery, if the key is a small file
// or not there; see http1.Config.
func (p *plain) Quick(r *http1.Request, b []byte) ([]byte, bool) {
	h := p.front.Keys()
	if h == nil {
		return b, false
	}
	x := h.exchanges.Get().(*exchange)
	defer func() {
		x.reset()
		h.exchanges.Put(x)
	}()
	x.req = request{method: r.Method, path: string(r.Path), quick: true}
	if len(r.Query) > 0 {
		x.req.query = quickQuery
	}
	if h.serve(context.Background(), &x.req, &x.resp); x.resp.slow {
		return b, false
	}
	h.meters.observe(&x.req, &x.resp, time.Since(r.Began))
	return append(h.appendHead(b, r, &x.resp), x.resp.body...), true
}

// fill sets the request.
func (x *exchange) fill(r *http1.Request, client http1.Client) {
	x.req = request{method: r.Method, path: string(r.Path), query: string(r.Query), contentType: contentTypeOf(r), bodyErr: r.BodyErr}
	if r.Lent {
		x.req.body = unsafe.String(unsafe.SliceData(r.Body), len(r.Body))
	} else {
		x.req.body = string(r.Body)
	}
	if r.Authorization != nil {
		x.req.credentials = credentials{authorization: string(r.Authorization), from: client.RemoteAddr().String()}
	}
}

// appendHead appends the status line and the headers of resp, in the order in which
// net/http sends them.
func (h *Handler) appendHead(b []byte, r *http1.Request, resp *response) []byte {
	b = http1.AppendStatus(b, resp.status)
	var origin string
	if h.cors != nil {
		if origin = h.cors.allowed(string(r.Origin)); origin != "" {
			b = appendField(b, "Access-Control-Allow-Headers", corsHeaders[0])
			b = appendField(b, "Access-Control-Allow-Methods", corsMethods[0])
			b = appendField(b, "Access-Control-Allow-Origin", origin)
		}
	}
	b = appendField(b, "Allow", resp.allow)
	b = appendField(b, "Content-Type", resp.contentType)
	b = appendField(b, "Location", resp.location)
	if h.cors != nil && !h.cors.any {
		b = appendField(b, "Vary", varyOrigin[0])
	}
	if resp.noSniff {
		b = appendField(b, "X-Content-Type-Options", headerNoSniff[0])
	}
	b = appendField(b, "X-Etcd-Cluster-Id", resp.clusterID)
	if resp.hasIndex {
		b = appendNumber(b, "X-Etcd-Index: ", resp.etcdIndex)
	}
	if resp.hasRaft {
		b = appendNumber(b, "X-Raft-Index: ", resp.raftIndex)
		b = appendNumber(b, "X-Raft-Term: ", resp.raftTerm)
	}
	r.Close = r.Close || resp.closes
	if resp.watcher != nil {
		return r.AppendChunked(b)
	}
	return r.AppendEnd(b, resp.size())
}

// appendField appends a header field, unless its value is empty. A line break in the value
// becomes a blank.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(b, name...), ": "...)
	for _, ch := range []byte(value) {
		if ch == '\r' || ch == '\n' {
			ch = ' '
		}
		b = append(b, ch)
	}
	return append(b, "\r\n"...)
}

// appendNumber appends a header field; name has its colon.
func appendNumber(b []byte, name string, value uint64) []byte {
	b = strconv.AppendUint(append(b, name...), value, 10)
	return append(b, "\r\n"...)
}

// send sends the head, which is in x.read, and the body. It reports whether the client has
// taken them; if not, it knows that, too.
func (x *exchange) send(r *http1.Request, client http1.Client) bool {
	if r.Method == "HEAD" {
		_, err := client.Write(x.read)
		return err == nil
	}
	first, _ := x.resp.run(0)
	sent := min(len(first), plainPart)
	x.read = append(x.read, first[:sent]...)
	if _, err := client.Write(x.read); err != nil {
		return false
	}
	for part := range x.resp.pieces(sent) {
		if _, err := client.Write(part); err != nil {
			return false
		}
	}
	return true
}
