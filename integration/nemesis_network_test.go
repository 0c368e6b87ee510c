// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A nemNetwork connects the nodes of a cluster with each other and with the clients, and
// loses what it is told to lose between two nodes. Clients reach every node at all times.
type nemNetwork interface {
	// String says how it is done.
	String() string

	// addrs returns where clients and peers reach node i, and where it listens for peers.
	addrs(i int) (api, peer, bind string)

	// in runs f, and the processes that f starts, at the place of node i; of the clients
	// if i is clientSide. F may stay for long; it must not start goroutines that dial or listen.
	in(i int, f func()) error

	// started says that pid is node i's process.
	started(i, pid int)

	// lose makes the network lose that share of what is sent, 1 for all of it.
	lose(m nemLosses) error

	close()
}

const clientSide = -1

// nemLosses is what gets lost: from a node to another.
type nemLosses map[nemLink]float64 // :: link → share, 0 to 1

type nemLink struct{ from, to int }

// cut loses all that goes between the two groups.
func (m nemLosses) cut(a, b []int) nemLosses {
	for _, i := range a {
		for _, j := range b {
			m[nemLink{i, j}], m[nemLink{j, i}] = 1, 1
		}
	}
	return m
}

// newNemNetwork returns network namespaces if this process may make them, else proxies.
// NEMESIS_NETWORK=proxies wants proxies.
func newNemNetwork(t testing.TB, nodes int) nemNetwork {
	t.Helper()
	want := os.Getenv("NEMESIS_NETWORK")
	if want != "" && want != "proxies" {
		t.Fatalf("NEMESIS_NETWORK=%q: only proxies can be asked for", want)
	}
	var network nemNetwork
	if want == "" {
		spaces, err := newNemSpaces(nodes)
		if err == nil {
			network = spaces
		} else {
			t.Logf("no network namespaces: %v", err)
		}
	}
	if network == nil {
		network = newNemProxies(t, nodes)
	}
	t.Cleanup(network.close)
	return network
}

// nemSpaces is a network namespace for each node and one for the clients, with a bridge
// between them. They have no names: they end with the processes in them. What is lost
// is dropped by nftables where it arrives.
type nemSpaces struct {
	clients *os.File
	nodes   []*os.File
}

func newNemSpaces(nodes int) (*nemSpaces, error) {
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, err
		}
	}
	s := new(nemSpaces)
	if err := s.build(nodes); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *nemSpaces) build(nodes int) error {
	var err error
	if s.clients, err = newSpace(); err != nil {
		return err
	}
	if err := s.run(clientSide, "ip", "-batch", "-", "link set lo up\nlink add bridge0 type bridge\nlink set bridge0 up\naddr add 10.99.0.254/24 dev bridge0\n"); err != nil {
		return err
	}
	for i := range nodes {
		f, err := newSpace()
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, f)
		port := fmt.Sprintf("port%d", i)
		if err := s.run(clientSide, "ip", "-batch", "-", fmt.Sprintf(
			"link add %s type veth peer name eth0 netns /proc/%d/fd/%d\nlink set %s master bridge0 up\n", port, os.Getpid(), f.Fd(), port)); err != nil {
			return err
		}
		if err := s.run(i, "ip", "-batch", "-", fmt.Sprintf("link set lo up\nlink set eth0 up\naddr add %s/24 dev eth0\n", s.ip(i))); err != nil {
			return err
		}
	}
	if err := s.lose(nemLosses{{0, 1}: 0.5}); err != nil { // to see that it can be done
		return err
	}
	return s.lose(nil)
}

// newSpace makes a network namespace.
func newSpace() (f *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("making a network namespace: %w", err)
			return
		}
		f, err = os.Open("/proc/thread-self/ns/net")
	}()
	<-done
	return f, err
}

func (s *nemSpaces) String() string { return "network namespaces" }

func (s *nemSpaces) ip(i int) string { return fmt.Sprintf("10.99.0.%d", i+1) }

func (s *nemSpaces) addrs(i int) (api, peer, bind string) {
	return s.ip(i) + ":4001", s.ip(i) + ":7001", s.ip(i) + ":7001"
}

func (s *nemSpaces) in(i int, f func()) error {
	space := s.clients
	if i != clientSide {
		space = s.nodes[i]
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good, as in newSpace
		err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	return <-done
}

// run runs a program with a last argument as its input, in a namespace.
func (s *nemSpaces) run(i int, argv ...string) error {
	var err error
	var out []byte
	if inErr := s.in(i, func() {
		last := len(argv) - 1
		cmd := exec.Command(argv[0], argv[1:last]...)
		cmd.Stdin = strings.NewReader(argv[last])
		out, err = cmd.CombinedOutput()
	}); inErr != nil {
		return inErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, out)
	}
	return nil
}

func (s *nemSpaces) started(i, pid int) {}

func (s *nemSpaces) lose(m nemLosses) error {
	for to := range s.nodes {
		var rules strings.Builder
		fmt.Fprintf(&rules, "table inet nemesis\ndelete table inet nemesis\ntable inet nemesis {\nchain in {\ntype filter hook input priority 0; policy accept;\n")
		for from := range s.nodes {
			switch share := m[nemLink{from, to}]; {
			case share >= 1:
				fmt.Fprintf(&rules, "ip saddr %s drop\n", s.ip(from))
			case share > 0:
				fmt.Fprintf(&rules, "ip saddr %s numgen random mod 1000 < %d drop\n", s.ip(from), int(share*1000))
			}
		}
		rules.WriteString("}\n}\n")
		if err := s.run(to, "nft", "-f", "-", rules.String()); err != nil {
			return err
		}
	}
	return nil
}

func (s *nemSpaces) close() {
	for _, f := range append(s.nodes, s.clients) {
		if f != nil {
			f.Close()
		}
	}
}

// nemDial dials from the clients' place.
func nemDial(network nemNetwork) func(ctx context.Context, proto, addr string) (net.Conn, error) {
	return func(ctx context.Context, proto, addr string) (conn net.Conn, err error) {
		if e := network.in(clientSide, func() { conn, err = new(net.Dialer).DialContext(ctx, proto, addr) }); e != nil {
			return nil, e
		}
		return conn, err
	}
}
