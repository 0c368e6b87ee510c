// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"syscall"
)

// storeHint adds what to do to an error of the embedded store's files.
func storeHint(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return hint(err, "free space on the disk of -data-dir and start confd again; nothing that was acknowledged is lost")
	case errors.Is(err, syscall.EIO):
		return hint(err, "the disk may be failing: look at the kernel's log; what is damaged is found when confd starts again")
	}
	return err
}
