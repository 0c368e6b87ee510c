// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"reload_cmd", "check_cmd", "mode", "src", "dest"}
	for _, tt := range []struct {
		misspelt string
		far      int
		want     string
	}{
		{"reload-cmd", 2, "reload_cmd"},
		{"Reload_Cmd", 0, "reload_cmd"},
		{"chekc_cmd", 1, "check_cmd"}, // two letters swapped are one mistake
		{"desst", 1, "dest"},
		{"dst", 1, "dest"},
		{"dst", 0, ""},
		{"xyz", 3, ""}, // nothing in common
		{"scr", 2, "src"},
		{"", 3, ""},
		{"mödus", 2, ""},
		{"möde", 1, "mode"},
	} {
		if got := Nearest(tt.misspelt, words, tt.far); got != tt.want {
			t.Errorf("Nearest(%q, …, %d) = %q, want %q", tt.misspelt, tt.far, got, tt.want)
		}
	}
	if got := Nearest("ab", []string{"abc", "abd"}, 2); got != "abc" {
		t.Errorf("of two that are alike as much: %q, want the first", got)
	}
}
