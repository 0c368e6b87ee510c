// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/memkv"
)

// parseObject returns the members of a JSON object.
func parseObject(text string) (map[string]any, error) {
	var object map[string]any
	err := json.Unmarshal([]byte(text), &object)
	return object, jsonError(err, "object")
}

// parseArray returns the elements of a JSON array.
func parseArray(text string) ([]any, error) {
	var array []any
	err := json.Unmarshal([]byte(text), &array)
	return array, jsonError(err, "array")
}

// jsonError rewords the errors of encoding/json that quote what they have read.
func jsonError(err error, wanted string) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("not valid JSON: mistake at byte %d", syntax.Offset)
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		kind, _, quoted := strings.Cut(wrong.Value, " ")
		if quoted && kind == "number" && wrong.Type.Kind().String() == "float64" {
			return fmt.Errorf("JSON number out of range before byte %d", wrong.Offset)
		}
		return fmt.Errorf("JSON %s where an %s is wanted", kind, wanted)
	}
	return err
}

// createMap returns a map of its arguments, which are keys and values in turn.
func createMap(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("map wants pairs of a key and a value, but got %d arguments", len(pairs))
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("map keys must be strings, but argument %d is of type %T", i+1, pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// getenv returns an environment variable, or the fallback if it is empty or not set.
func (r *run) getenv(name string, fallback ...string) string {
	get := r.opts.Getenv
	if get == nil {
		get = os.Getenv
	}
	if value := get(name); value != "" || len(fallback) == 0 {
		return value
	}
	return fallback[0]
}

// datetime returns the time without the reading of the monotonic clock, which would
// be printed.
func (r *run) datetime() time.Time {
	if r.opts.Now == nil {
		return time.Now().Round(0)
	}
	return r.opts.Now().Round(0)
}

// fileExists is false only if the file is known not to exist: one that must not be
// looked at counts as existing.
func fileExists(path string) bool {
	_, err := os.Stat(path)
	return !os.IsNotExist(err)
}

func encodeBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func decodeBase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err
}

// parseBool and atoi leave out the text that the errors of strconv quote.

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("not true or false: %w", errors.Unwrap(err))
	}
	return b, nil
}

func atoi(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("not a whole number: %w", errors.Unwrap(err))
	}
	return n, nil
}

// reverse returns a reversed copy of a list, of the same type. Anything else is returned
// as it is, as in confd 0.16, which did so with all but lists of texts and pairs.
func reverse(list any) any {
	switch list := list.(type) {
	case []string:
		return reversed(list)
	case []memkv.KVPair:
		return reversed(list)
	case memkv.KVPairs:
		return reversed(list)
	case []int:
		return reversed(list)
	case []any:
		return reversed(list)
	}
	return list
}

func reversed[S ~[]E, E any](list S) S {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// The sort functions sort their argument itself, as in confd 0.16. It belongs to the
// template: all functions return lists of their own.

func sortByLength(list []string) []string {
	sort.SliceStable(list, func(i, j int) bool { return len(list[i]) < len(list[j]) })
	return list
}

func sortKVByLength(list []memkv.KVPair) []memkv.KVPair {
	sort.SliceStable(list, func(i, j int) bool { return len(list[i].Key) < len(list[j].Key) })
	return list
}

func add(a, b int) int { return a + b }
func sub(a, b int) int { return a - b }
func mul(a, b int) int { return a * b }

var errDivision = errors.New("division by zero")

func div(a, b int) (int, error) {
	if b == 0 {
		return 0, errDivision
	}
	return a / b, nil
}

func mod(a, b int) (int, error) {
	if b == 0 {
		return 0, errDivision
	}
	return a % b, nil
}

// maxSeq keeps a wrong number from using up the memory.
const maxSeq = 10_000_000

// seq returns the numbers from first to last, and none if last is less.
func seq(first, last int) ([]int, error) {
	if last < first {
		return nil, nil
	}
	n := uint(last) - uint(first)
	if n >= maxSeq {
		return nil, fmt.Errorf("more than %d numbers", maxSeq)
	}
	list := make([]int, n+1)
	for i := range list {
		list[i] = first + i
	}
	return list, nil
}
