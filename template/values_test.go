// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"maps"
	"slices"
	"strings"
	"testing"

	passwords "golang.org/x/crypto/bcrypt"
)

// expect renders each template over the keys of the examples.
func expect(t *testing.T, opts Options, tests []struct{ text, want string }) {
	t.Helper()
	for _, test := range tests {
		out, err := render(t, test.text, opts, exampleKeys)
		if err != nil || string(out.Bytes) != test.want {
			t.Errorf("%s\n got %q, %v\nwant %q", test.text, out.Bytes, err, test.want)
		}
	}
}

func TestValues(t *testing.T) {
	expect(t, exampleOptions(), []struct{ text, want string }{
		{`{{default "x" ""}}{{default "x" "y"}}{{default 1 0}}{{default "x" false}}{{default "x" (list)}}`, "xy1xx"},
		{`{{$m := dict}}{{default "x" (index $m "none")}}{{coalesce "" 0 (list)}}`, "x<no value>"},
		{`{{required "m" 0}}{{required "m" false}}`, "0false"},
		{`{{toString (index (dict) "none")}}|{{toString 1e7}}|{{toString true}}`, "|10000000|true"},
		{`{{mulf 1000000 12.5}} {{printf "%.2f" (divf 1 3)}} {{gt (addf 1 1.5) 2.0}}`, "12500000 0.33 true"},
		{`{{int "12"}} {{int " 12.9 "}} {{int -2.9}} {{float64 3}}`, "12 12 -2 3"},
		{`{{add (int (getv "/app/port")) 1}} {{add (fromJson "7") 1}} {{add (index (fromYaml "a: 7") "a") 1}}`, "8081 8 8"},
		{`{{max 1}} {{min "3" 2.5}} {{max (seq 1 3 | last) 2}}`, "1 2.5 3"},
		{`{{floor -2.5}} {{ceil -2.5}} {{round -2.5 0}} {{round 1234.5678 2}} {{floor "7.9"}}`, "-3 -2 -3 1234.57 7"},
		{`{{addf 0.1 0.2 | toJson}} {{list 1.0 2.5 | toJson}}`, "0.30000000000000004 [1,2.5]"},
	})
}

func TestText(t *testing.T) {
	expect(t, exampleOptions(), []struct{ text, want string }{
		{`{{snakecase "HTTPServer2Port"}} {{kebabcase "a_b-c.d"}} {{camelcase "max_conns-per host"}} {{camelcase ""}}`,
			"http_server2_port a-b-c-d maxConnsPerHost "},
		{`{{trunc 10 "abc"}}{{trunc -10 "abc"}}{{trunc 0 "abc"}}|{{trunc 1 "éa"}}`, "abcabc|é"},
		{`{{substr 0 2 "abc"}} {{substr 2 1 "abc"}} {{substr -1 99 "abc"}} {{substr 9 -1 "abc"}}`, "ab  abc "},
		{`{{indent 2 ""}}|{{nindent 1 "a\n\nb"}}`, "|\n a\n \n b"},
		{`{{title "a-b c"}} {{title ""}}`, "A-B C "},
		{`{{quote 1}} {{squote true}} {{quote "\n"}}`, `"1" 'true' "\n"`},
		{`{{repeat 0 "a"}}{{repeat 2 ""}}|{{wrap 3 "abcdef g"}}`, "|abcdef\ng"},
		{`{{regexMatch "(?i)SHOP" (getv "/app/name")}}{{regexFind "x" "abc"}}{{regexFindAll "x" "abc" -1}}`, "true[]"},
		{`{{regexReplaceAll "(a)(b)" "ab" "$2$1"}} {{regexSplit "," "" -1}}`, "ba []"},
		{`{{range seq 1 3}}{{regexMatch "^[0-9]$" (toString .)}}{{end}}`, "truetruetrue"},
	})
}

