// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"confd/template"
)

// DecodeStrict reads the TOML file path into v, a pointer to a struct of strings,
// numbers, booleans, durations ("30s"), slices and maps of them, pointers to them, and
// tables (structs). Fields are named by their toml tag; as in confd 0.16, a key in
// other letter case is accepted.
//
// All faults of the file are reported at once, joined by [errors.Join], each as
// "file:line:column: …": a key that v does not know (with the known key that was
// probably meant), and a value of a wrong type. A file that is not TOML has one fault.
// Fields without a fault are set in any case. A file that cannot be read gives an
// error that wraps the one of the operating system.
func DecodeStrict(path string, v any) error {
	_, faults, err := decode(path, v)
	return errors.Join(err, faults.join())
}

// A document knows where the keys of a decoded file stand.
type document struct {
	path  string
	lines []string
	where map[string]toml.Position // :: dotted key → its position
}

// A fault is one thing wrong with a file.
type fault struct {
	key  string
	path string
	pos  toml.Position
	msg  string
}

func (f *fault) Error() string {
	if f.pos.Line == 0 {
		return fmt.Sprintf("%s: %s", f.path, f.msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.path, f.pos.Line, max(f.pos.Col, 1), f.msg)
}

type faults []*fault

// join returns the faults in the order of the file, or nil if there are none.
func (f faults) join() error {
	slices.SortStableFunc(f, func(a, b *fault) int {
		return cmp.Or(cmp.Compare(a.pos.Line, b.pos.Line), cmp.Compare(a.pos.Col, b.pos.Col))
	})
	errs := make([]error, len(f))
	for i := range f {
		errs[i] = f[i]
	}
	return errors.Join(errs...)
}

// fault returns a fault at key. The key of a table that is missing stands nowhere, and
// is reported for the file.
func (d *document) fault(key, format string, args ...any) *fault {
	return &fault{key: key, path: d.path, pos: d.where[key], msg: fmt.Sprintf(format, args...)}
}

// column returns the column of the key itself. What is known is where its value stands.
func (d *document) column(key toml.Key) int {
	pos := d.where[key.String()]
	if pos.Line < 1 || pos.Line > len(d.lines) {
		return pos.Col
	}
	line := d.lines[pos.Line-1]
	before := line[:min(max(pos.Col-1, 0), len(line))]
	if i := strings.LastIndex(before, key[len(key)-1]); i >= 0 {
		return i + 1
	}
	return pos.Col
}

// quote moves a position from the first letter of a string back to its quotes.
func (d *document) quote(pos toml.Position) toml.Position {
	if pos.Line >= 1 && pos.Line <= len(d.lines) {
		line := d.lines[pos.Line-1]
		for pos.Col >= 2 && pos.Col-2 < len(line) && (line[pos.Col-2] == '"' || line[pos.Col-2] == '\'') {
			pos.Col--
		}
	}
	return pos
}

// decode is DecodeStrict, with the positions of the keys. The error is of reading.
func decode(path string, v any) (*document, faults, error) {
	doc := &document{path: path, where: make(map[string]toml.Position)}
	data, err := os.ReadFile(path)
	if err != nil {
		return doc, nil, fmt.Errorf("reading configuration: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // a byte order mark
	doc.lines = strings.Split(string(data), "\n")
	var table map[string]toml.Primitive
	md, err := toml.NewDecoder(bytes.NewReader(data)).Decode(&table)
	if err != nil {
		f := &fault{path: path, msg: err.Error()}
		if parse, ok := errors.AsType[toml.ParseError](err); ok {
			f.pos, f.msg = parse.Position, parse.Message
		}
		return doc, faults{f}, nil
	}
	w := walker{doc: doc, md: &md}
	w.table(nil, table, reflect.ValueOf(v).Elem())
	return doc, w.faults, nil
}

// A walker brings a decoded file into structs, key by key, so that one fault does not
// hide the others.
type walker struct {
	doc    *document
	md     *toml.MetaData
	faults faults
}

func (w *walker) table(parent toml.Key, table map[string]toml.Primitive, v reflect.Value) {
	fields := fieldsOf(v.Type())
	seen := make(map[int]string) // :: field → the key that set it
	for name, value := range table {
		key := append(slices.Clone(parent), name)
		w.doc.where[key.String()] = w.doc.quote(w.position(value))
		i, ok := find(fields, name)
		if !ok {
			w.fault(key, "unknown key %q%s", name, suggest(name, fields, parent))
			w.faults[len(w.faults)-1].pos.Col = w.doc.column(key)
			continue
		}
		if other, ok := seen[i]; ok {
			w.fault(key, "key %q is given twice, as %q too", name, other)
			continue
		}
		seen[i] = name
		w.value(key, value, v.Field(i))
	}
}

func (w *walker) value(key toml.Key, value toml.Primitive, v reflect.Value) {
	found := strings.ToLower(w.md.Type(key...))
	target := v.Type()
	if target.Kind() == reflect.Pointer {
		target = target.Elem()
	}
	switch {
	case target.Kind() == reflect.Map && found != "hash" && found != "": // the decoder would leave it empty
		w.fault(key, "%s", mismatch(key, target, found, nil))
	case target == reflect.TypeFor[time.Duration]() && found != "string":
		w.fault(key, "%s must be a string with a unit, such as \"30s\"; found %s", key, article(found))
	case target.Kind() == reflect.Struct && !reflect.PointerTo(target).Implements(reflect.TypeFor[toml.Unmarshaler]()):
		var table map[string]toml.Primitive
		if found != "hash" && found != "" { // "" is a table that only its subtables name
			w.fault(key, "%s must be a table ([%s]); found %s", key, key, article(found))
			return
		}
		if err := w.md.PrimitiveDecode(value, &table); err != nil {
			w.fault(key, "%s must be a table: %v", key, err)
			return
		}
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(target))
			}
			v = v.Elem()
		}
		w.table(key, table, v)
	default:
		fresh := reflect.New(v.Type())
		if err := w.md.PrimitiveDecode(value, fresh.Interface()); err != nil {
			w.fault(key, "%s", mismatch(key, target, found, err))
			return
		}
		v.Set(fresh.Elem())
	}
}

