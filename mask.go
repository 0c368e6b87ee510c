// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"confd/template"
)

// A maskWriter masks secrets in what is written to it. Each call of Write brings whole
// lines, as those of a log and of report do.
type maskWriter struct {
	w       io.Writer
	secrets *template.Secrets
}

func (m *maskWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(m.w, m.secrets.Mask(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
