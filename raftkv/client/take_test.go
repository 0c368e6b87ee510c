// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestTake reads a stream by Take: what has come whole comes together, and half an event
// holds nothing back.
func TestTake(t *testing.T) {
	more := make(chan string)
	c := newClient(t, Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Etcd-Index", "7")
		w.(http.Flusher).Flush()
		for text := range more {
			fmt.Fprint(w, text)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}))
	w, err := c.Watch(t.Context(), "/a", WatchOptions{Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	event := func(n int) string {
		return fmt.Sprintf(`{"action":"set","node":{"key":"/a","modifiedIndex":%d}}`+"\n", n)
	}
	steps := []struct {
		text string
		most int
		want []uint64
	}{
		{event(8) + "\n" + event(9) + event(10)[:20], 9, []uint64{8, 9}},
		{event(10)[20:] + event(11) + event(12), 2, []uint64{10, 11}},
		{"", 9, []uint64{12}},
		{strings.TrimSuffix(event(13), "\n"), 9, []uint64{13}},
		{event(14) + "<html>\n", 9, []uint64{14}},
	}
	for _, step := range steps {
		if step.text != "" {
			more <- step.text
		}
		list, err := w.Take(nil, step.most)
		var got []uint64
		for _, e := range list {
			got = append(got, e.Modified)
		}
		if err != nil || !slices.Equal(got, step.want) {
			t.Errorf("%q: got %v, %v, want %v", step.text, got, err, step.want)
		}
	}
	close(more)
	for range 2 {
		if list, err := w.Take(nil, 9); !errors.Is(err, ErrWatchEnded) || !strings.Contains(err.Error(), "not JSON") {
			t.Errorf("after the end: got %v, %v", list, err)
		}
	}
}

// TestTakeIsEndedByClose closes a stream that Take waits for.
func TestTakeIsEndedByClose(t *testing.T) {
	c := newClient(t, Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Etcd-Index", "7")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	w, err := c.Watch(t.Context(), "/a", WatchOptions{Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := w.Take(nil, 9)
		ended <- err
	}()
	w.Close()
	if err := <-ended; !errors.Is(err, ErrWatchEnded) {
		t.Errorf("got %v, want %v", err, ErrWatchEnded)
	}
}
