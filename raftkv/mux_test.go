// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func dial(t *testing.T, n *Node) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.Status().PeerAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// strangerStream reaches n as a node of the same cluster would, with TLS if t is not nil.
func strangerStream(n *Node, t *TLS) raftStream {
	return raftStream{newMuxListener(&net.TCPAddr{}, 1), func(ctx context.Context, addr, id string, proto byte) (net.Conn, helloReply, error) {
		c, err := dialPeer(ctx, t, n.cfg.Hooks.Dial, addr)
		if err != nil {
			return nil, helloReply{}, err
		}
		deadline, _ := ctx.Deadline()
		c.SetDeadline(deadline)
		r, err := sayHello(c, proto, hello{Protocol: peerProtocol, Cluster: n.ClusterID(), ID: "abc", To: id})
		c.SetDeadline(time.Time{})
		return c, r, err
	}}
}

func TestPeerPort(t *testing.T) {
	n := open(t, testConfig(t))
	// Those who say nothing are in nobody's way.
	for range 20 {
		dial(t, n)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Method+" "+r.URL.Path)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(n.PeerHTTP()) }()
	for _, method := range []string{"GET", "POST", "DELETE"} {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.Status().PeerAddr+"/v2/leader", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != method+" /v2/leader" {
			t.Errorf("got %q, %v", body, err)
		}
	}
	// What is neither is cut off.
	c := dial(t, n)
	c.Write([]byte{0xff})
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("an unknown protocol: %v", err)
	}
	// Raft's requests get through to raft.
	peer := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: strangerStream(n, nil), MaxPool: 1, Timeout: n.cfg.Timeout,
		Logger: newHCLog(n.log),
	})
	defer peer.Close()
	defer peer.CloseStreams()
	var resp raft.RequestPreVoteResponse
	err := peer.RequestPreVote("x", raft.ServerAddress(n.Status().PeerAddr), &raft.RequestPreVoteRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("x"), Addr: []byte("x")}, Term: 1,
	}, &resp)
	if err != nil || resp.Granted {
		t.Errorf("pre-vote: %+v, %v", resp, err)
	}
	closeNode(t, n)
	if err := <-served; err == nil {
		t.Error("server ended without an error")
	}
}

// TestSilentFlood: clients that open connections and say nothing, or half a hello, do not
// lock out those who speak.
func TestSilentFlood(t *testing.T) {
	n := open(t, testConfig(t))
	for i := range 2 * maxSniffing {
		c := dial(t, n)
		if i%2 == 0 {
			c.Write([]byte{protoPeer, 0xff, 0x0f, 0, 0, '{'})
		}
	}
	start := time.Now()
	c, _, err := strangerStream(n, nil).dial(contextWithin(t, sniffTimeout), n.Status().PeerAddr, n.dir.id, protoPeer)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if took := time.Since(start); took > sniffTimeout/2 {
		t.Errorf("a node got in after %v", took)
	}
	n.mux.mu.Lock()
	defer n.mux.mu.Unlock()
	if got := len(n.mux.sniffing); got > maxSniffing {
		t.Errorf("%d silent connections are kept", got)
	}
}

