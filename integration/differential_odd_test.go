// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
)

// The requests that no client sends on purpose.

func (g diffGen) oddPath() diffStep {
	path := g.of("{root}//a", "{root}/./a", "{root}/../a", "{root}/d/..", "{root}/d/../b/", "{root}/..", "/..", "/../keys{root}", "{root}/d%2Fx", "{root}/d%2f%2fx",
		"{root}/%2E%2E/c", "{root}/%2e/", "{root}/...", "{root}/a+b", "{root}/a%20b", "{root}/%C3%A9", "{root}/\xc3\xa9", "{root}/%FF", "{root}/%00", "{root}/%01%1f",
		"{root}/a%3Fb", "{root}/a%23b", "{root}/a;b", "{root}/a%25b", "{root}//\xc3\xa9?x=\xc3\xa9", "{root}//%22%3C", "{root}/%zz", "{root}/%", "{root}/%4", "{root}/a?",
		"{root}/a??x", "{root}/a#x", "{root}/.", "{root}/d/x/", "{root}/d/x//", "{root}/%E2%80%A8", "{root}/:a", "{root}/a:b@c!$'()*,=", "{root}/a b", "{root}/a\x01",
		"{root}/_", "{root}/__x/y", "{root}/d/%5Fg", "{root}/A", "{root}/~", "{root}/[x]", "{root}/{x}", "{root}/a\\b", "{root}/|^`\"<>",
		"{root}/"+strings.Repeat("k", 1000+g.IntN(3000)), "{root}"+strings.Repeat("/d", 50+g.IntN(150)))
	s := diffStep{method: g.of("PUT", "PUT", "GET", "HEAD", "DELETE", "POST"), target: diffKeys + path}
	if s.method == "PUT" || s.method == "POST" {
		s.contentType, s.body = diffForm, "value=odd"
	}
	switch g.IntN(12) {
	case 0:
		s.target = g.of("http://other", "HTTP://x:1", "http://", "ftp://x", "//x") + s.target
	case 1:
		s.target = "/" + s.target
	case 2:
		s.target = strings.Replace(s.target, "/v2", g.of("/v2/.", "/v2/x/..", "/V2", "/v2%2Fkeys", "/%76%32"), 1)
	}
	return s.query(g.of("", "recursive=true&sorted=true", "dir=true"))
}

func (g diffGen) oddForm() diffStep {
	s := diffStep{method: g.of("PUT", "PUT", "POST", "DELETE"), target: diffKeys + strings.ReplaceAll(g.key(), "{name}", "n")}
	s.contentType = g.of("", diffForm, diffForm, diffForm+"; charset=utf-8", diffForm+"; param=value", diffForm+"; x", strings.ToUpper(diffForm), "application/json",
		"multipart/form-data; boundary=x", "multipart/form-data", "text/plain", ";", "text/", "a b", diffForm+",x", diffForm+";;", " "+diffForm+" ", diffForm+"; charset", "\"")
	s.body = g.of("value=a&value=b", "value", "=value", "&&value=1&&", "value=a+b%2Bc", "value=%", "value=%4", "value=%zz", "value=a;b", "v%61lue=x", "value=%00%01%1f%7f",
		"value=%3C%3E%26%22%27%5C%2F", "value=%E2%80%A8%E2%80%A9", "value=%F0%9F%98%80\xc3\xa9", "value=%0A%0D%09%08%0C", "value=a%FFb%C3", "value=\xff", "value=a=b", "Value=x",
		"value=x&dir=true", `{"value":"x"}`, "value=x&ttl=100&ttl=x", "ttl=x&value=a%zz", "prevExist=false&value=x", "--x\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\nm\r\n--x--\r\n",
		"value="+strings.Repeat("long", 1+g.IntN(3000)), "value="+strings.Repeat("%3C", 700), "")
	return s.query(g.of("", "value=q", "value=q&prevExist=", "ttl=100", "value=%zz", "a;b", "prevExist=false"))
}

func (g diffGen) oddMethod() diffStep {
	s := diffStep{method: g.of("PATCH", "OPTIONS", "FOO", "get", "put", "TRACE", "PROPFIND", "CONNECT", "HEAD"), target: diffKeys + g.of(g.key(), "", "/", "{root}//x")}
	if s.method == "PATCH" {
		s.contentType, s.body = diffForm, "value=x"
	}
	return s.query(g.of("", "wait=true", "ttl=x", "value=y"))
}

func (g diffGen) otherRoute() diffStep {
	return diffStep{
		method: g.of("GET", "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"),
		target: g.of("/", "/v2", "/v2/", "/nope", "/v2/keysfoo", "/v1/keys/a", "/v2/stats", "/v2/stats/", "/v2/stats/x", "/v2/stats/store/", "/version", "/version/",
			"/version?x", "/health", "/health/", "/v2/machines", "/v2/machines/", "/v2/stats/self", "/v2/stats/leader", "/v2/auth", "/v2/auth/", "*", "/v2/keys/../stats/self"),
	}
}

// dress varies how a request is written.
func (g diffGen) dress(s diffStep) diffStep {
	if s.method == "CONNECT" {
		return s
	}
	switch g.IntN(60) {
	case 0:
		s.how = "1.0"
	case 1:
		s.how = "no host"
	case 2, 3:
		if s.body != "" {
			s.how = "chunked"
		}
	case 4:
		s.header = "Connection: close\r\n"
	case 5:
		s.header = "Authorization: Basic dXNlcjpwYXNz\r\n"
	case 6:
		s.header = g.of("Origin: http://example.com\r\n", "Accept-Encoding: gzip\r\n", "Range: bytes=0-3\r\n", "If-None-Match: *\r\n", "Cookie: a=b\r\n",
			"X-HTTP-Method-Override: DELETE\r\n", "Accept: text/html\r\n", "Content-Encoding: gzip\r\n", "X-Long: "+strings.Repeat("x", 5000)+"\r\n")
	case 7:
		if s.body != "" {
			s.header = "Expect: 100-continue\r\n"
		}
	case 8:
		if s.method == "GET" && s.watch == "" || s.method == "DELETE" {
			s.contentType, s.body = diffForm, g.of("value=x&ttl=x", "recursive=true&dir=true", "wait=true")
		}
	}
	return s
}
