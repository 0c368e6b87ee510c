// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"math/rand/v2"
	"net/url"
	"strings"
)

// A diffGen makes sequences of requests that get in each other's way. It keeps away from
// what etcd answers by chance: ttls that end while a sequence runs, and those that
// overflow.
type diffGen struct{ *rand.Rand }

func newDiffGen(seed uint64) diffGen { return diffGen{rand.New(rand.NewPCG(seed, 0x2379))} }

func (g diffGen) of(list ...string) string { return list[g.IntN(len(list))] }
func (g diffGen) chance(percent int) bool  { return g.IntN(100) < percent }

const (
	diffForm = "application/x-www-form-urlencoded"
	diffKeys = "/v2/keys"
)

// sequence returns 5 to 25 steps.
func (g diffGen) sequence() []diffStep {
	steps := make([]diffStep, 0, 32)
	for n := 5 + g.IntN(21); len(steps) < n; {
		if g.chance(20) {
			steps = append(steps, g.pair()...)
			continue
		}
		steps = append(steps, g.step())
	}
	return steps
}

// pair returns a write and something that can only go well after it.
func (g diffGen) pair() []diffStep {
	key, value := "{root}"+g.of("/a", "/b", "/d/x", "/d/y", "/_h/x"), g.of("one", "two", "a b", "<&>")
	first := g.put("PUT", key, append(g.extra(), "value", value)...)
	same := g.of("prevValue", "prevIndex")
	actual := map[string]string{"prevValue": value, "prevIndex": "{last}"}[same]
	second := []diffStep{
		g.put("PUT", key, same, actual, "value", g.value()),
		g.put("PUT", key, same, actual, "value", g.value(), "ttl", "100"),
		g.removal(key, same, actual),
		g.put("PUT", key, "prevExist", "true", "value", g.value()),
		g.put("PUT", key, "refresh", "true", "ttl", "100", same, actual),
		g.put("PUT", key, "refresh", "true", "ttl", "100", "prevExist", "true"),
		g.put("PUT", key, "prevExist", "true", "ttl", "200", "noValueOnSuccess", "true"),
		g.removal(key, "dir", "true"),
		{method: "GET", target: diffKeys + key},
	}
	return []diffStep{first, g.dress(second[g.IntN(len(second))])}
}

// step returns one request.
func (g diffGen) step() diffStep {
	kinds := []struct {
		weight int
		make   func(diffGen) diffStep
	}{
		{24, diffGen.write}, {10, diffGen.create}, {12, diffGen.swap}, {6, diffGen.directory},
		{6, diffGen.inOrder}, {14, diffGen.read}, {9, diffGen.remove}, {5, diffGen.refresh},
		{9, diffGen.watch}, {9, diffGen.wild}, {5, diffGen.faulty}, {5, diffGen.oddPath}, {5, diffGen.oddForm},
		{3, diffGen.oddMethod}, {2, diffGen.otherRoute},
	}
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	for n := g.IntN(total); ; {
		for _, k := range kinds {
			if n -= k.weight; n < 0 {
				return g.dress(k.make(g))
			}
		}
	}
}

// key returns a key below the sequence's root; few, so that they are files, directories
// and missing in turn.
func (g diffGen) key() string {
	return "{root}" + g.of("/a", "/a", "/b", "/d", "/d/x", "/d/x", "/d/y", "/d/x/z", "/dd", "/_h", "/_h/x", "/d/_g", "/d/_g/x", "/q", "/q/{name}", "")
}

func (g diffGen) value() string {
	return g.of("one", "two", "three", "", "a b", "<&>\"'\\/", "é\u2028😀", "line\nline\t", "\x00\x1f\x7f", "a\xffb", "{\"json\":[1]}", "100%+", "one", "two")
}

// put returns a request of a form, some of whose parameters are in the query.
func (g diffGen) put(method, key string, params ...string) diffStep {
	s := diffStep{method: method, contentType: diffForm}
	var query, body []string
	where := g.IntN(3)
	for i := 0; i+1 < len(params); i += 2 {
		p := params[i] + "=" + escapeBraced(params[i+1])
		if where == 0 || where == 1 && params[i] != "value" {
			query = append(query, p)
		} else {
			body = append(body, p)
		}
	}
	s.target = diffKeys + key
	if len(query) > 0 {
		s.target += "?" + strings.Join(query, "&")
	}
	s.body = strings.Join(body, "&")
	return s
}

