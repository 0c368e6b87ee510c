// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A transport is raft's network transport with three changes.
//
// Heartbeats take the same way as everything else. Raft would handle them beside its
// main loop, where one with a newer term can change the term between the moment the
// leader reads it and the moment it writes an entry (hashicorp/raft#695).
//
// The address it goes by is the advertised one.
//
// And it can be given a request from within; see electNow.
//
// NetworkTransport is embedded so that its optional methods, of which pre-vote is one,
// stay visible to raft.
type transport struct {
	*raft.NetworkTransport
	addr raft.ServerAddress
	rpcs chan raft.RPC

	sent, received atomic.Uint64 // AppendEntries requests
	appends        Histogram     // those sent that were answered
	failures       atomic.Uint64 // those that were not

	once sync.Once
	done chan struct{}
	wg   sync.WaitGroup
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

func newTransport(stream raft.StreamLayer, addr string, log *hcLogger) *transport {
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          stream,
			MaxPool:         3,
			Timeout:         10 * time.Second,
			MaxRPCsInFlight: 1, // pipelining can hang for ever (hashicorp/raft#612) and gains nothing
			Logger:          log,
		}),
		addr: raft.ServerAddress(addr),
		rpcs: make(chan raft.RPC),
		done: make(chan struct{}),
	}
	t.wg.Go(t.forward)
	return t
}

// forward passes the requests of others on to raft.
func (t *transport) forward() {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			if _, ok := rpc.Command.(*raft.AppendEntriesRequest); ok {
				t.received.Add(1)
			}
			t.pass(rpc)
		case <-t.done:
			return
		}
	}
}

func (t *transport) pass(rpc raft.RPC) {
	select {
	case t.rpcs <- rpc:
	case <-t.done:
		rpc.Respond(nil, raft.ErrTransportShutdown)
	}
}

// electNow makes this node stand for election at once, instead of waiting for a leader
// that, if it is the only voter, cannot be another. It is the request by which a
// leader hands over; it takes the place of the election timeout, not of the vote.
func (t *transport) electNow(id raft.ServerID) {
	t.wg.Go(func() {
		t.pass(raft.RPC{
			Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
				ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(t.addr),
			}},
			RespChan: make(chan raft.RPCResponse, 1),
		})
	})
}

// Consumer returns the channel of requests.
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// LocalAddr returns the advertised address.
func (t *transport) LocalAddr() raft.ServerAddress { return t.addr }

// SetHeartbeatHandler does nothing; see the type's comment.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries sends the request, and measures it.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	t.sent.Add(1)
	start := time.Now()
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	if err != nil {
		t.failures.Add(1)
		return err
	}
	t.appends.Observe(time.Since(start))
	return nil
}

// Close ends the transport and waits for its goroutines. It may be called more than once.
func (t *transport) Close() error {
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	t.once.Do(func() { close(t.done) })
	t.wg.Wait()
	return err
}
