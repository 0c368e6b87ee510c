// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package http1

// Crowds need epoll; without it each connection has its goroutine.

type crowd struct{}

func (*crowd) end() {}

func (*Loop) join(*conn) bool { return false }
