// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// The three formats are read into the same types: map[string]any, []any, string, bool,
// int for whole numbers, decimal for others. So a value is printed as it was written,
// and whatever one format has read, another can write.

func fromJSON(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			return nil, fmt.Errorf("not valid JSON: something follows after byte %d", dec.InputOffset())
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("not valid JSON: the end is missing")
	}
	return plainValue(v), jsonError(err, "value")
}

func toJSON(v any) (string, error)       { return writeJSON(v, "") }
func toPrettyJSON(v any) (string, error) { return writeJSON(v, "  ") }

func writeJSON(v any, indent string) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(plainValue(v)); err != nil {
		return "", errors.New("this value has no form in JSON")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// yamlLine finds the line in an error of package yaml, all of which can be shown: the
// rest may quote what was read.
var yamlLine = regexp.MustCompile(`\bline (\d+)`)

func fromYAML(text string) (any, error) {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		if line := yamlLine.FindString(err.Error()); line != "" {
			return nil, fmt.Errorf("not valid YAML: mistake in %s", line)
		}
		return nil, errors.New("not valid YAML")
	}
	return plainValue(v), nil
}

func toYAML(v any) (text string, err error) {
	defer func() { // package yaml panics with what it cannot write
		if recover() != nil {
			err = errors.New("this value has no form in YAML")
		}
	}()
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(plainValue(v)), enc.Close()); err != nil {
		return "", errors.New("this value has no form in YAML")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func fromTOML(text string) (any, error) {
	var table map[string]any
	_, err := toml.Decode(text, &table)
	if wrong, ok := errors.AsType[toml.ParseError](err); ok {
		return nil, fmt.Errorf("not valid TOML: mistake in line %d", wrong.Position.Line)
	}
	if err != nil {
		return nil, errors.New("not valid TOML")
	}
	return plainValue(table), nil
}

func toTOML(v any) (string, error) {
	table, ok := plainValue(v).(map[string]any)
	if !ok {
		return "", errors.New("only a map has a form in TOML")
	}
	var b bytes.Buffer
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(table); err != nil {
		return "", errors.New("this map has no form in TOML, which knows no null, and in lists of maps nothing else")
	}
	return strings.TrimSpace(b.String()), nil
}

// plainValue returns a value in the types that all formats share.
func plainValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		f, _ := v.Float64()
		return decimal(f)
	case float64:
		return decimal(v)
	case int64:
		return int(v)
	case []byte:
		return string(v)
	}
	value := reflect.ValueOf(v)
	switch {
	case !value.IsValid():
		return nil
	case value.Kind() == reflect.Map:
		m := make(map[string]any, value.Len())
		for key, element := range value.Seq2() {
			m[toString(key.Interface())] = plainValue(element.Interface())
		}
		return m
	case value.Kind() == reflect.Slice:
		list := make([]any, value.Len())
		for i := range list {
			list[i] = plainValue(value.Index(i).Interface())
		}
		return list
	}
	return v
}
