// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestNemesisNetwork shows that what shall be lost is lost, and nothing else. Both kinds
// of network are tried where both can be.
func TestNemesisNetwork(t *testing.T) {
	t.Run("proxies", func(t *testing.T) {
		p := newNemProxies(t, 3)
		defer p.close()
		for i := range 2 {
			p.started(i, os.Getpid()) // then every connection comes from node 0
		}
		testNemNetwork(t, p, 0, 1)
	})
	t.Run("namespaces", func(t *testing.T) {
		s, err := newNemSpaces(3)
		if err != nil {
			t.Logf("cannot be tried here: %v", err)
			return
		}
		defer s.close()
		testNemNetwork(t, s, 0, 1)
		testNemNetwork(t, s, 1, 0)
	})
}

// testNemNetwork sends from one node to another and back.
func testNemNetwork(t *testing.T, network nemNetwork, from, to int) {
	_, peer, bind := network.addrs(to)
	var l net.Listener
	var err error
	if e := network.in(to, func() { l, err = net.Listen("tcp", bind) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	defer l.Close()
	dial := func(within time.Duration) (net.Conn, error) {
		var c net.Conn
		var err error
		if e := network.in(from, func() { c, err = net.DialTimeout("tcp", peer, within) }); e != nil {
			t.Fatal(e)
		}
		return c, err
	}
	c, err := dial(patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	there, back := nemLink{from, to}, nemLink{to, from}
	n := 0
	// arrives tells whether what is sent now arrives; what is held back comes first later.
	arrives := func(src, dst net.Conn, within time.Duration) bool {
		t.Helper()
		n++
		line := fmt.Sprintf("%08d", n)
		if _, err := io.WriteString(src, line); err != nil {
			t.Fatal(err)
		}
		dst.SetReadDeadline(time.Now().Add(within))
		for buf := make([]byte, len(line)); ; {
			if _, err := io.ReadFull(dst, buf); err != nil {
				return false
			}
			if string(buf) == line {
				return true
			}
		}
	}
	const moment = 300 * time.Millisecond
	for _, step := range []struct {
		what        string
		lost        nemLosses
		there, back bool
	}{
		{"nothing is lost", nil, true, true},
		{"the way there is cut", nemLosses{there: 1}, false, true},
		{"healed", nemLosses{}, true, true},
		{"the way back is cut", nemLosses{back: 1}, true, false},
		{"healed again", nemLosses{}, true, true},
		{"both are cut", nemLosses{}.cut([]int{from}, []int{to}), false, false},
		{"a third is lost", nemLosses{there: 0.33, back: 0.33}, true, true},
		{"another link is cut", nemLosses{{2, to}: 1, {to, 2}: 1}, true, true},
	} {
		if err := network.lose(step.lost); err != nil {
			t.Fatal(err)
		}
		for _, d := range []struct {
			way      string
			src, dst net.Conn
			want     bool
		}{{"there", c, s, step.there}, {"back", s, c, step.back}} {
			within := patience
			if !d.want {
				within = moment
			}
			if got := arrives(d.src, d.dst, within); got != d.want {
				t.Errorf("%s: arrives %s: got %v, want %v", step.what, d.way, got, d.want)
			}
		}
	}
	if err := network.lose(nemLosses{there: 1}); err != nil {
		t.Fatal(err)
	}
	defer network.lose(nil)
	if c, err := dial(moment); err == nil { // a proxy has accepted and says nothing
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(moment))
		l.(*net.TCPListener).SetDeadline(time.Now().Add(moment))
		if s, err := l.Accept(); err == nil {
			s.Close()
			t.Error("a connection was made over a link that is cut")
		}
	}
}
