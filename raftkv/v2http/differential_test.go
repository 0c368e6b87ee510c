// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// TestSameAsEtcd sends the same requests to etcd 3.4 and to our handler and compares
// statuses, headers and bodies, with times and ids taken out. It needs Debian's
// etcd-server.
func TestSameAsEtcd(t *testing.T) {
	theirs, ours, node := startSides(t)
	run := func(name string, calls []call) {
		t.Run(name, func(t *testing.T) {
			for i, c := range calls {
				if !compare(t, theirs, ours, c) && t.Failed() && i > 0 {
					t.Logf("the call before was %s", calls[i-1])
				}
			}
		})
	}
	run("info", infoCalls())
	run("validation", validationCalls())
	run("forms", formCalls())
	run("paths", pathCalls())
	run("operations", operationCalls())
	for seed := range uint64(8) {
		run(fmt.Sprintf("random %d", seed), randomCalls(seed, 150))
	}
	t.Run("watches", func(t *testing.T) { compareWatches(t, theirs, ours) })
	t.Run("intended differences", func(t *testing.T) { compareIntended(t, theirs, ours) })
	t.Run("expiry", func(t *testing.T) { compareExpiry(t, theirs, ours, node) })
}

var allMethods = []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "FOO"}

func infoCalls() []call {
	var calls []call
	for _, target := range []string{
		"/version", "/version?a=b", "/health", "/v2/machines", "/v2/machines/", "/v2/stats/self", "/v2/stats/leader",
		"/v2/stats/store", "/v2/stats", "/v2/stats/x", "/v2", "/", "/nope", "/v2/keysfoo", "/v1/keys/a", "/v2/keys//a",
	} {
		for _, m := range allMethods {
			calls = append(calls, call{m, target, "", ""})
		}
	}
	for _, target := range []string{"/v2/members", "/v2/members/", "/v2/members/leader", "/v2/members/xyz", "/v2/members/leader/x"} {
		calls = append(calls, call{"GET", target, "", ""}, call{"OPTIONS", target, "", ""})
	}
	for _, m := range []string{"POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"} {
		calls = append(calls, call{m, "/debug/vars", "", ""})
	}
	return append(calls, call{"PATCH", "/v2/keys/a", "", ""}, call{"OPTIONS", "/v2/keys/a", "", ""}, call{"FOO", "/v2/keys", "", ""})
}

// validationCalls has every parameter with good and bad values, for every method.
func validationCalls() []call {
	values := map[string][]string{
		"bool":   {"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False", "yes", "tRUE", "2", "%20true"},
		"number": {"", "x", "-1", "%2B1", "0x1", "1_0", "1.0", "%201", "18446744073709551616", "0"},
		"ttl":    {"", "x", "-1", "1.5", "100", "18446744073709551616"},
	}
	kinds := map[string]string{
		"recursive": "bool", "sorted": "bool", "dir": "bool", "quorum": "bool", "stream": "bool", "prevExist": "bool",
		"refresh": "bool", "noValueOnSuccess": "bool", "consistent": "bool",
		"prevIndex": "number", "waitIndex": "number", "ttl": "ttl",
	}
	names := []string{"recursive", "sorted", "dir", "quorum", "stream", "prevExist", "refresh", "noValueOnSuccess", "consistent", "prevIndex", "waitIndex", "ttl"}
	var calls []call
	for _, m := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
		for _, name := range names {
			for i, v := range values[kinds[name]] {
				calls = append(calls, call{m, fmt.Sprintf("/v2/keys/v/%s/%d?%s=%s", name, i%5, name, v), "", ""})
			}
			calls = append(calls, call{m, "/v2/keys/v/x?" + name, "", ""})
		}
		for _, bad := range []string{
			"wait=x", "wait=", "prevValue=", "prevValue", "refresh=true", "refresh=true&value=x", "refresh=true&value=x&ttl=100",
			"prevIndex=x&waitIndex=y", "waitIndex=x&recursive=y", "recursive=x&sorted=y", "sorted=x&wait=y", "wait=x&dir=y",
			"dir=x&quorum=y", "quorum=x&stream=y", "stream=x&prevValue=", "prevValue=&noValueOnSuccess=x", "noValueOnSuccess=x&ttl=y",
			"ttl=x&prevExist=y", "prevExist=x&refresh=y", "refresh=true&ttl=", "x=%zz", "x=%zz&ttl=y", "a;b", "a;b&x=%zz", "x=%zz&a;b", "%zz=1&%yy=2",
		} {
			calls = append(calls, call{m, "/v2/keys/v/bad?" + bad, "", ""})
		}
		if m != "GET" {
			calls = append(calls, call{m, "/v2/keys/v/w?wait=true", "", ""}, call{m, "/v2/keys/v/w?wait=true&prevValue=", "", ""})
		}
	}
	return calls
}

