// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newServer serves what it is asked, as the body of the answer.
func newServer(t *testing.T, asked *atomic.Int64) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Etcd-Index", "7")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// echo is a job whose every answer is checked; long makes requests that a socket does not
// take at once.
func echo(long int) Job {
	filler := strings.Repeat("x", long)
	return Job{
		Request: func(buf []byte, n int) []byte {
			return fmt.Appendf(buf, "PUT /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", n, long, filler)
		},
		Check: func(_, n int, r *Response) error {
			if want := fmt.Sprintf("/%d %s", n, filler); string(r.Body) != want || r.Index != 7 {
				return errors.New("another answer")
			}
			return nil
		},
	}
}

func TestRun(t *testing.T) {
	for _, long := range []int{10, 3000, 3_000_000} {
		var asked atomic.Int64
		addr := newServer(t, &asked)
		c, err := Dial(addr, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		job := echo(long)
		job.Total = 30
		marks := 0
		job.Mark = func() error { marks++; return nil }
		r, err := c.Run(t.Context(), job)
		if err != nil || r.Ops != 30 || r.Latency.Count() != 30 || r.Took <= 0 || marks != 2 || asked.Load() != 30 {
			t.Errorf("values of %d: %+v, %d marks, %d asked, %v", long, r, marks, asked.Load(), err)
		}
		job = echo(long)
		job.For = time.Millisecond
		if r, err := c.Run(t.Context(), job); err != nil || r.Ops == 0 || r.Took < time.Millisecond || uint64(r.Ops) != r.Latency.Count() {
			t.Errorf("values of %d for a time: %+v, %v", long, r, err)
		}
	}
}

func TestRunFails(t *testing.T) {
	var asked atomic.Int64
	addr := newServer(t, &asked)
	wrong := echo(10)
	wrong.Total = 20
	wrong.Check = func(_, n int, _ *Response) error {
		if n == 13 {
			return errors.New("unlucky")
		}
		return nil
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for _, test := range []struct {
		ctx  context.Context
		job  Job
		want string
	}{
		{t.Context(), wrong, "request 13: unlucky"},
		{ended, echo(1), "canceled"},
	} {
		c, err := Dial(addr, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test.job.For = time.Minute
		if _, err := c.Run(test.ctx, test.job); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	if _, err := Dial("127.0.0.1:1", 1); err == nil {
		t.Error("no error without a server")
	}
}
