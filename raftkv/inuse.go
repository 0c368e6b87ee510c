// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	inUseFor   = time.Second
	inUseAgain = 10 * time.Millisecond
)

// Listen opens a TCP port, as net.ListenConfig does. One that is in use is tried again for a
// second, see whileInUse. It may be called concurrently.
func Listen(ctx context.Context, addr string) (l net.Listener, err error) {
	var lc net.ListenConfig
	err = whileInUse(ctx, func() error {
		l, err = lc.Listen(ctx, "tcp", addr)
		return err
	})
	return l, err
}

// whileInUse opens a port or takes a lock, and tries again for a second if it is in use. A
// process that is killed at the moment when it starts a command, such as a reload, leaves all
// that it has open to the child until that has become the command: under load 100 ms, in
// which its successor must not give up.
func whileInUse(ctx context.Context, open func() error) error {
	end := time.Now().Add(inUseFor)
	for {
		err := open()
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, ErrLocked) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(inUseAgain):
		case <-ctx.Done():
			return err
		}
	}
}
