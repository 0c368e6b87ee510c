// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// An intended difference is one that we want. docs/api.md has a table of them, made of
// what, etcd and ours.
type intended struct {
	what, etcd, ours string

	// forgive takes the difference out of two answers that are not the same. It is nil
	// where the generator does not come across it.
	forgive func(c *diffContext, etcd, ours *diffAnswer)

	// show is a sequence whose step number at is answered with "STATUS BODY" containing
	// wantEtcd by etcd and wantOurs by us, and not the other way round. Empty is unseen.
	show               []diffStep
	at                 int
	wantEtcd, wantOurs string
}

// A diffContext is the sequence up to the step that was answered differently.
type diffContext struct {
	steps   []diffStep   // as sent to etcd
	answers []diffAnswer // etcd's
	at      int
}

func (c *diffContext) step() diffStep { return c.steps[c.at] }

// intendedDifferences are all that there are. The first have no effect on the indexes,
// so that the generator's sequences go on behind them.
func intendedDifferences() []intended {
	put := func(target, body string) diffStep {
		return diffStep{method: "PUT", target: diffKeys + "{root}" + target, contentType: diffForm, body: body}
	}
	get := func(target string) diffStep { return diffStep{method: "GET", target: diffKeys + "{root}" + target} }
	del := func(target string) diffStep { return diffStep{method: "DELETE", target: diffKeys + "{root}" + target} }
	wait := func(key, query string) diffStep {
		s := get(key + "?wait=true" + query)
		s.watch = "{root}" + key
		return s
	}
	all := func(s diffStep) diffStep { s.patient = true; return s }
	big := strings.Repeat("v", 11<<20)
	return []intended{
		{
			what: "listing without `sorted`", etcd: "order by chance", ours: "sorted",
			forgive: forgiveOrder,
		},
		{
			what: "an update of a directory (its ttl)", etcd: "its stored `modifiedIndex` stays", ours: "is stored, as the answer says",
			forgive: forgiveDirIndex,
			show:    []diffStep{put("/d?dir=true", ""), put("/d?prevExist=true", "ttl=100"), get("/d")}, at: 2,
			wantEtcd: `"modifiedIndex":"+1"`, wantOurs: `"modifiedIndex":"+2"`,
		},
		{
			what: "`\\b` and `\\f` in JSON", etcd: "`\\u0008`, `\\u000c`", ours: "`\\b`, `\\f`; JSON as Go writes it since 1.22",
			forgive:  forgiveEscapes,
			show:     []diffStep{put("/esc", "value=%08%0C")},
			wantEtcd: `\u0008\u000c`, wantOurs: `"\b\f"`,
		},
		{
			what: "answer above 2 KiB", etcd: "in chunks; to HEAD without a length", ours: "with Content-Length",
			forgive: func(_ *diffContext, etcd, ours *diffAnswer) {
				if ours.framing == withLength && ours.raw > 2000 {
					etcd.framing = ours.framing
				}
			},
		},
		{
			what: "request line that is malformed", etcd: "closes the connection", ours: "400",
			forgive: func(_ *diffContext, etcd, ours *diffAnswer) {
				if etcd.text == noAnswer && ours.status == 400 {
					*etcd = *ours
				}
			},
		},
		{
			what: "`Expect: 100-continue` for a body that is not wanted", etcd: "closes the connection", ours: "keeps it",
			forgive: func(c *diffContext, etcd, ours *diffAnswer) {
				if strings.HasPrefix(c.step().header, "Expect") {
					etcd.text = strings.Replace(etcd.text, " and close", "", 1)
				}
			},
		},
		{
			what: "stream on exactly the key that is deleted or expires", etcd: "tells the event twice", ours: "once",
			forgive: forgiveTwice,
			show:    []diffStep{put("/s", "value=x"), wait("/s", "&stream=true"), del("/s")}, at: 1,
			wantEtcd: "\"createdIndex\":\"+1\"}}\n{\"action\":\"delete\"",
		},
		{
			what: "stream from a `waitIndex` in the past", etcd: "one event, then nothing ever", ours: "that event and all later ones",
			show: []diffStep{put("/p", "value=x"), put("/p", "value=y"), all(wait("/p", "&stream=true&waitIndex={i:+1}"))}, at: 2,
			wantOurs: `"value":"y"`,
		},
		{
			what: "hidden keys in history (`recursive` with `waitIndex`)", etcd: "shown", ours: "hidden, as in live watches",
			forgive: forgiveHidden,
			show:    []diffStep{put("/h/_x", "value=1"), put("/h/y", "value=1"), wait("/h", "&recursive=true&waitIndex={i:+1}")}, at: 2,
			wantEtcd: `/h/_x"`, wantOurs: `/h/y"`,
		},
		{
			what: "deletion of `/d` in history", etcd: "also told to watches of `/dz`", ours: "only to those of `/d` and below",
			forgive: forgivePrefix,
			show:    []diffStep{put("/d/x", "value=1"), del("/d?recursive=true"), put("/dz", "value=1"), wait("/dz", "&waitIndex={i:+2}")}, at: 3,
			wantEtcd: `"action":"delete"`, wantOurs: `"action":"set"`,
		},
		{
			what: "`/v2/leader`, `/v2/peers`", etcd: "404", ours: "as in etcd 0.4",
			show:     []diffStep{{method: "GET", target: "/v2/leader"}},
			wantEtcd: "404 ", wantOurs: "200 (url)",
		},
		{
			what: "ttl above 2^32 seconds (136 years)", etcd: "taken; overflows sooner or later", ours: "400, errorCode 202",
			show:     []diffStep{put("/ttl", "ttl=5000000000")},
			wantEtcd: "201 ", wantOurs: `400 {"errorCode":202`,
		},
		{
			what: "form above 10 MB", etcd: "400, errorCode 210", ours: "stored, up to `-max-value`; above it 413 with errorCode 210",
			show:     []diffStep{put("/big", "value="+big)},
			wantEtcd: `400 {"errorCode":210`, wantOurs: "201 ",
		},
		{
			what: "key above 64 KiB or 256 levels", etcd: "stored", ours: "413 with errorCode 210",
			show:     []diffStep{put("/"+strings.Repeat("d/", 300)+"k", "value=x")},
			wantEtcd: "201 ", wantOurs: `413 {"errorCode":210`,
		},
		{
			what: "reader of a stream that does not keep up", etcd: "cut off at 100 events", ours: "at 640, as one log entry tells up to 512 at once",
		},
		{
			what: "failed compare-and-delete, failed set below a file, in `/v2/stats/store`", etcd: "counts as success, counts twice", ours: "count as one failure",
		},
		{
			what: "key that a permission is compared with", etcd: "as sent: `/foo/` is not `/foo`", ours: "the clean key",
		},
		{
			what: "origins of browsers (CORS)", etcd: "all", ours: "none without `-cors`",
		},
		{
			what: "`/debug/vars`", etcd: "tells the command line", ours: "does not: it may hold secrets",
		},
		{
			what: "the v3 API, gRPC and `/v3/...`", etcd: "there", ours: "not there",
			show:     []diffStep{{method: "POST", target: "/v3/kv/range"}},
			wantEtcd: "etcdserver: ", wantOurs: "404 ",
		},
	}
}

