// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStore checks that a write is in the file when it is answered, and what the answer says.
func TestStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "values")
	s, err := openStore(file, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serveOn(l, s.answer) }()
	prev, written := "", ""
	for i, size := range []int{10, 300_000, 20} {
		value := strings.Repeat(fmt.Sprint(i), size)
		req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://"+l.Addr().String()+"/v2/keys/a", strings.NewReader("value="+value))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := fmt.Sprintf(`{"action":"set","node":{"key":"/a","value":"%s","modifiedIndex":%d,"createdIndex":%d},"prevNode":{"key":"/a","value":"%s","modifiedIndex":%d,"createdIndex":%d}}`+"\n",
			value, i+1, i+1, prev, i, i)
		if err != nil || string(body) != want {
			t.Errorf("write %d is answered %.100q, %v", i, body, err)
		}
		prev, written = value, written+value
		if got, err := os.ReadFile(file); err != nil || len(got) != 1<<20 || !bytes.HasPrefix(got, []byte(written)) {
			t.Errorf("after write %d the file has %d bytes, beginning with %.20q, %v", i, len(got), got, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	l.Close()
	<-served
}
