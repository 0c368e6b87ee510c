// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestClientPortAsPeer: who names the client port of a node is told so, and does not wait
// in vain for an answer. Without helloEnd a server of HTTP waits for the rest.
func TestClientPortAsPeer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	n := open(t, testConfig(t))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, _, err := n.dialNode(ctx, server.Listener.Addr().String(), "", protoPeer)
	if !errors.Is(err, errHTTP) || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}

// TestRefusalIsNoSilence: a node that answers and refuses has been reached, and the request
// has not been sent all the same.
func TestRefusalIsNoSilence(t *testing.T) {
	n := open(t, testConfig(t))
	stranger := testConfig(t)
	stranger.Name = "stranger"
	other := open(t, stranger)
	p := newPeerClient(1<<20, func(ctx context.Context) (net.Conn, int, error) {
		c, r, err := n.dialNode(ctx, other.Status().PeerAddr, "", protoPeer)
		return c, r.Protocol, err
	})
	defer p.close()
	_, err := p.call(t.Context(), kindTerm, nil)
	if !errors.Is(err, errUnreachable) || !errors.Is(err, ErrOtherCluster) || strings.Contains(err.Error(), errUnreachable.Error()) {
		t.Errorf("got %v", err)
	}
}

// TestRefusalsAreToldNowAndThen: what to do is told, but not with every try.
func TestRefusalsAreToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &textLog{}
		n, _ := newMemCluster(t, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(log, nil)) }).leader()
		for range 10 {
			n.tellRefusal("x", ErrOtherCluster)
			n.tellRefusal("x", nil)
			time.Sleep(time.Second)
		}
		n.tellRefusal("x", ErrOtherCluster)
		if got := log.count("delete its data directory"); got != 2 {
			t.Errorf("told %d times", got)
		}
	})
}