func forgiveOrder(c *diffContext, etcd, ours *diffAnswer) {
	q := watchOf(c.step().target)
	if q.sorted || !strings.Contains(etcd.body, `"nodes"`) {
		return
	}
	for _, a := range []*diffAnswer{etcd, ours} {
		docs := parsedLines(a.body)
		for _, doc := range docs {
			eachNode(doc, func(n map[string]any) {
				children, _ := n["nodes"].([]any)
				sort.Slice(children, func(i, j int) bool { return keyOfAny(children[i]) < keyOfAny(children[j]) })
			})
		}
		if docs != nil {
			a.body = unparsed(docs)
		}
	}
}

func keyOfAny(n any) string {
	m, _ := n.(map[string]any)
	key, _ := m["key"].(string)
	return key
}

// forgiveDirIndex takes out the modifiedIndex of directories, if one was updated before.
func forgiveDirIndex(c *diffContext, etcd, ours *diffAnswer) {
	updated := func(a diffAnswer) bool {
		return a.status == 200 && strings.HasPrefix(a.body, `{"action":"update"`) && (strings.Contains(a.body, `"dir":true`) || a.body == `{"action":"update"}`+"\n")
	}
	if !slices.ContainsFunc(c.answers, updated) {
		return
	}
	for _, a := range []*diffAnswer{etcd, ours} {
		docs := parsedLines(a.body)
		for _, doc := range docs {
			eachNode(doc, func(n map[string]any) {
				if n["dir"] == true {
					delete(n, "modifiedIndex")
				}
			})
		}
		if docs != nil {
			a.body = unparsed(docs)
		}
	}
}