// mismatch says what a value should have been. The decoder's own message is used where
// the type is right and the value is not, as for a duration without a unit.
func mismatch(key toml.Key, target reflect.Type, found string, err error) string {
	if parse, ok := errors.AsType[toml.ParseError](err); ok {
		return fmt.Sprintf("%s: %s", key, parse.Message)
	}
	want := expected(target)
	if found == "array" && target.Kind() == reflect.Slice {
		return fmt.Sprintf("%s must be %s; an element is of another type", key, want)
	}
	hint := ""
	if target.Kind() == reflect.Map {
		return fmt.Sprintf("%s must be %s ({NAME = \"value\"}); found %s", key, want, article(found))
	}
	if found == "string" && target.Kind() != reflect.Slice {
		hint = "; remove the quotes"
	}
	if target.Kind() == reflect.String {
		hint = "; put it in quotes"
	}
	return fmt.Sprintf("%s must be %s; found %s%s", key, want, article(found), hint)
}

func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.String {
			return `a list of strings (["a", "b"])`
		}
		return "a list"
	case reflect.Map:
		return "a table"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "an integer"
	}
}

func article(found string) string {
	switch found {
	case "hash":
		return "a table"
	case "arrayhash":
		return "an array of tables"
	case "bool":
		return "a boolean"
	case "array", "integer":
		return "an " + found
	default:
		return "a " + found
	}
}

func (w *walker) fault(key toml.Key, format string, args ...any) {
	w.faults = append(w.faults, w.doc.fault(key.String(), format, args...))
}

// position returns where a value stands. The decoder tells it only in its errors, so
// it is made to report one.
func (w *walker) position(value toml.Primitive) toml.Position {
	parse, _ := errors.AsType[toml.ParseError](w.md.PrimitiveDecode(value, &refusal{}))
	return parse.Position
}

// A refusal refuses every value.
type refusal struct{}

func (*refusal) UnmarshalTOML(any) error { return errors.ErrUnsupported }

// fieldsOf returns the keys of the fields of a struct; "" where there is none.
func fieldsOf(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		names[i] = cmp.Or(name, f.Name)
	}
	return names
}

func find(fields []string, name string) (int, bool) {
	if i := slices.Index(fields, name); i >= 0 && name != "" {
		return i, true
	}
	i := slices.IndexFunc(fields, func(f string) bool { return f != "" && strings.EqualFold(f, name) })
	return i, i >= 0
}

// suggest returns the hint for an unknown key: the nearest known one, if it is near.
func suggest(name string, fields []string, parent toml.Key) string {
	best := template.Nearest(name, fields, 2)
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(parent) > 0:
		return fmt.Sprintf(" in [%s]", parent)
	default:
		return ""
	}
}
