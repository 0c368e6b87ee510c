// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Maps are those of map, json and the like, whose keys are texts.

func hasKey(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

func sortedKeys(m map[string]any) []string {
	return slices.AppendSeq(make([]string, 0, len(m)), slices.Values(slices.Sorted(maps.Keys(m))))
}

func sortedValues(m map[string]any) []any {
	all := make([]any, 0, len(m))
	for _, key := range sortedKeys(m) {
		all = append(all, m[key])
	}
	return all
}

func pluck(key string, list ...map[string]any) []any {
	all := []any{}
	for _, m := range list {
		if v, ok := m[key]; ok {
			all = append(all, v)
		}
	}
	return all
}

func pick(m map[string]any, keys ...string) map[string]any {
	part := maps.Clone(m)
	maps.DeleteFunc(part, func(key string, _ any) bool { return !slices.Contains(keys, key) })
	return part
}

func omit(m map[string]any, keys ...string) map[string]any {
	part := maps.Clone(m)
	maps.DeleteFunc(part, func(key string, _ any) bool { return slices.Contains(keys, key) })
	return part
}

// set changes its argument, which belongs to the template.
func set(m map[string]any, key string, v any) (map[string]any, error) {
	if m == nil {
		return nil, errors.New("there is no map")
	}
	m[key] = v
	return m, nil
}

// merge lays maps over each other, and the maps in them. Where two have one key, the
// first wins. The arguments stay as they are.
func merge(all ...map[string]any) map[string]any {
	slices.Reverse(all)
	return mergeOverwrite(all...)
}

// mergeOverwrite is merge with the last to win.
func mergeOverwrite(all ...map[string]any) map[string]any {
	merged := make(map[string]any)
	for _, m := range all {
		for key, v := range m {
			below, isMap := merged[key].(map[string]any)
			if above, ok := v.(map[string]any); ok && isMap {
				v = mergeOverwrite(below, above)
			}
			merged[key] = v
		}
	}
	return merged
}

// dig looks a value up in maps within maps: dig KEY… DEFAULT MAP.
func dig(path ...any) (any, error) {
	if len(path) < 3 {
		return nil, errors.New("dig wants one key or more, a default, and a map")
	}
	v, instead := path[len(path)-1], path[len(path)-2]
	for _, step := range path[:len(path)-2] {
		key, ok := step.(string)
		if !ok {
			return nil, fmt.Errorf("keys must be strings, but one is of type %T", step)
		}
		m, ok := v.(map[string]any)
		if !ok {
			return instead, nil
		}
		if v, ok = m[key]; !ok {
			return instead, nil
		}
	}
	return v, nil
}