func TestCollections(t *testing.T) {
	expect(t, exampleOptions(), []struct{ text, want string }{
		{`{{join (jsonArray "[1, \"a\", 2.5]") ","}} {{join (list) ","}} {{join (append (ls "/services/web") "c") ","}}`, "1,a,2.5  a,b,c"},
		{`{{join (append (ls "/services/web") 1) ","}} {{join (prepend (list) "x") ","}} {{append (list) (index (dict) "none")}}`, "a,b,1 x [<nil>]"},
		{`{{has 1 (list 1.0)}} {{has "1" (list 1)}} {{has "a" (ls "/services/web")}} {{has 1 (list)}}`, "true false true false"},
		{`{{rest (list)}}{{initial (list)}}{{concat}}{{uniq (list 1 1.0 "1")}}`, "[][][][1 1]"},
		{`{{$l := list 3 1 2}}{{sortAlpha $l}} {{$l}} {{first (gets "/services/web/*")}}`, "[1 2 3] [3 1 2] {/services/web/a 10.0.0.2:80}"},
		{`{{range rest (gets "/services/web/*")}}{{.Key}}{{end}}`, "/services/web/b"},
		{`{{$a := dict "x" (dict "p" 1 "q" 2) "y" 1}}{{$b := dict "x" (dict "q" 3) "z" 4}}{{toJson (merge $a $b)}} {{toJson (mergeOverwrite $a $b)}} {{toJson $a}}`,
			`{"x":{"p":1,"q":2},"y":1,"z":4} {"x":{"p":1,"q":3},"y":1,"z":4} {"x":{"p":1,"q":2},"y":1}`},
		{`{{dig "a" "b" "none" (dict "a" 1)}} {{dig "a" "none" (dict)}} {{keys (dict)}}{{values (dict)}}{{pluck "a"}}`, "none none [][][]"},
		{`{{$m := dict "a" 1}}{{$n := omit $m "a"}}{{$m}}{{$n}}{{pick $m "z"}}`, "map[a:1]map[]map[]"},
	})
}

func TestFormats(t *testing.T) {
	expect(t, exampleOptions(), []struct{ text, want string }{
		{`{{fromJson "12345678"}} {{fromJson "1e3"}} {{fromJson "2.50"}} {{fromJson "99999999999999999999"}}`, "12345678 1000 2.5 100000000000000000000"},
		{`{{toJson "<a&b>"}} {{toJson (index (dict) "none")}} {{gets "/services/web/a" | toJson}}`, `"<a&b>" null [{"Key":"/services/web/a","Value":"10.0.0.2:80"}]`},
		{`{{fromYaml "" | toJson}} {{fromYaml "1: a\ntrue: b\n" | toJson}} {{fromYaml "[1, 2.5, x]" | toJson}}`, `null {"1":"a","true":"b"} [1,2.5,"x"]`},
		{`{{fromYaml "a: &x 1\nb: *x" | toYaml}}`, "a: 1\nb: 1"},
		{`{{dict "t" (fromToml "x = 1.0\ny = [1, 2]\n[z]\na = true") | toToml}}`, "[t]\nx = 1.0\ny = [1, 2]\n[t.z]\na = true"},
		{`{{list 1 (dict "a" "b: c") | toYaml}}`, "- 1\n- a: 'b: c'"},
		{`{{fromToml "d = 2026-01-02T03:04:05Z" | toJson}}`, `{"d":"2026-01-02T03:04:05Z"}`},
	})
}