func formCalls() []call {
	var calls []call
	for _, m := range []string{"PUT", "POST", "DELETE"} {
		for _, ct := range []string{
			"", formType, formType + "; charset=utf-8", formType + "; param=value", formType + "; x", "APPLICATION/x-www-form-urlencoded",
			"application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", ";", "text/", "a b", "application/x-www-form-urlencoded,x",
		} {
			calls = append(calls, call{m, "/v2/keys/form/a?value=q&prevExist=", ct, "value=b&prevExist=false"},
				call{m, "/v2/keys/form/a", ct, "value=b&ttl=x"}, call{m, "/v2/keys/form/a?value=q", ct, "value=b"})
		}
	}
	for _, body := range []string{
		"value=a&value=b", "value", "=value", "&&value=1&&", "value=a+b%2Bc", "value=%", "value=%4", "value=%zz", "value=a;b", "v%61lue=x",
		"value=%00%01%1f%7f", "value=%3C%3E%26%22%27%5C%2F", "value=%E2%80%A8%E2%80%A9", "value=%F0%9F%98%80é", "value=%0A%0D%09",
		"value=a%FFb%C3", "value=a=b", "Value=x", "value=x&dir=true", `{"value":"x"}`, "value=" + strings.Repeat("long", 3000),
	} {
		calls = append(calls, formCall("PUT", "/v2/keys/form/b", body), call{"GET", "/v2/keys/form/b", "", ""}, call{"DELETE", "/v2/keys/form/b?dir=true", "", ""})
	}
	return calls
}

func pathCalls() []call {
	var calls []call
	for _, path := range []string{
		"/v2/keys", "/v2/keys/", "/v2/keys/p/a/", "/v2/keys/p//a", "/v2/keys/p/./a", "/v2/keys/p/../a", "/v2/keys/..", "/v2//keys/p/a", "//v2/keys/p",
		"/v2/keys/p%2Fb", "/v2/keys/p%2F%2Fb", "/v2/keys/p/%2E%2E/c", "/v2/keys/p/%2e/", "/v2/keys/p/...", "/v2/keys/p/a+b", "/v2/keys/p/a%20b",
		"/v2/keys/p/%C3%A9", "/v2/keys/p/\xc3\xa9", "/v2/keys/p/%FF", "/v2/keys/p/%00", "/v2/keys/p/a%3Fb", "/v2/keys/p/a%23b", "/v2/keys/p/a;b", "/v2/keys/p/a%25b",
		"/v2/keys/p//\xc3\xa9?x=\xc3\xa9", "/v2/keys/p//%22%3C", "/v2/keys/p/%zz", "/v2/keys/p/%", "*", "http://other/v2/keys/p/abs", "http://other",
		"/v2/keys/p/" + strings.Repeat("k", 2000), "/v2/keys" + strings.Repeat("/d", 100), "/v2/./keys", "/v2/keys/p/a/.", "/v2/keys/p//?x=1&y=%20;",
	} {
		for _, m := range []string{"PUT", "GET", "HEAD", "DELETE"} {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			calls = append(calls, call{m, path + sep + "recursive=true&sorted=true", "", ""})
		}
	}
	return append(calls, call{"POST", "/v2/keys", "", ""}, call{"POST", "/v2/keys/p//q", "", ""}, call{"FOO", "/v2/keys//p", "", ""})
}

