// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"path"
	"strings"
)

// CleanKey returns s as a key: it begins with "/", has no empty, "." or ".." component
// and no slash at the end. The root is "/", and so is the key of "".
func CleanKey(s string) string {
	if isClean(s) {
		return s
	}
	return path.Clean("/" + s)
}

// isClean reports whether s is a key already.
func isClean(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	if len(s) == 1 {
		return true
	}
	start := 1 // of the component looked at
	for i := 1; i <= len(s); i++ {
		if i < len(s) && s[i] != '/' {
			continue
		}
		switch s[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}

// Hidden reports whether the last component of key begins with "_". Listings leave
// such a node out, with everything below it.
func Hidden(key string) bool {
	i := strings.LastIndexByte(key, '/')
	return i+1 < len(key) && key[i+1] == '_'
}

// parent returns the directory that holds key, which is not the root.
func parent(key string) string {
	i := strings.LastIndexByte(key, '/')
	if i == 0 {
		return "/"
	}
	return key[:i]
}

// join returns the key of the child of dir with that name.
func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// under reports whether key lies below dir, at any depth.
func under(key, dir string) bool {
	if dir == "/" {
		return key != "/"
	}
	return len(key) > len(dir) && key[len(dir)] == '/' && key[:len(dir)] == dir
}

// hiddenUnder reports whether a component of key below dir begins with "_". key must
// be dir or lie below it.
func hiddenUnder(key, dir string) bool {
	if dir != "/" {
		key = key[len(dir):]
	}
	return strings.Contains(key, "/_")
}
