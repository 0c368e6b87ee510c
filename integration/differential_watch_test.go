// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// lastWord returns what the last event of watch i contains.
func lastWord(i int) string { return fmt.Sprintf(`"value":"end-%d"`, i) }

// lastWords ends a watch by a write to its key; by several if it waits for an index of
// the near future.
func (s *diffSide) lastWords(i int, w *diffWatch) error {
	key := w.watch
	if key == "/" {
		key = s.root
	}
	var words []string
	if watchOf(w.target).index > w.start() {
		words = []string{"1", "2", "3", "4"}
	}
	for _, word := range append(words, fmt.Sprintf("end-%d", i)) {
		if err := s.quiet("PUT", diffKeys+key+"?value="+word); err != nil {
			return err
		}
	}
	return s.quiet("DELETE", diffKeys+s.root+"?recursive=true")
}

// A diffWatch is a step whose body is read at the end of its sequence.
type diffWatch struct {
	diffStep
	conn *diffConn
	resp *http.Response
}

func (s *diffSide) watch(step diffStep) (*diffWatch, error) {
	conn, err := diffDial(s.addr)
	if err != nil {
		return nil, err
	}
	w := &diffWatch{diffStep: step, conn: conn}
	if err = conn.write(step); err == nil {
		w.resp, err = conn.response(step.method)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %s %.100s: %w", s.name, step.method, step.target, err)
	}
	if n := w.start(); n > 0 {
		s.last = n
	}
	return w, nil
}

// start returns the index at which the watch began, 0 if it did not.
func (w *diffWatch) start() uint64 {
	n, _ := strconv.ParseUint(w.resp.Header.Get("X-Etcd-Index"), 10, 64)
	return n
}

// read returns the body up to the line with the given words or to its end. Of a stream
// that began in the past it returns the first event, since etcd sends no other.
func (w *diffWatch) read(until string) []byte {
	if w.headOnly {
		return nil
	}
	limit := diffTimeout
	if w.patient {
		limit = time.Second
	}
	if err := w.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return []byte(err.Error())
	}
	q := watchOf(w.target)
	first := q.stream && q.index != 0 && q.index <= w.start() && !w.patient
	var body []byte
	r := bufio.NewReader(w.resp.Body)
	for {
		line, err := r.ReadBytes('\n')
		body = append(body, line...)
		switch {
		case err == io.EOF, w.patient && errors.Is(err, os.ErrDeadlineExceeded):
			return body
		case err != nil:
			return append(body, "("+err.Error()+")"...)
		case first, bytes.Contains(line, []byte(until)) && q.stream:
			return body
		}
	}
}

// A watchQuery is what a target says about a watch.
type watchQuery struct {
	wait, stream, recursive, sorted bool
	index                           uint64
}

func watchOf(target string) (q watchQuery) {
	_, query, _ := strings.Cut(target, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return q
	}
	// What cannot be parsed is not a watch.
	q.wait, _ = strconv.ParseBool(values.Get("wait"))
	q.stream, _ = strconv.ParseBool(values.Get("stream"))
	q.recursive, _ = strconv.ParseBool(values.Get("recursive"))
	q.sorted, _ = strconv.ParseBool(values.Get("sorted"))
	q.index, _ = strconv.ParseUint(values.Get("waitIndex"), 10, 64)
	return q
}