func operationCalls() []call {
	get := func(target string) call { return call{"GET", "/v2/keys/o" + target, "", ""} }
	put := func(target, body string) call { return formCall("PUT", "/v2/keys/o"+target, body) }
	post := func(target, body string) call { return formCall("POST", "/v2/keys/o"+target, body) }
	del := func(target string) call { return call{"DELETE", "/v2/keys/o" + target, "", ""} }
	return []call{
		put("/f", "value=one"), put("/f", "value=two"), put("/f?prevExist=false", "value=x"), put("/f?prevExist=true", "value=three"),
		put("/f?prevExist=true", "ttl=100"), get("/f"), put("/f?prevExist=true", "value=x&ttl="), put("/f?prevValue=no", "value=y"),
		put("/f?prevValue=no&prevIndex={1}", "value=y"), put("/f?prevValue=x&prevIndex={1}", "value=y"), put("/f?prevValue=x&ttl=100", "value=y"),
		put("/f?prevIndex=0", "value=z"), put("/f?prevValue=z&prevExist=true&dir=true", "value="), put("/f?prevValue=z", ""), put("/f/below", "value=x"),
		get("/f/below/deep"), del("/f/below"), put("/f/below?prevExist=true", ""), put("/f/below?prevValue=x", ""), del("/f/below?prevValue=x"), post("/f", ""),
		put("/i", "value=one"), put("/i?prevIndex={last}", "value=two"), put("/i?prevIndex={last}&prevValue=two", "value=three&ttl=100"),
		del("/i?prevIndex={last}&prevValue=two"), del("/i?prevIndex={last}&prevValue=three"), post("/in", "value=x"), get("/in/{key:last}"),
		put("/none?prevExist=true", "value=x"), put("/none?prevValue=x", ""), del("/none"), del("/none?prevValue=x"), del("/none?recursive=true"),
		put("/none?refresh=true&ttl=100", ""), put("/none?refresh=true&ttl=100&prevExist=true", ""), put("/none?refresh=true&ttl=100&prevValue=x", ""),
		put("/r", "value=x"), put("/r", "refresh=true&ttl=100&value="), get("/r"), put("/r?prevExist=true", "refresh=true&ttl=200"),
		put("/r?prevValue=x", "refresh=true&ttl=300"), put("/r?prevValue=y", "refresh=true&ttl=300"), put("/r", "value=x"),
		put("/r2?prevExist=false", "refresh=true&ttl=100"), post("/rq", "refresh=true&ttl=100"),
		put("/d?dir=true", "value=ignored"), put("/d?dir=true", ""), put("/d", "value=x"), put("/d?prevExist=false&dir=true", ""), put("/d?prevExist=true", "value=x"),
		put("/d?prevValue=x", "value=y"), put("/d?prevIndex={5}", "value=y"), put("/d", "refresh=true&ttl=100"), del("/d?prevIndex={5}"), del("/d?prevIndex={5}&recursive=true"),
		del("/d"), put("/d/x/y", "value=1"), del("/d?dir=true"), del("/d"), get("/d?recursive=true"), del("/d?recursive=true"), get("/d"),
		put("/f?dir=true", ""), put("/e?prevExist=true&dir=true", ""), put("/ttl?dir=true&ttl=100", ""), get("/ttl"), put("/ttl/x", "value=1"), del("/ttl?recursive=true"),
		post("/q", "value=Job1"), post("/q", "value=Job2&ttl=100"), post("/q/?dir=true", "value=x"), get("/q?recursive=true&sorted=true"),
		post("/q/new/dirs", "value=x&prevExist=true&prevValue=y&prevIndex={3}"),
		put("/_h/x", "value=1"), put("/v/_h", "value=1"), put("/v/a/_h/b", "value=1"), get("?recursive=true&sorted=true"), get("/_h"), get("/v?recursive=true"), get("/v/_h"),
		del("/v/a?dir=true"), put("/_h/x?prevValue=1", "value=2"), del("/_h/x?prevIndex={3}"),
		put("/n?noValueOnSuccess=true", "value=x"), put("/n?noValueOnSuccess=true&prevValue=x", "value=y"), put("/n?noValueOnSuccess=true&prevExist=true", "value=y"),
		put("/n2?noValueOnSuccess=true&prevExist=false", "value=x"), post("/nq?noValueOnSuccess=true", "value=x"), put("/n?noValueOnSuccess=true&prevValue=q", ""),
		get("/n?noValueOnSuccess=true"), del("/n?noValueOnSuccess=true&prevValue=y"), del("/n2?noValueOnSuccess=true"),
		formCall("PUT", "/v2/keys/", "value=x"), formCall("PUT", "/v2/keys?dir=true", ""), formCall("PUT", "/v2/keys?prevExist=true", ""), formCall("PUT", "/v2/keys?prevExist=false", ""),
		formCall("PUT", "/v2/keys?prevValue=x", ""), {"DELETE", "/v2/keys/", "", ""}, {"DELETE", "/v2/keys?recursive=true", "", ""}, {"DELETE", "/v2/keys?dir=true", "", ""},
		{"DELETE", "/v2/keys?prevIndex={7}", "", ""}, {"DELETE", "/v2/keys?prevValue=x", "", ""}, formCall("PUT", "/v2/keys?refresh=true&ttl=100", ""),
	}
}

