// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
)

// A pair is one value of a file.
type pair struct{ key, value string }

// parse returns the values in a file, in an order in which the last one of a key wins.
// The file's name tells the format. An error names the file and, as far as known, the
// line; it never quotes the file's content, which may be secret.
func parse(name string, data []byte) ([]pair, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var f flattener
	var line int
	var err error
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		line, err = f.json(data)
	case ".toml":
		line, err = f.toml(data)
	default:
		line, err = f.yaml(data)
	}
	switch {
	case err != nil && line > 0:
		return nil, fmt.Errorf("reading %q: line %d: %w", name, line, err)
	case err != nil:
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	return f.pairs, nil
}

// A flattener turns nested values into keys: "a: {b: [x]}" is "/a/b/0".
type flattener struct {
	pairs []pair
	yamlState
}

func (f *flattener) add(key, value string) {
	f.pairs = append(f.pairs, pair{key, value})
}

// json reads data as JSON, and if it is none, as YAML: files with comments or a comma
// too many have always been read.
func (f *flattener) json(data []byte) (line int, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var top any
	err = d.Decode(&top)
	if err == nil {
		if _, err = d.Token(); err != io.EOF {
			return lineAt(data, d.InputOffset()), errors.New("there is something after the end of the top level value")
		}
		if _, ok := top.(map[string]any); !ok {
			return 1, errNoMapping
		}
		f.value(top, "/")
		return 0, nil
	}
	if _, yamlErr := f.yaml(data); yamlErr == nil {
		return 0, nil
	}
	f.pairs = nil
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return lineAt(data, syntax.Offset), err
	}
	return lineAt(data, int64(len(data))), errors.New("unexpected end of JSON")
}

// lineAt returns the line of an offset in data.
func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
}

// quoted is what the messages of the TOML package quote of the file: texts, and a number
// that is out of range, with which a message begins.
var quoted = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`"(\\.|[^"\\])*"|'[^']*'|^[-+]?[0-9][^ ]*`)
})

func (f *flattener) toml(data []byte) (line int, err error) {
	top := make(map[string]any)
	if _, err := toml.Decode(string(data), &top); err != nil {
		if parse, ok := errors.AsType[toml.ParseError](err); ok {
			return parse.Position.Line, errors.New(quoted().ReplaceAllString(parse.Message, "…"))
		}
		return 0, errors.New("the file is not TOML")
	}
	f.value(top, "/")
	return 0, nil
}

// value adds a value as the JSON and TOML packages return it.
func (f *flattener) value(v any, key string) {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names) // names such as "a/b" may make the same key
		for _, name := range names {
			f.value(v[name], path.Join(key, name))
		}
	case []map[string]any:
		for i := range v {
			f.value(v[i], path.Join(key, strconv.Itoa(i)))
		}
	case []any:
		for i := range v {
			f.value(v[i], path.Join(key, strconv.Itoa(i)))
		}
	case string:
		f.add(key, v)
	case bool:
		f.add(key, strconv.FormatBool(v))
	case json.Number:
		f.add(key, float(v.String()))
	case int64:
		f.add(key, strconv.FormatInt(v, 10))
	case float64:
		f.add(key, strconv.FormatFloat(v, 'f', -1, 64))
	case time.Time:
		f.add(key, tomlTime(v))
	}
}

// tomlTime prints a time with as much of it as was written.
func tomlTime(t time.Time) string {
	switch t.Location().String() { // named so by the TOML package
	case "datetime-local":
		return t.Format("2006-01-02T15:04:05.999999999")
	case "date-local":
		return t.Format("2006-01-02")
	case "time-local":
		return t.Format("15:04:05.999999999")
	}
	return t.Format(time.RFC3339Nano)
}

// number prints a number as confd 0.16 did: integers in decimal ("0x10" is "16", "010"
// is "8"), others without an exponent and without needless digits ("1.50" is "1.5").
// An integer that needs more than 64 bits stays as it is written.
func number(text string) string {
	plain := strings.ReplaceAll(text, "_", "")
	if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	if n, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	n, err := strconv.ParseFloat(plain, 64)
	if err != nil {
		return text
	}
	short := strconv.FormatFloat(n, 'f', -1, 64)
	if integer := strings.TrimLeft(plain, "+-0"); strings.Trim(integer, "0123456789") == "" &&
		integer != strings.TrimPrefix(short, "-") && integer != "" {
		return text
	}
	return short
}
