// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"confd/raftkv/tree"
)

// BenchmarkFanOut writes a key that 1000 streams watch, over TCP: one write at a time, and
// ten at once, until all have all. The clients are in the same process.
func BenchmarkFanOut(b *testing.B) {
	const streams = 1000
	for _, at := range []int{1, 10} {
		b.Run(fmt.Sprintf("writes=%d", at), func(b *testing.B) {
			h, node := newTestHandler(Options{})
			srv := httptest.NewUnstartedServer(nil)
			srv.Config = Server(h, nil)
			srv.Start()
			defer srv.Close()
			defer h.EndWatches()
			var got sync.WaitGroup
			for range streams {
				openStream(b, srv.Listener.Addr().String(), &got)
			}
			op := &tree.Op{Action: tree.Set, Key: "/a", Value: strings.Repeat("x", 256)}
			b.ReportAllocs()
			for b.Loop() {
				got.Add(streams * at)
				for range at {
					if _, err := node.Do(b.Context(), op); err != nil {
						b.Fatal(err)
					}
				}
				got.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams*at), "ns/event")
		})
	}
}

// openStream opens a stream on /a and has each of its events counted as done.
func openStream(b *testing.B, addr string, got *sync.WaitGroup) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET /v2/keys/a?wait=true&stream=true HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 16<<10)
	for seen := 0; !bytes.Contains(buf[:seen], []byte("\r\n\r\n")); {
		n, err := conn.Read(buf[seen:])
		if err != nil {
			b.Fatal(err)
		}
		seen += n
	}
	go func() {
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			got.Add(-bytes.Count(buf[:n], []byte(`"action"`))) // none is cut by so small a write
		}
	}()
}