// randomCalls returns n calls in a small space of keys, so that they get in each other's
// way. Update is not sent to directories, where etcd is wrong (see doc.go).
func randomCalls(seed uint64, n int) []call {
	rnd := rand.New(rand.NewPCG(seed, 1))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	root := fmt.Sprintf("/v2/keys/r%d", seed)
	var calls []call
	for range n {
		file := root + pick("/d", "/d/e", "", "/_g") + pick("/a", "/b", "/_c", "/a/")
		dir := root + pick("/d", "/d/e", "/_g", "/x", "")
		ttl := pick("", "", "&ttl=100", "&ttl=200", "&ttl=")
		value := pick("&value=one", "&value=two", "&value=", "")
		compare := pick("prevValue=one", "prevValue=two", "prevIndex={3}", "prevIndex={last}", "prevIndex={last}", "prevIndex=0", "prevValue=one&prevIndex={9}", "prevExist=true&prevValue=two")
		calls = append(calls, []call{
			formCall("PUT", file, value+ttl),
			formCall("PUT", file+"?prevExist=false", value+ttl),
			formCall("PUT", file+"?prevExist=true", value+ttl),
			formCall("PUT", file+"?"+compare, value+ttl),
			formCall("PUT", file+"?"+pick("prevExist=true&", "prevValue=one&", "")+"refresh=true&ttl=300", ""),
			formCall("PUT", dir+"?dir=true"+pick("", "&prevExist=false"), ttl),
			formCall("POST", dir, value+ttl),
			{"DELETE", file + pick("", "?dir=true", "?recursive=true"), "", ""},
			{"DELETE", file + "?" + compare, "", ""},
			{"DELETE", dir + pick("", "?dir=true", "?recursive=true", "?prevIndex={5}"), "", ""},
			{pick("GET", "HEAD"), file + pick("", "?quorum=true"), "", ""},
			{"GET", dir + "?sorted=true" + pick("", "&recursive=true", "&quorum=true"), "", ""},
		}[rnd.IntN(12)])
	}
	return append(calls, call{"GET", root + "?recursive=true&sorted=true", "", ""})
}

// compareWatches opens a watch on both sides, makes changes, and compares what comes.
func compareWatches(t *testing.T, theirs, ours *side) {
	put := func(key, value string) call { return formCall("PUT", "/v2/keys/w"+key, "value="+value) }
	del := func(key string) call { return call{"DELETE", "/v2/keys/w" + key, "", ""} }
	tests := []struct {
		name    string
		before  []call
		watch   string
		changes []call
		lines   int // events to read; 0 reads to the end
	}{
		{"missing key", nil, "/one?wait=true", []call{put("/other", "x"), put("/one", "x"), put("/one", "y")}, 0},
		{"trailing slash", nil, "/two/?wait=true", []call{put("/two", "x")}, 0},
		{"recursive", nil, "/three?wait=true&recursive=true", []call{put("/threex", "x"), put("/three/_h", "x"), put("/three/a/b", "x")}, 0},
		{"not recursive", []call{put("/four/a", "x")}, "/four?wait=true", []call{put("/four/a", "y"), del("/four?recursive=true")}, 0},
		{"parent removed", []call{put("/five/a", "x")}, "/five/a?wait=true", []call{del("/five?recursive=true")}, 0},
		{"refresh is silent", []call{put("/six", "x")}, "/six?wait=true", []call{formCall("PUT", "/v2/keys/w/six", "refresh=true&ttl=100"), put("/six", "y")}, 0},
		{"short answer, full event", nil, "/seven?wait=true", []call{put("/seven?noValueOnSuccess=true", "x")}, 0},
		{"compare and delete", []call{put("/eight", "x")}, "/eight?wait=true", []call{del("/eight?prevValue=y"), del("/eight?prevValue=x")}, 0},
		{"stream", nil, "/nine?wait=true&stream=true&recursive=true", []call{put("/nine/a", "1"), put("/nine/b", "2"), del("/nine/a"), formCall("POST", "/v2/keys/w/nine/q", "value=3")}, 4},
		{"history", []call{put("/ten", "x")}, "/ten?wait=true&waitIndex={1}", nil, 0},
		{"history, recursive", []call{put("/eleven/a", "x"), put("/eleven/a", "y")}, "/eleven?wait=true&recursive=true&waitIndex={1}", nil, 0},
		{"waitIndex zero", []call{put("/twelve", "x")}, "/twelve?wait=true&waitIndex=0", []call{put("/twelve", "y")}, 0},
		{"hidden key itself", nil, "/_hidden?wait=true", []call{put("/_hidden", "x")}, 0},
		{"in hidden directory", nil, "/_hide?wait=true&recursive=true", []call{put("/_hide/a", "x")}, 0},
		{"quorum wins", []call{put("/last", "x")}, "/last?wait=true&quorum=true&stream=true", nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range test.before {
				compare(t, theirs, ours, c)
			}
			watch := call{"GET", "/v2/keys/w" + test.watch, "", ""}
			want, got := theirs.open(t, watch), ours.open(t, watch)
			for _, c := range test.changes {
				compare(t, theirs, ours, c)
			}
			same(t, watch.String(), theirs.normal(answer{want.StatusCode, want.Header, readLines(t, want, test.lines)}),
				ours.normal(answer{got.StatusCode, got.Header, readLines(t, got, test.lines)}))
		})
	}
}

