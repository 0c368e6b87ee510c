// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"path"
	"slices"
	"strings"
)

// A Function describes one function of the templates.
type Function struct {
	Name      string
	Group     string // the heading that it stands under
	Signature string // as it is called, and what it returns: "getv KEY [DEFAULT] → string"
	Summary   string // one line
	Example   string // a template over the keys of the examples
	Result    string // what the example makes

	bind func(*run) any // returns the function, bound to the state of a template
}

// Functions returns all functions, in the order of the reference page.
func Functions() []Function { return slices.Clone(functions) }

// plain is bind for a function without state.
func plain(f any) func(*run) any { return func(*run) any { return f } }

const (
	keysGroup    = "Keys"
	textGroup    = "Text"
	listGroup    = "Lists and maps"
	dataGroup    = "JSON and encodings"
	numberGroup  = "Numbers"
	machineGroup = "The machine and the network"
)

// functions is the one place that says which functions there are.
var functions = []Function{
	{"getv", keysGroup, "getv KEY [DEFAULT] → string",
		"The value of a key. If the key does not exist, the default; without one, rendering fails.",
		`{{getv "/app/port"}} {{getv "/app/host" "localhost"}}`, "8080 localhost",
		func(r *run) any { return r.store.getv }},
	{"get", keysGroup, "get KEY → pair",
		"The key and its value, as .Key and .Value. Rendering fails if the key does not exist.",
		`{{with get "/app/port"}}{{.Key}} is {{.Value}}{{end}}`, "/app/port is 8080",
		func(r *run) any { return r.store.get }},
	{"exists", keysGroup, "exists KEY → bool",
		"Whether a key has a value. It is false for a directory.",
		`{{if exists "/app/port"}}yes{{end}} {{exists "/services/web"}}`, "yes false",
		func(r *run) any { return r.store.exists }},
	{"gets", keysGroup, "gets PATTERN → pairs",
		"All pairs whose key matches the pattern, sorted by key. None is no error.",
		`{{range gets "/services/web/*"}}server {{.Value}};{{"\n"}}{{end}}`,
		"server 10.0.0.2:80;\nserver 10.0.0.1:80;\n",
		func(r *run) any { return r.store.gets }},
	{"getvs", keysGroup, "getvs PATTERN → strings",
		"All values whose key matches the pattern, sorted by value. None is no error.",
		`{{join (getvs "/services/web/*") ", "}}`, "10.0.0.1:80, 10.0.0.2:80",
		func(r *run) any { return r.store.getvs }},
	{"ls", keysGroup, "ls PATH → strings",
		"The names of what lies directly below a path, keys and directories, sorted. For a key, its own name.",
		`{{ls "/services"}} {{ls "/services/web"}} {{ls "/app/port"}}`, "[db domain web] [a b] [port]",
		func(r *run) any { return r.store.ls }},
	{"lsdir", keysGroup, "lsdir PATH → strings",
		"The names of the directories directly below a path, sorted: of what has keys below it.",
		`{{lsdir "/services"}}`, "[db web]",
		func(r *run) any { return r.store.lsdir }},

	{"base", textGroup, "base PATH → string",
		"The last component of a path.",
		`{{range gets "/services/web/*"}}{{base .Key}} {{end}}`, "a b ",
		plain(path.Base)},
	{"dir", textGroup, "dir PATH → string",
		"A path without its last component.",
		`{{dir "/services/web/a"}}`, "/services/web",
		plain(path.Dir)},
	{"toUpper", textGroup, "toUpper STRING → string",
		"The text in capital letters.",
		`{{toUpper (getv "/app/name")}}`, "SHOP",
		plain(strings.ToUpper)},
	{"toLower", textGroup, "toLower STRING → string",
		"The text in small letters.",
		`{{toLower "Example.COM"}}`, "example.com",
		plain(strings.ToLower)},
	{"contains", textGroup, "contains STRING PART → bool",
		"Whether the part occurs in the text.",
		`{{if contains (getv "/services/domain") "example"}}yes{{end}}`, "yes",
		plain(strings.Contains)},
	{"replace", textGroup, "replace STRING OLD NEW COUNT → string",
		"The text with the first COUNT places where OLD stands replaced by NEW; with -1, all.",
		`{{replace "a-b-c" "-" "_" -1}} {{replace "a-b-c" "-" "_" 1}}`, "a_b_c a_b-c",
		plain(strings.Replace)},
	{"trimSuffix", textGroup, "trimSuffix STRING SUFFIX → string",
		"The text without the suffix, if it ends in it.",
		`{{trimSuffix "10.0.0.1:80" ":80"}}`, "10.0.0.1",
		plain(strings.TrimSuffix)},

	{"split", listGroup, "split STRING SEPARATOR → strings",
		"The pieces of a text between the separators.",
		`{{$p := split (getv "/services/web/a") ":"}}host {{index $p 0}}, port {{index $p 1}}`,
		"host 10.0.0.2, port 80",
		plain(strings.Split)},
	{"join", listGroup, "join STRINGS SEPARATOR → string",
		"The texts of a list, with the separator between them.",
		`{{join (split (getv "/app/tags") ",") " | "}}`, "red | green | blue",
		plain(strings.Join)},
	{"map", listGroup, "map KEY VALUE … → map",
		"A map of the keys and values, as to pass several values to another template.",
		`{{define "line"}}listen {{.host}}:{{.port}}{{end}}{{template "line" map "host" "10.0.0.9" "port" (getv "/app/port")}}`,
		"listen 10.0.0.9:8080",
		plain(createMap)},
	{"reverse", listGroup, "reverse LIST → list",
		"A copy of a list of texts, or of pairs, from its end to its beginning. Other lists are returned as they are.",
		`{{range reverse (gets "/services/web/*")}}{{base .Key}} {{end}}{{reverse (ls "/services")}}`,
		"b a [web domain db]",
		plain(reverse)},
	{"sortByLength", listGroup, "sortByLength STRINGS → strings",
		"The list, sorted by the length of its texts, the shortest first. The list itself is sorted too.",
		`{{sortByLength (split (getv "/app/tags") ",")}}`, "[red blue green]",
		plain(sortByLength)},
	{"sortKVByLength", listGroup, "sortKVByLength PAIRS → pairs",
		"The pairs, sorted by the length of their keys, the shortest first. The list itself is sorted too.",
		`{{range sortKVByLength (gets "/app/*")}}{{base .Key}} {{end}}`, "db motd name port tags debug hosts ",
		plain(sortKVByLength)},

	{"json", dataGroup, "json STRING → map",
		"The members of a JSON object. Numbers are floating point.",
		`{{$db := json (getv "/app/db")}}{{$db.host}}:{{index $db.ports 0}}`, "db1:5432",
		plain(parseObject)},
	{"jsonArray", dataGroup, "jsonArray STRING → list",
		"The elements of a JSON array.",
		`{{range jsonArray (getv "/app/hosts")}}{{.}} {{end}}`, "a.example.com b.example.com ",
		plain(parseArray)},
	{"base64Encode", dataGroup, "base64Encode STRING → string",
		"The text in base64, in the standard alphabet and with padding.",
		`{{base64Encode "Hello"}}`, "SGVsbG8=",
		plain(encodeBase64)},
	{"base64Decode", dataGroup, "base64Decode STRING → string",
		"The text that the base64 stands for.",
		`{{base64Decode (getv "/app/motd")}}`, "Hello",
		plain(decodeBase64)},
	{"parseBool", dataGroup, "parseBool STRING → bool",
		"Whether the text says yes: 1, t, true, or no: 0, f, false, in small or capital letters.",
		`{{if parseBool (getv "/app/debug")}}debug on{{else}}debug off{{end}}`, "debug on",
		plain(parseBool)},
	{"atoi", dataGroup, "atoi STRING → int",
		"The whole number that the text stands for. The functions below need it for values.",
		`{{add 1 (atoi (getv "/app/port"))}}`, "8081",
		plain(atoi)},

	{"add", numberGroup, "add A B → int", "The sum.", `{{add 7 3}}`, "10", plain(add)},
	{"sub", numberGroup, "sub A B → int", "A less B.", `{{sub 7 3}}`, "4", plain(sub)},
	{"mul", numberGroup, "mul A B → int", "The product.", `{{mul 7 3}}`, "21", plain(mul)},
	{"div", numberGroup, "div A B → int",
		"A divided by B, without the fraction. Rendering fails if B is zero.",
		`{{div 7 3}}`, "2", plain(div)},
	{"mod", numberGroup, "mod A B → int",
		"What remains when A is divided by B. Rendering fails if B is zero.",
		`{{mod 7 3}}`, "1", plain(mod)},
	{"seq", numberGroup, "seq FIRST LAST → ints",
		"The numbers from the first to the last; none if the last is less.",
		`{{range seq 1 3}}worker{{.}} {{end}}`, "worker1 worker2 worker3 ",
		plain(seq)},

	{"getenv", machineGroup, "getenv NAME [DEFAULT] → string",
		"An environment variable. If it is empty or not set, the default, or nothing.",
		`{{getenv "HOME"}} {{getenv "STAGE" "test"}}`, "/root test",
		func(r *run) any { return r.getenv }},
	{"datetime", machineGroup, "datetime → time",
		"The time of the rendering. A file that contains it changes with each rendering.",
		`{{datetime.Format "2006-01-02 15:04 MST"}}`, "2026-01-02 15:04 UTC",
		func(r *run) any { return r.datetime }},
	{"fileExists", machineGroup, "fileExists PATH → bool",
		"Whether a file or folder exists on this machine.",
		`{{fileExists "/dev/null"}} {{fileExists "/no/such/file"}}`, "true false",
		plain(fileExists)},
	{"lookupIP", machineGroup, "lookupIP HOST → strings",
		"The addresses of a host, sorted as text. None if they cannot be found out.",
		`{{lookupIP "web.example.com"}} {{lookupIP "no.example.com"}}`,
		"[192.0.2.10 192.0.2.9 2001:db8::1] []",
		func(r *run) any { return r.lookupIP }},
	{"lookupIPV4", machineGroup, "lookupIPV4 HOST → strings",
		"Those of the addresses that belong to IPv4.",
		`{{lookupIPV4 "web.example.com"}}`, "[192.0.2.10 192.0.2.9]",
		func(r *run) any { return r.lookupIPV4 }},
	{"lookupIPV6", machineGroup, "lookupIPV6 HOST → strings",
		"Those of the addresses that belong to IPv6.",
		`{{lookupIPV6 "web.example.com"}}`, "[2001:db8::1]",
		func(r *run) any { return r.lookupIPV6 }},
	{"lookupSRV", machineGroup, "lookupSRV SERVICE PROTO NAME → records",
		"SRV records, with .Target, .Port, .Priority and .Weight, in a fixed order. None if they cannot be found out.",
		`{{range lookupSRV "http" "tcp" "example.com"}}{{.Target}}:{{.Port}} {{end}}`,
		"a.example.com.:8080 b.example.com.:8080 ",
		func(r *run) any { return r.lookupSRV }},
}
