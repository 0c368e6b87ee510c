// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// abtreeceFunctions are what abtreece/confd has beyond confd 0.16, and what it does
// otherwise than that.
const abtreeceFunctions = `default ternary coalesce empty toJson fromJson toPrettyJson indent nindent quote
	squote regexMatch regexFind regexReplaceAll trimPrefix repeat nospace snakecase camelcase kebabcase
	dict list hasKey keys values append pluck sha256sum include hostname lookupIfaceIPV4 lookupIfaceIPV6
	div mod seq reverse fileExists`

// abtreeceCases are calls with what both render; or, where theirs is given, with what is
// rendered here and what there.
var abtreeceCases = []struct{ name, text, want, theirs string }{
	{"default", `{{default "d" ""}} {{default "d" "v"}} {{default 9 0}} {{default "d" false}} {{0 | default 1}} {{default 9 3}}`, "d v 9 d 1 3", ""},
	{"default", `{{default "none" (list)}} {{default (list 1) (list)}} {{default "none" (dict)}}`, "none [1] none", ""},
	{"ternary", `{{ternary "a" "b" true}} {{false | ternary 1 2}} {{ternary "a" nil true}}`, "a 2 a", ""},
	{"coalesce", `{{coalesce "" nil 0 "x" "y"}} {{coalesce "only"}} {{coalesce}} {{coalesce ""}}`, "x only <no value> <no value>", ""},
	{"empty", `{{empty ""}}{{empty 0}}{{empty 0.0}}{{empty false}}{{empty nil}}{{empty (list)}}{{empty (dict)}}`, strings.Repeat("true", 7), ""},
	{"empty", `{{empty "a"}}{{empty 1}}{{empty 0.5}}{{empty true}}{{empty (list 0)}}{{empty (dict "a" 0)}}{{empty datetime}}`, strings.Repeat("false", 7), ""},
	{"toJson", `{{toJson (dict "b" (list 1 "x" true nil) "a" 1.5)}} {{toJson "a\"b"}} {{toJson nil}}`, `{"a":1.5,"b":[1,"x",true,null]} "a\"b" null`, ""},
	{"toJson", `{{toJson "<a&b>"}}`, `"<a&b>"`, `"\u003ca\u0026b\u003e"`},
	{"toJson", `{{toJson (list)}} {{toJson (pluck "a")}}`, `[] []`, `null null`},
	{"toPrettyJson", `{{toPrettyJson (dict "a" (list 1 2))}}`, "{\n  \"a\": [\n    1,\n    2\n  ]\n}", ""},
	{"toPrettyJson", `{{toPrettyJson "<"}}`, `"<"`, `"\u003c"`},
	{"fromJson", `{{$v := fromJson "{\"a\": [1, \"x\"], \"n\": null}"}}{{index $v "a" 1}} {{hasKey $v "n"}} {{fromJson "\"t\""}} {{len (fromJson "[1,2]")}}`, "x true t 2", ""},
	{"fromJson", `{{fromJson "12345678"}} {{printf "%T" (fromJson "1")}}`, "12345678 int", "1.2345678e+07 float64"},
	{"indent", "{{indent 2 \"a\\nb\"}}|{{indent 2 \"\"}}|{{indent 0 \"a\"}}|{{indent 1 \"a\\n\"}}", "  a\n  b||a| a\n ", ""},
	{"nindent", "{{nindent 2 \"a\\nb\"}}|{{nindent 2 \"\"}}", "\n  a\n  b|\n", ""},
	{"quote", `{{quote "a"}} {{quote "a \"b\" \\"}} {{quote "a	b"}}`, `"a" "a \"b\" \\" "a\tb"`, ""},
	{"squote", `{{squote "a"}} {{squote "it's"}}`, `'a' 'it's'`, ""},
	{"regexMatch", `{{regexMatch "^prod" "production"}} {{regexMatch "^prod" "a prod"}} {{"ab" | regexMatch "b"}}`, "true false true", ""},
	{"regexFind", `{{regexFind "[0-9]+" "a12b3"}}|{{regexFind "[0-9]" "a"}}`, "12|", ""},
	{"regexReplaceAll", `{{regexReplaceAll "[^a-z]" "a.b-c" "_"}} {{regexReplaceAll "(a)(b)" "ab" "${2}$1"}}`, "a_b_c ba", ""},
	{"trimPrefix", `{{trimPrefix "service-a" "service-"}} {{trimPrefix "a" "b"}}`, "a a", ""},
	{"repeat", `{{repeat 3 "ab"}}|{{repeat 0 "a"}}|{{"-" | repeat 2}}`, "ababab||--", ""},
	{"nospace", "{{nospace \" a b\\t\\nc\u00a0d \"}}", "abcd", ""},
	{"snakecase", `{{range list "HelloWorld" "helloWorld" "hello-world" "hello world" "HTTPServer" "http2Server" "_a__b_" ""}}{{snakecase .}} {{end}}`,
		"hello_world hello_world hello_world hello_world http_server http2_server a_b  ", ""},
	{"snakecase", `{{snakecase "db.host"}} {{snakecase "/app/dbPort"}}`, "db_host app_db_port", "db.host /app/db_port"},
	{"kebabcase", `{{range list "HelloWorld" "hello_world" "HTTPServer" "a b"}}{{kebabcase .}} {{end}}`, "hello-world hello-world http-server a-b ", ""},
	{"kebabcase", `{{kebabcase "db.host"}}`, "db-host", "db.host"},
	{"camelcase", `{{range list "HelloWorld" "hello_world" "hello-world" "HTTPServer" "hello" "A"}}{{camelcase .}} {{end}}`, "helloWorld helloWorld helloWorld httpServer hello a ", ""},
	{"camelcase", `{{camelcase "db.host"}}`, "dbHost", "db.host"},
	{"dict", `{{$d := dict "a" 1 "b" (list 2)}}{{$d.a}} {{index $d.b 0}} {{dict}}`, "1 2 map[]", ""},
	{"list", `{{list 1 "a" true}} {{list}} {{index (list "x" "y") 1}}`, "[1 a true] [] y", ""},
	{"hasKey", `{{$d := dict "a" nil}}{{hasKey $d "a"}} {{hasKey $d "b"}}`, "true false", ""},
	{"keys", `{{keys (dict "c" 1 "a" 2 "b" 3)}} {{keys (dict)}}`, "[a b c] []", ""},
	{"values", `{{values (dict "c" 1 "a" 2 "b" "x")}} {{values (dict)}}`, "[2 x 1] []", ""},
	{"append", `{{$l := list 1 2}}{{append $l 3}} {{$l}} {{append (list) "a"}}`, "[1 2 3] [1 2] [a]", ""},
	{"pluck", `{{pluck "p" (dict "p" 80) (dict "q" 1) (dict "p" "x")}} {{pluck "p" (dict)}}`, "[80 x] []", ""},
	{"sha256sum", `{{sha256sum ""}}`, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", ""},
	{"include", `{{include "motd.txt"}}{{include "upstream.tmpl" (dict "name" "a" "servers" (list 1))}}`, "Welcome.\nupstream a { server 1; }", ""},
	{"include", `{{define "x"}}[{{.}}]{{end}}{{include "x" 1}}`, "[1]", "an error: there is no file x"},
	{"hostname", `{{hostname}}`, "box1", ""},
	{"lookupIfaceIPV4", `{{lookupIfaceIPV4 "eth0"}}|{{lookupIfaceIPV4 "none"}}`, "192.0.2.7|", ""},
	{"lookupIfaceIPV6", `{{lookupIfaceIPV6 "eth0"}}|{{lookupIfaceIPV6 "none"}}`, "2001:db8::7|", ""},
	{"div", `{{div 7 2}} {{div -7 2}}`, "3 -3", ""},
	{"mod", `{{mod 7 2}} {{mod -7 2}}`, "1 -1", ""},
	{"seq", `{{seq 1 3}} {{seq 2 2}}`, "[1 2 3] [2]", ""},
	{"seq", `{{seq 3 1}}`, "[]", "[3 2 1]"},
	{"reverse", `{{$l := split "a b c" " "}}{{reverse $l}} {{$l}}`, "[c b a] [a b c]", ""},
	{"reverse", `{{range reverse (gets "/services/web/*")}}{{base .Key}}{{end}} {{reverse (seq 1 3)}}`, "ba [3 2 1]", "ab [1 2 3]"},
	{"ls", `{{ls "/"}} {{lsdir "/"}}`, "[app services] [app services]", "[] []"},
	{"fileExists", `{{fileExists "/"}} {{fileExists "/none/such"}}`, "true false", ""},
}

// TestAbtreece holds that the functions of abtreece/confd do what they do there, or that
// the page for those who come from there has a row about it.
func TestAbtreece(t *testing.T) {
	shown := make(map[string]bool)
	page, err := os.ReadFile(filepath.Join("..", "docs", "migrate-abtreece-confd.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range abtreeceCases {
		shown[c.name] = true
		out, err := render(t, c.text, exampleOptions(), exampleKeys)
		if err != nil || string(out.Bytes) != c.want {
			t.Errorf("%s\n got %q, %v\nwant %q", c.text, out.Bytes, err, c.want)
		}
		if c.theirs == c.want || c.theirs != "" && !hasRow(string(page), c.name) {
			t.Errorf("the page has no row about %s: %s is %q there", c.name, c.text, c.theirs)
		}
	}
	for _, name := range strings.Fields(abtreeceFunctions) {
		if !shown[name] {
			t.Errorf("%s of abtreece/confd is not tried", name)
		}
	}
}

// hasRow reports whether the first cell of a row of a table in Markdown begins a code with name.
func hasRow(page, name string) bool {
	for line := range strings.Lines(page) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) == 3 && cells[0] == "" &&
			(strings.Contains(cells[1], "`"+name+"`") || strings.Contains(cells[1], "`"+name+" ")) {
			return true
		}
	}
	return false
}

// TestAbtreeceErrors holds that what fails there fails here, and what ends the process
// there is an error.
func TestAbtreeceErrors(t *testing.T) {
	for _, text := range []string{
		`{{dict "a"}}`, `{{dict 1 2}}`, `{{fromJson "{"}}`, `{{regexMatch "(" "a"}}`, `{{regexFind "(" "a"}}`,
		`{{regexReplaceAll "(" "a" "b"}}`, `{{div 1 0}}`, `{{mod 1 0}}`, `{{include "none.tmpl"}}`,
		`{{include "../test.tmpl"}}`, `{{ternary 1 2 "yes"}}`, `{{toJson datetime.Date}}`,
		`{{repeat -1 "a"}}`, `{{indent -1 "a"}}`,
	} {
		if out, err := render(t, text, exampleOptions(), exampleKeys); err == nil {
			t.Errorf("%s renders %q", text, out.Bytes)
		}
	}
}
