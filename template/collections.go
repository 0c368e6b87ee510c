// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// elements returns what a list holds.
func elements(list any) ([]any, error) {
	value, err := listValue(list)
	if err != nil {
		return nil, err
	}
	all := make([]any, value.Len())
	for i := range all {
		all[i] = value.Index(i).Interface()
	}
	return all, nil
}

// listValue returns a list for package reflect.
func listValue(list any) (reflect.Value, error) {
	value := reflect.ValueOf(list)
	switch {
	case list == nil:
		return reflect.ValueOf([]any{}), nil
	case value.Kind() != reflect.Slice && value.Kind() != reflect.Array:
		return value, fmt.Errorf("a list is wanted, not a value of type %T", list)
	}
	return value, nil
}

// texts returns the elements of a list as texts.
func texts(list any) ([]string, error) {
	if list, ok := list.([]string); ok {
		return slices.Clone(list), nil
	}
	all, err := elements(list)
	if err != nil {
		return nil, err
	}
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = toString(v)
	}
	return words, nil
}

// join is strings.Join, as in confd 0.16, for lists of anything.
func join(list any, separator string) (string, error) {
	all, err := texts(list)
	return strings.Join(all, separator), err
}

func makeList(values ...any) []any { return append([]any{}, values...) }

// extend returns a list with further elements at its end or its beginning. It keeps its
// type if they have that of its elements.
func extend(list any, front bool, more ...any) (any, error) {
	value, err := listValue(list)
	if err != nil {
		return nil, err
	}
	kind := value.Type().Elem()
	for _, v := range more {
		if v == nil || !reflect.TypeOf(v).AssignableTo(kind) {
			kind = reflect.TypeFor[any]()
		}
	}
	own := reflect.MakeSlice(reflect.SliceOf(kind), 0, value.Len())
	for i := range value.Len() {
		own = reflect.Append(own, value.Index(i))
	}
	added := reflect.MakeSlice(own.Type(), 0, len(more))
	for _, v := range more {
		element := reflect.Zero(kind)
		if v != nil {
			element = reflect.ValueOf(v)
		}
		added = reflect.Append(added, element)
	}
	if front {
		own, added = added, own
	}
	return reflect.AppendSlice(own, added).Interface(), nil
}

func appendTo(list, v any) (any, error)  { return extend(list, false, v) }
func prependTo(list, v any) (any, error) { return extend(list, true, v) }

func concat(lists ...any) ([]any, error) {
	all := []any{}
	for _, list := range lists {
		more, err := elements(list)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

var errEmptyList = errors.New("the list is empty")

// firstOf and lastOf return one element, restOf and initialOf a list of the same type.

func firstOf(list any) (any, error) {
	value, err := listValue(list)
	if err == nil && value.Len() == 0 {
		err = errEmptyList
	}
	if err != nil {
		return nil, err
	}
	return value.Index(0).Interface(), nil
}

func lastOf(list any) (any, error) {
	value, err := listValue(list)
	if err == nil && value.Len() == 0 {
		err = errEmptyList
	}
	if err != nil {
		return nil, err
	}
	return value.Index(value.Len() - 1).Interface(), nil
}

func restOf(list any) (any, error) {
	value, err := listValue(list)
	if err != nil {
		return nil, err
	}
	return value.Slice(min(1, value.Len()), value.Len()).Interface(), nil
}

func initialOf(list any) (any, error) {
	value, err := listValue(list)
	if err != nil {
		return nil, err
	}
	return value.Slice(0, max(0, value.Len()-1)).Interface(), nil
}

// same reports whether two values are equal; of numbers, the types do not count.
func same(a, b any) bool {
	if _, ok := a.(string); !ok {
		if _, ok := b.(string); !ok {
			x, errX := number(a)
			y, errY := number(b)
			if errX == nil && errY == nil {
				return x == y
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

// among reports whether v is one of all.
func among(all []any, v any) bool {
	return slices.ContainsFunc(all, func(one any) bool { return same(one, v) })
}

func has(item, list any) (bool, error) {
	all, err := elements(list)
	return among(all, item), err
}

func without(list any, items ...any) ([]any, error) {
	all, err := elements(list)
	return slices.DeleteFunc(all, func(v any) bool { return among(items, v) }), err
}

func compact(list any) ([]any, error) {
	all, err := elements(list)
	return slices.DeleteFunc(all, empty), err
}

func uniq(list any) ([]any, error) {
	all, err := elements(list)
	kept := []any{}
	for _, v := range all {
		if !among(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept, err
}

func sortAlpha(list any) ([]string, error) {
	all, err := texts(list)
	slices.Sort(all)
	return all, err
}
