// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import "confd/template"

// A maskedError is an error whose text has no secrets. Those of commands hold what they
// have printed, which may be of the file.
type maskedError struct {
	err     error
	secrets *template.Secrets
}

func (e *maskedError) Error() string { return e.secrets.Mask(e.err.Error()) }
func (e *maskedError) Unwrap() error { return e.err }

// knowFormer has the secrets of the file that is there masked too: a check may compare it
// with the new one, and a rollback puts it back. What cannot be read has no say here.
func (r *Resource) knowFormer(j *job) {
	if len(r.opts.Secrets.Split(string(j.content))) == 1 {
		return
	}
	if old, err := readTarget(j.t.path); err == nil {
		r.opts.Secrets.AddFormer(string(old), string(j.content))
	}
}

// masked returns an error that is fit to be shown.
func masked(err error, secrets *template.Secrets) error {
	if err == nil || secrets == nil {
		return err
	}
	return &maskedError{err, secrets}
}
