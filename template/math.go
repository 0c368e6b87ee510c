// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"math"
)

// fold puts a function of two numbers between all its arguments.
func fold(two func(a, b float64) (float64, error)) func(a, b any, more ...any) (decimal, error) {
	return func(a, b any, more ...any) (decimal, error) {
		sum, err := number(a)
		if err != nil {
			return 0, err
		}
		for _, v := range append([]any{b}, more...) {
			n, err := number(v)
			if err != nil {
				return 0, err
			}
			if sum, err = two(sum, n); err != nil {
				return 0, err
			}
		}
		sum, err = finite(sum)
		return decimal(sum), err
	}
}

func plus(a, b float64) (float64, error)  { return a + b, nil }
func minus(a, b float64) (float64, error) { return a - b, nil }
func times(a, b float64) (float64, error) { return a * b, nil }

func divide(a, b float64) (float64, error) {
	if b == 0 {
		return 0, errDivision
	}
	return a / b, nil
}

// most returns the function that picks one of its arguments: the one that better
// prefers to all others. The argument is returned as it is.
func most(better func(a, b float64) bool) func(first any, more ...any) (any, error) {
	return func(first any, more ...any) (any, error) {
		best, err := number(first)
		if err != nil {
			return nil, err
		}
		for _, v := range more {
			n, err := number(v)
			if err != nil {
				return nil, err
			}
			if better(n, best) {
				first, best = v, n
			}
		}
		return first, nil
	}
}

func greater(a, b float64) bool { return a > b }
func less(a, b float64) bool    { return a < b }

// floor, ceil and round return numbers without a fraction, or with so many digits.

func floor(v any) (decimal, error) {
	f, err := number(v)
	return decimal(math.Floor(f)), err
}

func ceil(v any) (decimal, error) {
	f, err := number(v)
	return decimal(math.Ceil(f)), err
}

func round(v any, digits int) (decimal, error) {
	f, err := number(v)
	if err != nil {
		return 0, err
	}
	if digits < 0 || digits > 15 {
		return 0, errors.New("the number of digits must be between 0 and 15")
	}
	scale := math.Pow10(digits)
	f, err = finite(math.Round(f*scale) / scale)
	return decimal(f), err
}