// readLines reads n lines of the body, all of it if n is 0.
func readLines(t *testing.T, resp *http.Response, n int) string {
	t.Helper()
	if n == 0 {
		return bodyOf(t, resp)
	}
	defer resp.Body.Close()
	var text strings.Builder
	lines := bufio.NewReader(resp.Body)
	for range n {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", text.String(), err)
		}
		text.WriteString(line)
	}
	return text.String()
}

// compareIntended holds the answers that are not etcd's on purpose. The texts are parts of
// "STATUS BODY": each side has its own and not the other's.
func compareIntended(t *testing.T, theirs, ours *side) {
	tests := []struct {
		before       []call
		call         call
		theirs, ours string // theirs may be empty
		reason       string
	}{
		{nil, call{"GET", "/v2/leader", "", ""}, "404 ", "200 http://", "0.4 has it"},
		{nil, call{"GET", "/v2/peers", "", ""}, "404 ", "200 http://", "0.4 has it"},
		{nil, formCall("PUT", "/v2/keys/i/ttl", "ttl=5000000000"), "201 ", `400 {"errorCode":202`, "etcd's expiry overflows somewhere above"},
		{nil, formCall("PUT", "/v2/keys/i/esc", "value=%08%0C"), `"\u0008\u000c"`, `"\b\f"`, "JSON as Go writes it since 1.22"},
		{
			[]call{formCall("PUT", "/v2/keys/i/d?dir=true", ""), formCall("PUT", "/v2/keys/i/d?prevExist=true", "ttl=100")},
			call{"GET", "/v2/keys/i/d", "", ""}, "", `"modifiedIndex":{last}`, "etcd does not store the index of an update of a directory",
		},
	}
	for _, test := range tests {
		for _, s := range []*side{theirs, ours} {
			for _, c := range test.before {
				s.send(t, c)
			}
			wanted, unwanted := s.fill(test.theirs), s.fill(test.ours)
			if s == ours {
				wanted, unwanted = unwanted, wanted
			}
			a := s.send(t, test.call)
			got := fmt.Sprintf("%d %s", a.status, a.body)
			if !strings.Contains(got, wanted) || unwanted != "" && strings.Contains(got, unwanted) {
				t.Errorf("%s: %s %s (%s): got %.200s, want %s, not %s", s.name, test.call.method, test.call.target, test.reason, got, wanted, unwanted)
			}
		}
	}
}

// compareExpiry waits for etcd's expire events and lets ours happen then. Nothing may
// follow it: the sweeps of etcd take indexes at any time.
func compareExpiry(t *testing.T, theirs, ours *side, node *fakeNode) {
	// The intended differences have left the indexes apart.
	for _, s := range []*side{theirs, ours} {
		a := s.send(t, call{"GET", "/v2/keys/base", "", ""})
		if _, err := fmt.Sscan(a.header.Get("X-Etcd-Index"), &s.base); err != nil {
			t.Fatal(err)
		}
	}
	watch := call{"GET", "/v2/keys/x?wait=true&stream=true&recursive=true", "", ""}
	want, got := theirs.open(t, watch), ours.open(t, watch)
	compare(t, theirs, ours, formCall("PUT", "/v2/keys/x/d?dir=true", "ttl=1"))
	compare(t, theirs, ours, formCall("PUT", "/v2/keys/x/d/f", "value=v"))
	compare(t, theirs, ours, formCall("PUT", "/v2/keys/x/f", "value=v&ttl=0"))
	wantEvents := readLines(t, want, 5)
	await(t, "expiry", func() bool { node.expire(); return node.tree.Stats().ExpireCount == 2 })
	same(t, "expire events", theirs.normal(answer{want.StatusCode, want.Header, wantEvents}),
		ours.normal(answer{got.StatusCode, got.Header, readLines(t, got, 5)}))
}
