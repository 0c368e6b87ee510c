// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxAliased bounds the values that a file may repeat by aliases: a few lines of
// nested aliases can stand for more than any memory holds.
const maxAliased = 1_000_000

var errNoMapping = errors.New("the top level must be a mapping of names to values")

// yamlState is what a flattener knows while it walks through YAML.
type yamlState struct {
	line    int                 // of the node being walked, for errors
	open    map[*yaml.Node]bool // anchors whose aliases are being followed
	aliased int                 // nodes seen through aliases
}

// yamlLine is how the YAML package begins its messages.
var yamlLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
})

// yamlShort are the messages with which the YAML package gives the line before.
var yamlShort = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^did not find expected (<|key|node content|'-' indicator|',' or)`)
})

// yamlError returns the message of an error of the YAML package, and the line it means.
// The package gives none for the first line, and for what is found before and after
// parsing.
func yamlError(err error, data []byte) (line int, text string) {
	text = err.Error()
	if m := yamlLine().FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	var anchor string
	switch _, scan := fmt.Sscanf(text, "unknown anchor '%s", &anchor); {
	case yamlShort().MatchString(text):
		line++
	case line > 0:
	case scan == nil: // the anchor may be a password that nobody has put in quotes
		line = lineOf(data, "*"+strings.TrimSuffix(anchor, "'"))
		text = "unknown anchor; a value that begins with * must stand in quotes"
	default:
		line = max(1, badByte(data))
	}
	// The end of the file counts as a line of its own.
	return min(line, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n"))), text
}

// lineOf returns the line on which text first stands, 0 if nowhere.
func lineOf(data []byte, text string) int {
	i := bytes.Index(data, []byte(text))
	if i < 0 {
		return 0
	}
	return 1 + bytes.Count(data[:i], []byte("\n"))
}

// yaml reads the first document of data.
func (f *flattener) yaml(data []byte) (line int, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		line, text := yamlError(err, data)
		return line, errors.New(text)
	}
	if doc.Kind == 0 { // nothing but comments
		return 0, nil
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.ShortTag() == "!!null" {
		return 0, nil
	}
	if top.Kind != yaml.MappingNode {
		return top.Line, errNoMapping
	}
	f.open = make(map[*yaml.Node]bool)
	if err := f.node(top, "/"); err != nil {
		return f.line, err
	}
	return 0, nil
}

// badByte returns the line of the first byte that YAML does not allow, 0 if there is
// none.
func badByte(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return line
		}
		data = data[size:]
	}
	return 0
}

// node adds the values of n, which is at key.
func (f *flattener) node(n *yaml.Node, key string) error {
	f.line = n.Line
	if len(f.open) > 0 {
		if f.aliased++; f.aliased > maxAliased {
			return fmt.Errorf("aliases repeat more than %d values", maxAliased)
		}
	}
	switch n.Kind {
	case yaml.AliasNode:
		leave, err := f.enter(n)
		if err != nil {
			return err
		}
		defer leave()
		return f.node(n.Alias, key)
	case yaml.SequenceNode:
		for i, child := range n.Content {
			if err := f.node(child, path.Join(key, strconv.Itoa(i))); err != nil {
				return err
			}
		}
	case yaml.MappingNode:
		var m mapping
		if err := f.collect(&m, n); err != nil {
			return err
		}
		for i, name := range m.names {
			if err := f.node(m.values[i], path.Join(key, name)); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		if text, ok := scalar(n); ok {
			f.add(key, text)
		}
	}
	return nil
}

// enter marks an alias as being followed until leave is called.
func (f *flattener) enter(alias *yaml.Node) (leave func(), err error) {
	anchor := alias.Alias
	if f.open[anchor] {
		return nil, errors.New("an alias stands within its own anchor")
	}
	f.open[anchor] = true
	return func() { delete(f.open, anchor) }, nil
}

// A mapping is the entries of a YAML mapping, each name once, with its last value.
type mapping struct {
	at     map[string]int // :: name → position
	names  []string
	values []*yaml.Node
}

func (m *mapping) set(name string, value *yaml.Node) {
	if i, ok := m.at[name]; ok {
		m.values[i] = value
		return
	}
	if m.at == nil {
		m.at = make(map[string]int)
	}
	m.at[name] = len(m.names)
	m.names = append(m.names, name)
	m.values = append(m.values, value)
}

// collect sets the entries of n in m, those merged in by "<<" where it stands, as
// confd 0.16 did.
func (f *flattener) collect(m *mapping, n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind == yaml.ScalarNode && name.ShortTag() == "!!merge" {
			if err := f.merge(m, value); err != nil {
				return err
			}
			continue
		}
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		if name.Kind != yaml.ScalarNode {
			f.line = name.Line
			return errors.New("a name in a mapping must be a plain value")
		}
		m.set(name.Value, value)
	}
	return nil
}

// merge sets in m the entries of the mappings that v names: one, or a list in which
// the first one wins.
func (f *flattener) merge(m *mapping, v *yaml.Node) error {
	f.line = v.Line
	switch v.Kind {
	case yaml.AliasNode:
		if f.aliased++; f.aliased > maxAliased {
			return fmt.Errorf("aliases repeat more than %d values", maxAliased)
		}
		leave, err := f.enter(v)
		if err != nil {
			return err
		}
		defer leave()
		return f.merge(m, v.Alias)
	case yaml.MappingNode:
		return f.collect(m, v)
	case yaml.SequenceNode:
		for i := len(v.Content) - 1; i >= 0; i-- {
			if err := f.merge(m, v.Content[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New(`"<<" must name a mapping or a list of mappings`)
}

// scalar returns how confd 0.16 printed a value; not ok if it left it out (null).
func scalar(n *yaml.Node) (text string, ok bool) {
	switch n.ShortTag() {
	case "!!null":
		return "", false
	case "!!bool":
		return yesNo(n.Value), true
	case "!!int":
		if strings.Contains(n.Value, "0o") { // not a number in YAML 1.1
			return n.Value, true
		}
		return number(n.Value), true
	case "!!float":
		return float(n.Value), true
	case "!!str":
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0 {
			return yesNo(n.Value), true
		}
	case "!!binary":
		compact := bytes.Join(bytes.Fields([]byte(n.Value)), nil)
		if data, err := base64.StdEncoding.DecodeString(string(compact)); err == nil {
			return string(data), true
		}
	}
	return n.Value, true // timestamps too: as they are written
}

// yesNo returns "true" or "false" for the words that mean these in YAML 1.1, which is
// what confd 0.16 read, and any other word as it is.
func yesNo(word string) string {
	switch word {
	case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return "true"
	case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return "false"
	}
	return word
}

// oldFloat is what confd 0.16 took for a number with a fraction or an exponent: "1e3"
// and "7." stayed text.
var oldFloat = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?|\..*)$`)
})

// float is number for what may be infinite or not a number.
func float(text string) string {
	switch strings.ToLower(strings.TrimPrefix(text, "+")) {
	case ".inf":
		return strconv.FormatFloat(math.Inf(1), 'f', -1, 64)
	case "-.inf":
		return strconv.FormatFloat(math.Inf(-1), 'f', -1, 64)
	case ".nan":
		return strconv.FormatFloat(math.NaN(), 'f', -1, 64)
	}
	if !oldFloat().MatchString(strings.ReplaceAll(text, "_", "")) {
		return text
	}
	return number(text)
}
