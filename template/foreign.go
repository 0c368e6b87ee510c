// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"slices"
	"strings"
	"unicode"
)

// foreign holds functions that people know from elsewhere under another name, with what
// they write here. It makes hints, and a table of the reference page.
var foreign = []struct{ name, from, here string }{
	{"b64enc", "sprig", "base64Encode"},
	{"b64dec", "sprig", "base64Decode"},
	{"upper", "sprig", "toUpper"},
	{"lower", "sprig", "toLower"},
	{"toTitle", "consul-template", "title"},
	{"trimSpace", "consul-template", "trim"},
	{"trimall", "sprig", "trimAll"},
	{"splitList", "sprig", "split STRING SEPARATOR"},
	{"abbrev", "sprig", "trunc"},
	{"push", "sprig", "append"},
	{"tuple", "sprig", "list"},
	{"in", "consul-template", "has VALUE LIST"},
	{"until", "sprig", "seq FIRST LAST"},
	{"untilStep", "sprig", "seq FIRST LAST"},
	{"loop", "consul-template", "seq FIRST LAST"},
	{"add1", "sprig", "add 1 N"},
	{"int64", "sprig", "int"},
	{"parseInt", "consul-template", "int"},
	{"parseUint", "consul-template", "int"},
	{"parseFloat", "consul-template", "float64"},
	{"subtract", "consul-template", "sub"},
	{"multiply", "consul-template", "mul"},
	{"divide", "consul-template", "div"},
	{"modulo", "consul-template", "mod"},
	{"minimum", "consul-template", "min"},
	{"maximum", "consul-template", "max"},
	{"biggest", "sprig", "max"},
	{"maxf", "sprig", "max"},
	{"minf", "sprig", "min"},
	{"toRawJson", "sprig", "toJson"},
	{"toJSON", "consul-template", "toJson"},
	{"toJSONPretty", "consul-template", "toPrettyJson"},
	{"toYAML", "consul-template", "toYaml"},
	{"toTOML", "consul-template", "toToml"},
	{"parseJSON", "consul-template", "fromJson"},
	{"parseYAML", "consul-template", "fromYaml"},
	{"sha256Hex", "consul-template", "sha256sum"},
	{"hmacSHA256Hex", "consul-template", "hmacSHA256 KEY STRING"},
	{"env", "sprig, consul-template", "getenv"},
	{"envOrDefault", "consul-template", "getenv NAME DEFAULT"},
	{"mustEnv", "consul-template", "getenv NAME and required"},
	{"timestamp", "consul-template", "now and date"},
	{"htmlDate", "sprig", "date"},
	{"typeOf", "sprig", "printf with %T"},
	{"kindOf", "sprig", "printf with %T"},
	{"cat", "sprig", "print or join"},
	{"executeTemplate", "consul-template", "include"},
	{"scratch", "consul-template", "dict and set"},
	{"key", "consul-template", "getv KEY"},
	{"keyOrDefault", "consul-template", "getv KEY DEFAULT"},
	{"keyExists", "consul-template", "exists KEY"},
	{"safeLs", "consul-template", "gets"},
	{"safeTree", "consul-template", "tree"},
	{"getHostByName", "sprig", "lookupIP"},
	{"sockaddr", "consul-template", "lookupIfaceIPV4"},
}

// clashes holds functions that mean something else elsewhere.
var clashes = []struct{ name, here, elsewhere string }{
	{"atoi", "fails if the text is no number", "sprig: 0"},
	{"bcrypt", "the salt is given", "sprig: drawn by chance, so that each rendering differs"},
	{"camelcase", "maxConns", "sprig: MaxConns"},
	{"contains", "contains STRING PART", "sprig: contains PART STRING; consul-template: contains VALUE LIST, here has"},
	{"file", "only below the folder of templates", "consul-template: any path"},
	{"first, last", "fail if the list is empty", "sprig: nothing"},
	{"get", "get KEY", "sprig: get MAP KEY, here index or dig"},
	{"include", "a {{define}} or a file", "Helm: a {{define}} only"},
	{"join", "join LIST SEPARATOR", "sprig, consul-template: join SEPARATOR LIST"},
	{"keys, values", "of one map, sorted", "sprig: of several, in any order"},
	{"ls", "names", "consul-template: pairs, here gets"},
	{"merge, mergeOverwrite", "leave their arguments as they are", "sprig: change the first"},
	{"regexReplaceAll", "regexReplaceAll REGEX STRING NEW, as in sprig", "consul-template: regexReplaceAll REGEX NEW STRING"},
	{"replace", "replace STRING OLD NEW COUNT", "sprig: replace OLD NEW STRING, here replaceAll"},
	{"secret", "marks a value", "consul-template: reads from Vault"},
	{"seq", "a list, never downwards", "sprig: a text; abtreece/confd: also downwards"},
	{"split", "split STRING SEPARATOR, a list", "sprig: split SEPARATOR STRING, a map; consul-template: split SEPARATOR STRING"},
	{"toJson", "leaves <, > and & as they are", "sprig: escapes them"},
	{"trimPrefix, trimSuffix", "trimSuffix STRING SUFFIX", "sprig, consul-template: trimSuffix SUFFIX STRING"},
}

// renamed returns what a function that is known elsewhere is called here, or "".
func renamed(name string, functions []string) string {
	name = strings.TrimPrefix(name, "sprig_")
	if rest, ok := strings.CutPrefix(name, "must"); ok && rest != "" && unicode.IsUpper(rune(rest[0])) && rest != "Env" {
		name = strings.ToLower(rest[:1]) + rest[1:]
	}
	if slices.Contains(functions, name) {
		return name
	}
	for _, f := range foreign {
		if f.name == name {
			return f.here
		}
	}
	return ""
}
