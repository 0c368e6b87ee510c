// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"fmt"

	"confd/backends"
)

// guard refuses keys that are not all that the resource must have: an empty or half
// read store shall not make an empty file.
func (r *Resource) guard(keys backends.Keys) error {
	for _, key := range r.Required {
		if !anyWithin(keys, key) {
			return fmt.Errorf("refusing to render: the required key %q is not there, nor any below it", key)
		}
	}
	count := 0
	if r.MinKeys > 0 {
		for range keys.From("") {
			if count++; count >= r.MinKeys {
				break
			}
		}
	}
	if count < r.MinKeys {
		return fmt.Errorf("refusing to render: min_keys is %d, and the number of keys below %q is %d", r.MinKeys, r.Keys, count)
	}
	return nil
}

// anyWithin reports whether there is a key that is prefix or lies below it.
func anyWithin(keys backends.Keys, prefix string) bool {
	for range keys.Under([]string{prefix}).From("") {
		return true
	}
	return false
}
