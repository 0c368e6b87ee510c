// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// withLength is said of a body whose Content-Length comes before it.
const withLength = "with its length"

// normal returns an answer with relative indexes and without times and ids. Its body is
// JSON where the server's was.
func (s *diffSide) normal(resp *http.Response, body []byte) diffAnswer {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", resp.StatusCode)
	if resp.Close {
		b.WriteString(" and close")
	}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		values := resp.Header[name]
		switch name {
		case "Date", "Content-Length", "Connection":
			continue
		case "X-Raft-Index", "X-Raft-Term":
			values = []string{isNumber(values)}
		case "X-Etcd-Cluster-Id":
			values = []string{isID(values)}
		case "X-Etcd-Index":
			values = []string{s.relative(values[0])}
		}
		if !strings.HasPrefix(name, "Access-Control-") {
			fmt.Fprintf(&b, "\n%s: %s", name, strings.Join(values, " | "))
		}
	}
	framing := "until the end of the connection"
	switch {
	case len(resp.TransferEncoding) > 0:
		framing = resp.TransferEncoding[0]
	case resp.ContentLength >= 0:
		framing = withLength
	}
	return diffAnswer{
		text: b.String(), status: resp.StatusCode, framing: framing,
		body: s.normalBody(string(body)), raw: max(len(body), int(resp.ContentLength)),
	}
}

func isNumber(values []string) string {
	if _, err := strconv.ParseUint(values[0], 10, 64); err != nil {
		return values[0]
	}
	return "(a number)"
}

func isID(values []string) string {
	if _, err := strconv.ParseUint(values[0], 16, 64); err != nil || strings.HasPrefix(values[0], "0") {
		return values[0]
	}
	return "(an id)"
}

var (
	diffIndex   = regexp.MustCompile(`"(modifiedIndex|createdIndex|index)":\d+`)
	diffCause   = regexp.MustCompile(`\[\d+( != |/)\d+\]`)
	diffInOrder = regexp.MustCompile(`/\d{20}`)
	diffDigits  = regexp.MustCompile(`\d+`)
	diffExpiry  = regexp.MustCompile(`"expiration":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"`)
	diffTTL     = regexp.MustCompile(`"ttl":\d+`)
	diffOverdue = regexp.MustCompile(`"ttl":-\d+,`)
	diffOwn     = regexp.MustCompile(`"(id|leader|name|startTime|uptime)":"[^"]*"`)
	diffURLs    = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	diffCounter = regexp.MustCompile(`"(\w+(Success|Fail|Count)|watchers|\w+AppendRequestCnt)":\d+`)
)

func (s *diffSide) normalBody(body string) string {
	body = diffIndex.ReplaceAllStringFunc(body, func(m string) string {
		name, n, _ := strings.Cut(m, ":")
		return fmt.Sprintf("%s:%q", name, s.relative(n))
	})
	for _, re := range []*regexp.Regexp{diffCause, diffInOrder} {
		body = re.ReplaceAllStringFunc(body, func(m string) string {
			return diffDigits.ReplaceAllStringFunc(m, s.relative)
		})
	}
	body = diffExpiry.ReplaceAllString(body, `"expiration":"(time)"`)
	body = diffTTL.ReplaceAllStringFunc(body, func(m string) string {
		n, _ := strconv.Atoi(m[len(`"ttl":`):]) // the expression says it is a number
		return fmt.Sprintf(`"ttl":%d`, (n+9)/10*10)
	})
	body = diffOverdue.ReplaceAllString(body, "")
	body = diffOwn.ReplaceAllString(body, `"$1":"(own)"`)
	body = diffURLs.ReplaceAllString(body, "(url)")
	return diffCounter.ReplaceAllString(body, `"$1":"(n)"`)
}

// relative returns an index relative to the beginning of the sequence. Numbers far from
// it were written by the generator and stay.
func (s *diffSide) relative(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < diffWarmUp/4 || n > int64(s.base)+1e6 {
		return text
	}
	return fmt.Sprintf("%+d", n-int64(s.base))
}

// diffWarmUp is how many writes come before the first sequence, so that there is a past
// which the servers have forgotten.
const diffWarmUp = 1600

// parsedLines returns the JSON documents of a body, one a line, nil if there are others.
func parsedLines(body string) []map[string]any {
	var docs []map[string]any
	for line := range strings.Lines(body) {
		var doc map[string]any
		if json.Unmarshal([]byte(line), &doc) != nil {
			return nil
		}
		docs = append(docs, doc)
	}
	return docs
}

// unparsed is the opposite of parsedLines, with the fields in the order of their names.
func unparsed(docs []map[string]any) string {
	var b strings.Builder
	for _, doc := range docs {
		line, err := json.Marshal(doc)
		if err != nil {
			return err.Error()
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// eachNode calls f for every node in doc.
func eachNode(doc map[string]any, f func(node map[string]any)) {
	for _, name := range []string{"node", "prevNode"} {
		if n, ok := doc[name].(map[string]any); ok {
			f(n)
			eachChild(n, f)
		}
	}
}

func eachChild(node map[string]any, f func(node map[string]any)) {
	children, _ := node["nodes"].([]any)
	for _, c := range children {
		if c, ok := c.(map[string]any); ok {
			f(c)
			eachChild(c, f)
		}
	}
}

// nodeKey returns the key of the node of an event, "" if there is none.
func nodeKey(doc map[string]any) string {
	n, _ := doc["node"].(map[string]any)
	key, _ := n["key"].(string)
	return key
}
