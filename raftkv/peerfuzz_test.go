// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"bytes"
	"errors"
	"testing"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

// FuzzHello: what a stranger sends in place of a hello is an error, and no more of it is
// read than a hello may have.
func FuzzHello(f *testing.F) {
	var b bytes.Buffer
	if err := writeJSON(&b, nil, hello{Protocol: 1, Cluster: "a", ID: "b", Name: "c", To: "d"}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{4, 0, 0, 0, 'n', 'u', 'l', 'l'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		var h hello
		if err := readJSON(r, &h); err != nil {
			return
		}
		if read := len(data) - r.Len(); read > 4+maxHello {
			t.Errorf("%d bytes were read", read)
		}
	})
}

// FuzzFrame: damaged frames are errors, and what is read is what was written.
func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := errors.Join(writeFrame(w, frame{7, kindCall, []byte("{}")}), w.Flush()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 10
		got, err := readFrame(bufio.NewReader(bytes.NewReader(data)), limit)
		if err != nil {
			return
		}
		if len(got.payload) > limit {
			t.Fatalf("a payload of %d bytes", len(got.payload))
		}
		var again bytes.Buffer
		w := bufio.NewWriter(&again)
		if err := errors.Join(writeFrame(w, got), w.Flush()); err != nil || !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("read %+v, wrote %x, %v", got, again.Bytes(), err)
		}
	})
}

// FuzzOutcome: an answer of the leader that is damaged is an error, never a panic, and
// never passes for a success of an operation that has none in it.
func FuzzOutcome(f *testing.F) {
	op := fsm.Op{Tree: &tree.Op{Action: tree.Set, Key: "/a", Value: "v"}}
	f.Add(appendError([]byte{1}, notProposed(ErrNoLeader)))
	f.Add(appendError([]byte{1}, errors.New("x")))
	f.Add(fsm.AppendResult([]byte{0}, op, fsm.Result{Err: &tree.Error{Code: 101, Cause: "x", Index: 3}}))
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		res, rest, err := readOutcome(data, op)
		if len(rest) > len(data) {
			t.Errorf("%d bytes left of %d", len(rest), len(data))
		}
		if err == nil && len(data) > 0 && data[0] == 1 {
			t.Errorf("an error became %+v", res)
		}
	})
}

// TestErrorsTravel: an error is the same to errors.Is on the other node.
func TestErrorsTravel(t *testing.T) {
	for _, want := range wireErrors {
		if want == nil {
			continue
		}
		for _, e := range []error{want, notProposed(want)} {
			rest, got := readError(append(appendError(nil, e), "more"...))
			if !errors.Is(got, want) || errors.Is(got, ErrNotProposed) != errors.Is(e, ErrNotProposed) || got.Error() != e.Error() || string(rest) != "more" {
				t.Errorf("%v became %v, and %q is left", e, got, rest)
			}
		}
	}
	if _, got := readError(nil); errors.Is(got, ErrNotProposed) {
		t.Error("an error that cannot be read says that nothing was written")
	}
}