func TestNetwork(t *testing.T) {
	expect(t, exampleOptions(), []struct{ text, want string }{
		{`{{cidrHost "10.1.2.3/16" 0}} {{cidrHost "2001:db8::/32" 1}} {{cidrHost "10.0.0.0/30" -1}} {{cidrHost "10.0.0.0/30" 3}}`, "10.1.0.0 2001:db8::1 10.0.0.3 10.0.0.3"},
		{`{{cidrSubnet "10.0.0.0/8" 8 255}} {{cidrSubnet "2001:db8::/32" 32 1}} {{cidrSubnet "10.0.0.0/8" 0 0}}`, "10.255.0.0/16 2001:db8:0:1::/64 10.0.0.0/8"},
		{`{{cidrNetmask "10.0.0.0/0"}} {{cidrLast "2001:db8::/112"}} {{cidrBits "::/0"}}`, "0.0.0.0 2001:db8::ffff 0"},
		{`{{cidrContains "10.0.0.0/8" "::ffff:10.0.0.1"}} {{cidrContains "10.0.0.0/8" "10.0.0.0/7"}} {{cidrContains "10.0.0.0/8" "2001:db8::1"}}`, "true false false"},
		{`{{ipAdd "10.0.0.1" -1}} {{ipAdd "fe80::1%eth0" 1}} {{isIP "10.0.0"}} {{isIPv4 "::1"}} {{isIPv6 "1.1.1.1"}}`, "10.0.0.0 fe80::2%eth0 false false false"},
		{`{{joinHostPort "db" "5432"}} {{splitHostPort "[::1]:80"}} {{sortIP (list "::1" "10.0.0.2")}}`, "db:5432 [::1 80] [10.0.0.2 ::1]"},
		{`{{$u := urlParse "postgres://ann:pw@db/shop?x=1#f"}}{{$u.scheme}} {{$u.user}} {{$u.password}} {{$u.port}} {{$u.path}} {{$u.query}} {{$u.fragment}}`, "postgres ann pw 0 /shop x=1 f"},
		{`{{lookupIfaceIPV4 "none"}}|`, "|"},
	})
	if addrs := ifaceAddrs("lo"); len(addrs) == 0 || !addrs[0].IsLoopback() {
		t.Errorf("addresses of lo: %v", addrs)
	}
}

// TestBcrypt has package bcrypt check the hash.
func TestBcrypt(t *testing.T) {
	for _, password := range []string{"", "a", "s3cr3t-pw", strings.Repeat("é", 36)} {
		hash, err := bcrypt(passwords.MinCost, "salt", password)
		if err != nil {
			t.Fatal(err)
		}
		if err := passwords.CompareHashAndPassword([]byte(hash), []byte(password)); err != nil {
			t.Errorf("%q: %s: %v", password, hash, err)
		}
		again, _ := bcrypt(passwords.MinCost, "salt", password)
		other, _ := bcrypt(passwords.MinCost, "pepper", password)
		if again != hash || other == hash {
			t.Errorf("%q: the salt does not make the hash what it is", password)
		}
	}
	if _, err := bcrypt(passwords.MinCost, "salt", strings.Repeat("a", 73)); err == nil {
		t.Error("a password that would be cut off is taken")
	}
	if _, err := bcrypt(passwords.MinCost, "", "a"); err == nil {
		t.Error("no salt is taken")
	}
}

// TestMissingKey holds what comes of a field that a map does not have.
func TestMissingKey(t *testing.T) {
	const text = `{{$m := dict "a" 1}}[{{if $m.none}}x{{end}}{{$m.none}}]`
	for option, want := range map[string]string{"default": "[<no value>]", "zero": "[<no value>]"} {
		if out, err := render(t, text, Options{MissingKey: option}, nil); err != nil || string(out.Bytes) != want {
			t.Errorf("%s: %q, %v", option, out.Bytes, err)
		}
	}
	_, err := render(t, text, Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), `test.tmpl:1:29: at <$m.none>: map has no entry for key "none"; see hasKey`) {
		t.Errorf("by default: %v", err)
	}
}

// TestNoValues calls every function with a secret in all places, and holds that no error
// shows it. Names of keys and files are shown, and what a template says itself.
func TestNoValues(t *testing.T) {
	values := map[string]string{"/s": secret, "/j": `{"a": hunter2}`, "/y": "a: *hunter2", "/t": "a = hunter2"}
	calls := []string{"S", "S S", "S S S", "1 S", "S 1", "1 1 S", `"a" S`, "(list S)", "(list S) S", "S (list S)", "(dict S S) S", "S (dict S S)"}
	for _, f := range Functions() {
		keys := []string{"/s"}
		switch f.Name {
		case "getv", "get", "include", "file", "fail", "required", "bcrypt": // the last takes too long
			continue
		case "json", "jsonArray", "fromJson", "fromYaml", "fromToml", "urlParse":
			keys = slices.Sorted(maps.Keys(values))
		}
		for _, key := range keys {
			for _, call := range calls {
				call = f.Name + " " + strings.ReplaceAll(call, "S", `(getv "`+key+`")`)
				_, err := render(t, "{{"+call+"}}", exampleOptions(), values)
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%s: %v", call, err)
				}
			}
		}
	}
}
