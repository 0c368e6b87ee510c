// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Functions that sprig has too take the text last, so that it can be piped to them.

func trimAll(cutset, s string) string       { return strings.Trim(s, cutset) }
func hasPrefix(prefix, s string) bool       { return strings.HasPrefix(s, prefix) }
func hasSuffix(suffix, s string) bool       { return strings.HasSuffix(s, suffix) }
func replaceAll(old, with, s string) string { return strings.ReplaceAll(s, old, with) }

// maxText keeps a wrong number from using up the memory.
const maxText = 16 << 20

func repeat(count int, s string) (string, error) {
	switch {
	case count < 0:
		return "", errors.New("cannot repeat a text less than 0 times")
	case count > 0 && len(s) > maxText/count:
		return "", fmt.Errorf("a text of more than %d bytes", maxText)
	}
	return strings.Repeat(s, count), nil
}

func nospace(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// trunc returns the first letters of a text, or with a negative count the last.
func trunc(count int, s string) string {
	letters := []rune(s)
	switch {
	case count >= 0 && count < len(letters):
		return string(letters[:count])
	case count < 0 && count > -len(letters):
		return string(letters[len(letters)+count:])
	}
	return s
}

// substr returns the letters from start to before end; with an end below 0, all the rest.
func substr(start, end int, s string) string {
	letters := []rune(s)
	start = min(max(start, 0), len(letters))
	if end < 0 || end > len(letters) {
		end = len(letters)
	}
	return string(letters[start:max(start, end)])
}

func quote(v any) string  { return fmt.Sprintf("%q", toString(v)) }
func squote(v any) string { return "'" + toString(v) + "'" }

func indent(spaces int, s string) (string, error) {
	if spaces < 0 || spaces > 1000 {
		return "", errors.New("the number of spaces must be between 0 and 1000")
	}
	if s == "" {
		return "", nil
	}
	pad := strings.Repeat(" ", spaces)
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad), nil
}

func nindent(spaces int, s string) (string, error) {
	s, err := indent(spaces, s)
	return "\n" + s, err
}

// words returns the words that a name is made of: what is between other characters than
// letters and digits, and what begins with a capital letter.
//
//	maxConns → max Conns     HTTPServer2 → HTTP Server2     a_b-c.d → a b c d
func words(s string) []string {
	var all []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			all = append(all, string(word))
		}
		word = nil
	}
	letters := []rune(s)
	for i, r := range letters {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
			continue
		case unicode.IsUpper(r) && i > 0:
			afterSmall := !unicode.IsUpper(letters[i-1])
			beforeSmall := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if afterSmall || beforeSmall {
				end()
			}
		}
		word = append(word, r)
	}
	end()
	return all
}

func snakecase(s string) string { return strings.ToLower(strings.Join(words(s), "_")) }
func kebabcase(s string) string { return strings.ToLower(strings.Join(words(s), "-")) }

func camelcase(s string) string {
	all := words(s)
	for i, word := range all {
		all[i] = strings.ToLower(word)
		if i > 0 {
			all[i] = capital(all[i])
		}
	}
	return strings.Join(all, "")
}

// capital returns a text with its first letter as a capital.
func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// title returns a text with the first letter of each word as a capital.
func title(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		first := unicode.IsSpace(before) || before == '-'
		before = r
		if first {
			return unicode.ToUpper(r)
		}
		return r
	}, s)
}

// wrap breaks a text into lines of at most width letters, at white space.
func wrap(width int, s string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// maxPatterns is how many compiled expressions a template keeps.
const maxPatterns = 100

// pattern returns the compiled expression, which the template keeps: it may stand in a
// loop. The error does not quote it, since it may be made of values.
func (r *run) pattern(expression string) (*regexp.Regexp, error) {
	if re := r.patterns[expression]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile(expression)
	if wrong, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, fmt.Errorf("not a regular expression: %s", wrong.Code)
	}
	if err != nil {
		return nil, errors.New("not a regular expression")
	}
	if r.patterns == nil || len(r.patterns) == maxPatterns {
		r.patterns = make(map[string]*regexp.Regexp)
	}
	r.patterns[expression] = re
	return re, nil
}

func (r *run) regexMatch(expression, s string) (bool, error) {
	re, err := r.pattern(expression)
	return err == nil && re.MatchString(s), err
}

func (r *run) regexFind(expression, s string) (string, error) {
	re, err := r.pattern(expression)
	if err != nil {
		return "", err
	}
	return re.FindString(s), nil
}

func (r *run) regexFindAll(expression, s string, count int) ([]string, error) {
	re, err := r.pattern(expression)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]string{}, re.FindAllString(s, count)), nil
}

func (r *run) regexReplaceAll(expression, s, with string) (string, error) {
	re, err := r.pattern(expression)
	if err != nil {
		return "", err
	}
	return re.ReplaceAllString(s, with), nil
}

func (r *run) regexReplaceAllLiteral(expression, s, with string) (string, error) {
	re, err := r.pattern(expression)
	if err != nil {
		return "", err
	}
	return re.ReplaceAllLiteralString(s, with), nil
}

func (r *run) regexSplit(expression, s string, count int) ([]string, error) {
	re, err := r.pattern(expression)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]string{}, re.Split(s, count)), nil
}