func contextWithin(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestStrangers: what is no hello is cut off before much is read or kept.
func TestStrangers(t *testing.T) {
	n := open(t, testConfig(t))
	for name, bytes := range map[string]string{
		"a long hello":         "\x02\xff\xff\xff\x7f{",
		"no JSON":              "\x02\x04\x00\x00\x00abcd",
		"raft without a hello": "\x01\x00\x85\xa9RPCHeader",
		"another cluster":      "\x01\x29\x00\x00\x00" + `{"protocol":1,"cluster":"abc","id":"123"}`,
		"garbage":              strings.Repeat("\xde\xad", 1000),
	} {
		c := dial(t, n)
		c.Write([]byte(bytes))
		c.SetReadDeadline(time.Now().Add(sniffTimeout / 2))
		reply, err := io.ReadAll(c)
		if err, ok := errors.AsType[net.Error](err); ok && err.Timeout() {
			t.Errorf("%s: the connection is kept", name)
		}
		if len(reply) > 0 && !strings.Contains(string(reply), "refused") {
			t.Errorf("%s: got %q", name, reply)
		}
	}
}

func TestMuxLimits(t *testing.T) {
	l := newMuxListener(nil, 1)
	m := &mux{conns: map[*muxConn]struct{}{}}
	a, b := net.Pipe()
	defer b.Close()
	first := &muxConn{Conn: a, mux: m}
	go l.Accept()
	if !l.offer(first) {
		t.Fatal("the first connection was refused")
	}
	if l.offer(&muxConn{Conn: a, mux: m}) {
		t.Fatal("a connection above the limit was handed over")
	}
	first.Close()
	first.Close()
	go l.Accept()
	if !l.offer(&muxConn{Conn: a, mux: m}) {
		t.Fatal("a place was not given back")
	}
	l.Close()
	l.Close()
	if _, err := l.Accept(); err != net.ErrClosed {
		t.Fatal(err)
	}
}

// TestHeartbeatsTakeTheMainLoop is for hashicorp/raft#695.
func TestHeartbeatsTakeTheMainLoop(t *testing.T) {
	n := open(t, testConfig(t))
	n.transport.SetHeartbeatHandler(func(raft.RPC) { t.Error("a heartbeat went past raft's main loop") })
	peer := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: strangerStream(n, nil), MaxPool: 1, Timeout: n.cfg.Timeout, Logger: newHCLog(n.log),
	})
	defer peer.Close()
	defer peer.CloseStreams()
	var resp raft.AppendEntriesResponse
	err := peer.AppendEntries("x", raft.ServerAddress(n.Status().PeerAddr), &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("x"), Addr: []byte("x")}, Term: 1,
	}, &resp)
	if err != nil || resp.Success || n.Status().AppendsReceived != 1 {
		t.Errorf("%+v, %v; %d received", resp, err, n.Status().AppendsReceived)
	}
}

func TestHCLog(t *testing.T) {
	var out strings.Builder
	h := newHCLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	var l hclog.Logger = h
	l.Named("snapshot").With("id", 7).Info("starting", "servers", hclog.Fmt("%d of %d", 1, 3))
	l.Error("oops", "error", io.EOF)
	l.Trace("no")
	l.StandardLogger(nil).Print("plain")
	const want = "level=DEBUG msg=\"snapshot: starting\" id=7 servers=\"1 of 3\"\n" +
		"level=ERROR msg=oops err=EOF\nlevel=DEBUG msg=plain\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if l.IsTrace() || !l.IsDebug() || l.GetLevel() != hclog.Debug {
		t.Error("wrong level")
	}
	quiet := newHCLog(slog.New(slog.DiscardHandler))
	if quiet.IsError() || quiet.log.Enabled(context.Background(), slog.LevelError) {
		t.Error("a logger that discards says it is on")
	}
}

func TestPeerPortWithoutTLS(t *testing.T) {
	n := open(t, testConfig(t))
	wantClosed(t, n.Status().PeerAddr)
	f := newAuthority(t).issue(t, t.TempDir(), "peer")
	if _, err := strangerStream(n, openTLS(t, f)).Dial(raft.ServerAddress(n.Status().PeerAddr), n.cfg.Timeout); err == nil {
		t.Error("TLS with a plain port")
	}
}

func TestPeerTLSNeedsAuthorities(t *testing.T) {
	f := newAuthority(t).issue(t, t.TempDir(), "node")
	f.CA = ""
	cfg := testConfig(t)
	cfg.PeerTLS = openTLS(t, f)
	if _, err := Open(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "authorities") {
		t.Errorf("got %v", err)
	}
	if _, err := cfg.PeerTLS.client("x"); err == nil {
		t.Error("a client that trusts everybody")
	}
}