var jsonEscape = regexp.MustCompile(`\\(u[0-9a-f]{4}|.)`)

func forgiveEscapes(_ *diffContext, _, ours *diffAnswer) {
	ours.body = jsonEscape.ReplaceAllStringFunc(ours.body, func(m string) string {
		switch m {
		case `\b`:
			return `\u0008`
		case `\f`:
			return `\u000c`
		}
		return m
	})
}

// removal reports whether an event takes its key away.
func removal(event map[string]any) bool {
	return event["action"] == "delete" || event["action"] == "expire" || event["action"] == "compareAndDelete"
}

func forgiveTwice(c *diffContext, etcd, ours *diffAnswer) {
	if !watchOf(c.step().target).stream {
		return
	}
	var once []map[string]any
	for _, doc := range parsedLines(etcd.body) {
		last := len(once) - 1
		if last >= 0 && removal(doc) && nodeKey(doc) == c.step().watch && reflect.DeepEqual(once[last], doc) {
			continue
		}
		once = append(once, doc)
	}
	if docs := parsedLines(ours.body); docs != nil {
		etcd.body, ours.body = unparsed(once), unparsed(docs)
	}
}

// history reports whether the step is a watch of the past, and returns the first event
// of each side.
func (c *diffContext) history(etcd, ours *diffAnswer) (theirs, our map[string]any, ok bool) {
	q, a, b := watchOf(c.step().target), parsedLines(etcd.body), parsedLines(ours.body)
	if !q.wait || q.index == 0 || len(a) == 0 || len(b) == 0 || etcd.text != ours.text {
		return nil, nil, false
	}
	return a[0], b[0], true
}

// hiddenBelow reports whether key is hidden from a recursive watch of dir.
func hiddenBelow(key, dir string) bool {
	below, ok := strings.CutPrefix(key, strings.TrimSuffix(dir, "/")+"/")
	return ok && (strings.HasPrefix(below, "_") || strings.Contains(below, "/_"))
}

func forgiveHidden(c *diffContext, etcd, ours *diffAnswer) {
	theirs, our, ok := c.history(etcd, ours)
	if ok && hiddenBelow(nodeKey(theirs), c.step().watch) && !hiddenBelow(nodeKey(our), c.step().watch) {
		*ours = *etcd
	}
}

func forgivePrefix(c *diffContext, etcd, ours *diffAnswer) {
	theirs, _, ok := c.history(etcd, ours)
	key, watched := nodeKey(theirs), strings.TrimSuffix(c.step().watch, "/")
	if ok && removal(theirs) && strings.HasPrefix(watched, key) && key != watched && !strings.HasPrefix(watched, key+"/") {
		*ours = *etcd
	}
}
