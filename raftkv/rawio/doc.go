// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package rawio reads and writes sockets without telling Go's scheduler: such a call is over
// in microseconds, and to prepare for one that may wait costs a wake-up of the thread that
// watches over such calls, whenever the process has been idle.
//
// Read and Write are for a descriptor that does not block, and a buffer that is not empty. Ready
// looks at an epoll in the same way, and a Turnstile has the scheduler look at its own.
package rawio
