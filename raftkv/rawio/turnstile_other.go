// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rawio

import "errors"

// A Turnstile is for Linux.
type Turnstile struct{}

// NewTurnstile returns an error.
func NewTurnstile() (*Turnstile, error) { return nil, errors.ErrUnsupported }

// Pass does nothing.
func (*Turnstile) Pass() {}

// Close does nothing.
func (*Turnstile) Close() error { return nil }