// escapeBraced escapes a parameter, but for the places to be filled in.
func escapeBraced(v string) string {
	if diffPlace.MatchString(v) {
		return v
	}
	return url.QueryEscape(v)
}

// extra returns some parameters that the operation may or may not look at.
func (g diffGen) extra() []string {
	var p []string
	if g.chance(12) {
		p = append(p, "ttl", g.of("100", "200", "", "3600"))
	}
	if g.chance(6) {
		p = append(p, "dir", g.of("true", "false", "1"))
	}
	if g.chance(6) {
		p = append(p, "noValueOnSuccess", g.of("true", "true", "false"))
	}
	if g.chance(3) {
		p = append(p, g.of("recursive", "sorted", "quorum", "stream", "consistent", "unknown"), g.of("true", "false"))
	}
	return p
}

func (g diffGen) write() diffStep {
	return g.put("PUT", g.key(), append(g.extra(), "value", g.value())...)
}

func (g diffGen) create() diffStep {
	return g.put("PUT", g.key(), append(g.extra(), "value", g.value(), "prevExist", g.of("true", "false"))...)
}

func (g diffGen) condition() []string {
	p := []string{"prevIndex", g.of("{last}", "{i:+1}", "{i:+2}", "{i:+3}", "0", "7")}
	if g.chance(60) {
		p = []string{"prevValue", g.of("one", "two", "three", "a b", "<")}
	}
	if g.chance(20) {
		p = append(p, "prevValue", g.of("one", "two"), "prevIndex", g.of("{last}", "{i:+1}"))
	}
	return p
}

func (g diffGen) swap() diffStep {
	p := append(g.extra(), g.condition()...)
	if g.chance(30) {
		return g.removal(g.key(), p...)
	}
	if g.chance(20) {
		p = append(p, "prevExist", g.of("true", "true", "false"))
	}
	return g.put("PUT", g.key(), append(p, "value", g.value())...)
}

func (g diffGen) directory() diffStep {
	key := g.of(g.key(), g.key(), g.key(), g.key(), g.key(), "/")
	p := append(g.extra(), "dir", "true")
	if g.chance(30) {
		p = append(p, "prevExist", g.of("true", "false"))
	}
	if g.chance(20) {
		p = append(p, "value", g.value())
	}
	return g.put("PUT", key, p...)
}

func (g diffGen) inOrder() diffStep {
	p := g.extra()
	if g.chance(80) {
		p = append(p, "value", g.value())
	}
	return g.put("POST", g.of("{root}/q", "{root}/q", "{root}/d", g.key(), "{root}/new/dirs/", ""), p...)
}

func (g diffGen) removal(key string, params ...string) diffStep {
	s := diffStep{method: "DELETE", target: diffKeys + key}
	for i := 0; i+1 < len(params); i += 2 {
		sep := "&"
		if i == 0 {
			sep = "?"
		}
		s.target += sep + params[i] + "=" + escapeBraced(params[i+1])
	}
	return s
}

func (g diffGen) remove() diffStep {
	var p []string
	if g.chance(40) {
		p = append(p, "recursive", "true")
	}
	if g.chance(30) {
		p = append(p, "dir", g.of("true", "true", "false"))
	}
	if g.chance(10) {
		p = append(p, "prevExist", "true")
	}
	return g.removal(g.of(g.key(), g.key(), g.key(), g.key(), g.key(), "/"), p...)
}

func (g diffGen) read() diffStep {
	s := diffStep{method: g.of("GET", "GET", "GET", "GET", "HEAD"), target: diffKeys + g.of(g.key(), g.key(), "{root}", "{root}/", "/")}
	return s.query(g.of("", "recursive=true&sorted=true", "sorted=true", "recursive=true", "quorum=true", "quorum=true&recursive=true&sorted=true",
		"quorum=false&recursive=false&sorted=false", "consistent=true", "stream=true", "recursive=true&sorted=true"))
}

// query puts a query behind the target.
func (s diffStep) query(q string) diffStep {
	switch {
	case q == "":
	case strings.Contains(s.target, "?"):
		s.target += "&" + q
	default:
		s.target += "?" + q
	}
	return s
}

func (g diffGen) refresh() diffStep {
	p := []string{"refresh", "true", "ttl", g.of("100", "200", "100", "")}
	if g.chance(30) {
		p = append(p, "value", g.of("", "", "one"))
	}
	if g.chance(40) {
		p = append(p, "prevExist", g.of("true", "true", "false"))
	}
	if g.chance(30) {
		p = append(p, g.condition()...)
	}
	return g.put("PUT", g.key(), p...)
}

