// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"confd/integration/freeport"
	"confd/raftkv/client"
)

// A server is Debian's etcd with the v2 API, on ports and in a directory of its own.
type server struct {
	t         *testing.T
	url, peer string
	dir       string
	cmd       *exec.Cmd
}

// newServer prepares a server; start starts it.
func newServer(t *testing.T) *server {
	t.Helper()
	return &server{t: t, url: "http://" + freeport.Addr(t), peer: "http://" + freeport.Addr(t), dir: filepath.Join(t.TempDir(), "data")}
}

// start runs the server until the test ends or stop, and waits until it serves.
func (s *server) start() {
	s.t.Helper()
	bin, err := exec.LookPath("etcd")
	if err != nil {
		s.t.Fatal("this test needs etcd 3.4: apt-get install etcd-server")
	}
	s.cmd = exec.Command(bin, "--enable-v2", "--name", "n1", "--data-dir", s.dir,
		"--listen-client-urls", s.url, "--advertise-client-urls", s.url,
		"--listen-peer-urls", s.peer, "--initial-advertise-peer-urls", s.peer,
		"--initial-cluster", "n1="+s.peer, "--log-level", "error", "--unsafe-no-fsync")
	// A test that panics runs no cleanup.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("starting etcd: %v", err)
	}
	s.t.Cleanup(s.stop)
	c := s.client()
	defer c.Close()
	waitFor(s.t, 30*time.Second, "etcd to serve", func() bool {
		_, err := c.Get(context.Background(), "/", client.GetOptions{Quorum: true})
		return err == nil
	})
}

// stop kills the server.
func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// wipe removes the data of a server that is stopped.
func (s *server) wipe() {
	s.t.Helper()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) client() *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{Endpoints: []string{s.url}})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, within time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("waiting for %s took longer than %v", what, within)
		case <-tick.C:
		}
	}
}
