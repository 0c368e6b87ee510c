// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"text/template"
)

// empty reports whether a value counts as false in an {{if}}: nothing, zero, "" and
// lists and maps with nothing in them.
func empty(v any) bool {
	truth, _ := template.IsTrue(v)
	return !truth
}

// fallback returns the value, or the first argument if the value is empty.
func fallback(instead, v any) any {
	if empty(v) {
		return instead
	}
	return v
}

// coalesce returns the first of its arguments that is not empty.
func coalesce(values ...any) any {
	for _, v := range values {
		if !empty(v) {
			return v
		}
	}
	return nil
}

// ternary returns one of two values.
func ternary(yes, no any, condition bool) any {
	if condition {
		return yes
	}
	return no
}

// A toldError has a message from the template.
type toldError struct{ msg string }

func (e *toldError) Error() string { return e.msg }

// required returns the value, unless there is none.
func required(message string, v any) (any, error) {
	if v == nil || v == "" {
		return nil, &toldError{message}
	}
	return v, nil
}

// fail ends the rendering.
func fail(message string) (string, error) { return "", &toldError{message} }

// A decimal is a number with a fraction. It is printed as people write it, without the
// exponent that fmt puts behind large ones.
type decimal float64

func (d decimal) String() string { return strconv.FormatFloat(float64(d), 'f', -1, 64) }

// toString returns a value as the text that the template would print, and "" for none.
func toString(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case float64:
		return decimal(v).String()
	}
	return fmt.Sprint(v)
}

var (
	errNumber = errors.New("not a number")
	errInt    = errors.New("not a whole number, or too large")
)

// number returns the number that a value is, or that a text stands for.
func number(v any) (float64, error) {
	value := reflect.ValueOf(v)
	switch {
	case !value.IsValid():
		return 0, errNumber
	case value.CanInt():
		return float64(value.Int()), nil
	case value.CanUint():
		return float64(value.Uint()), nil
	case value.CanFloat():
		return finite(value.Float())
	case value.Kind() == reflect.String:
		f, err := strconv.ParseFloat(strings.TrimSpace(value.String()), 64)
		if err != nil {
			return 0, errNumber
		}
		return finite(f)
	}
	return 0, errNumber
}

// finite refuses what no configuration file can hold.
func finite(f float64) (float64, error) {
	if f-f != 0 { // infinite, or not a number
		return 0, errors.New("number out of range")
	}
	return f, nil
}

// toInt returns the whole number that a value is, without its fraction.
func toInt(v any) (int, error) {
	value := reflect.ValueOf(v)
	switch {
	case value.IsValid() && value.CanInt():
		return int(value.Int()), nil
	case value.IsValid() && value.Kind() == reflect.String:
		if n, err := strconv.Atoi(strings.TrimSpace(value.String())); err == nil {
			return n, nil
		}
	}
	f, err := number(v)
	if err != nil {
		return 0, err
	}
	if f < -1<<53 || f > 1<<53 { // beyond, not every whole number has a float
		return 0, errInt
	}
	return int(f), nil
}

// toFloat returns a number with a fraction.
func toFloat(v any) (decimal, error) {
	f, err := number(v)
	return decimal(f), err
}