func (g diffGen) watch() diffStep {
	key := g.of("{root}", "{root}", "{root}/d", "{root}/a", "{root}/d/x", "{root}/_h", "{root}/none/such", "{root}/d/_g", "{root}/dd", "{root}/d/x/z", g.key(), "/")
	key = strings.ReplaceAll(key, "{name}", "n")
	s := diffStep{method: "GET", target: diffKeys + key, watch: key}
	if g.chance(10) {
		s.target = strings.TrimSuffix(s.target, "/") + "/"
	}
	s = s.query("wait=true")
	if key == "/" || g.chance(50) {
		s = s.query("recursive=true")
	}
	if g.chance(35) {
		s = s.query("stream=true")
	}
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		s = s.query("waitIndex=" + g.of("{i:+0}", "{i:+1}", "{i:+2}", "{last}", "{i:+5}", "{i:-40}"))
	case 4:
		s = s.query("waitIndex=" + g.of("{last+1}", "{last+2}", "{last+3}"))
	case 5:
		s = s.query("waitIndex=" + g.of("0", "", "1", "x", "{i:-1200}", "-1"))
	case 6:
		if g.chance(30) {
			s, s.headOnly = s.query("waitIndex=18446744073709551615"), true
		}
	}
	if g.chance(4) {
		s = s.query("quorum=" + g.of("true", "false"))
	}
	return s
}

// wild returns a request with any parameters and values, wherever they are taken from.
func (g diffGen) wild() diffStep {
	bools := []string{"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False", "yes", "tRUE", "2", "%20true", "true%20"}
	numbers := []string{"", "x", "-1", "%2B1", "0x1", "1_0", "1.0", "%201", "18446744073709551616", "0", "00", "{last}", "7"}
	ttls := []string{"", "x", "-1", "1.5", "100", "200", "18446744073709551616", "9999999999999999999999", "+1", "0100"}
	values := []string{"", "one", "two", "%zz", "%", "a+b", "%C3%A9", "%ff", "a=b", "one"}
	kinds := []struct {
		name   string
		values []string
	}{
		{"value", values}, {"value", values}, {"dir", bools}, {"ttl", ttls}, {"prevValue", values}, {"prevIndex", numbers}, {"prevExist", bools},
		{"recursive", bools}, {"sorted", bools}, {"wait", bools}, {"waitIndex", numbers}, {"stream", bools}, {"quorum", bools}, {"consistent", bools},
		{"refresh", bools}, {"noValueOnSuccess", bools}, {"Value", values}, {"v%61lue", values}, {"%zz", values}, {"a;b", values}, {"", values},
	}
	key := strings.ReplaceAll(g.key(), "{name}", "n")
	s := diffStep{method: g.of("GET", "HEAD", "PUT", "PUT", "PUT", "POST", "DELETE"), target: diffKeys + key}
	var body []string
	for range 1 + g.IntN(5) {
		k := kinds[g.IntN(len(kinds))]
		p := k.name + "=" + g.of(k.values...)
		if g.chance(5) {
			p = k.name
		}
		if g.chance(55) || s.method == "GET" || s.method == "HEAD" {
			s = s.query(p)
		} else {
			body = append(body, p)
		}
	}
	if len(body) > 0 {
		s.body, s.contentType = strings.Join(body, g.of("&", "&", "&", "&&", ";")), diffForm
	}
	if s.method == "GET" && strings.Contains(s.target, "wait=") {
		s.watch = key
	}
	return s
}

// faulty returns a request with several faults, of which one decides the answer.
func (g diffGen) faulty() diffStep {
	s := diffStep{method: g.of("GET", "HEAD", "PUT", "PUT", "POST", "DELETE"), target: diffKeys + "{root}/a"}
	for range 2 + g.IntN(2) {
		s = s.query(g.of("prevIndex=x", "waitIndex=x", "recursive=x", "sorted=x", "wait=x", "dir=x", "quorum=x", "stream=x", "prevValue=", "noValueOnSuccess=x",
			"ttl=x", "prevExist=x", "refresh=x", "refresh=true&value=y", "refresh=true", "x=%zz", "a;b", "prevExist=true", "prevValue=y"))
	}
	if g.chance(20) && s.method != "GET" {
		s = s.query("wait=true")
	}
	return s
}
