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

// nemMoment is long enough for what is not lost.
const nemMoment = 300 * ms

// testNemNetwork sends from one node to another and back.
func testNemNetwork(t *testing.T, network nemNetwork, from, to int) {
	p := newNemPair(t, network, from, to)
	there, back := nemLink{from, to}, nemLink{to, from}
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
		{"a tenth is lost", nemLosses{there: 0.1, back: 0.1}, true, true}, // TCP has had cause to wait long between its tries
		{"other links are cut", nemLosses{{2, to}: 1, {to, 2}: 1}, true, true},
	} {
		if err := network.lose(step.lost); err != nil {
			t.Fatal(err)
		}
		for _, d := range []struct {
			way      string
			src, dst net.Conn
			want     bool
		}{{"there", p.dialed, p.accepted, step.there}, {"back", p.accepted, p.dialed, step.back}} {
			if got := p.arrives(t, d.src, d.dst, d.want); got != d.want {
				t.Errorf("%s: arrives %s: got %v, want %v", step.what, d.way, got, d.want)
			}
		}
	}
	if err := network.lose(nemLosses{there: 1}); err != nil {
		t.Fatal(err)
	}
	defer network.lose(nil)
	if c, err := p.dial(nemMoment); err == nil { // a proxy has accepted and says nothing
		defer c.Close()
		p.listener.SetDeadline(time.Now().Add(nemMoment))
		if s, err := p.listener.Accept(); err == nil {
			s.Close()
			t.Error("a connection was made over a link that is cut")
		}
	}
}

// A nemPair is a connection from a node to another.
type nemPair struct {
	listener         *net.TCPListener
	dial             func(within time.Duration) (net.Conn, error)
	dialed, accepted net.Conn
	sent             int
}

func newNemPair(t *testing.T, network nemNetwork, from, to int) *nemPair {
	t.Helper()
	_, peer, bind := network.addrs(to)
	var l net.Listener
	var err error
	if e := network.in(to, func() { l, err = net.Listen("tcp", bind) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	t.Cleanup(func() { l.Close() })
	p := &nemPair{listener: l.(*net.TCPListener)}
	p.dial = func(within time.Duration) (c net.Conn, err error) {
		if e := network.in(from, func() { c, err = net.DialTimeout("tcp", peer, within) }); e != nil {
			return nil, e
		}
		return c, err
	}
	if p.dialed, err = p.dial(patience); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.dialed.Close() })
	p.listener.SetDeadline(time.Now().Add(patience))
	if p.accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.accepted.Close() })
	return p
}

// arrives tells whether what is sent now arrives; what was held back comes before it.
func (p *nemPair) arrives(t *testing.T, src, dst net.Conn, expected bool) bool {
	t.Helper()
	p.sent++
	line := fmt.Sprintf("%08d", p.sent)
	if _, err := io.WriteString(src, line); err != nil {
		t.Fatal(err)
	}
	within := patience
	if !expected {
		within = nemMoment
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
