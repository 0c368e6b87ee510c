// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
)

// asCurl returns the step as a line for a shell, the server being $1. A long path or
// body is cut.
func (s diffStep) asCurl() string {
	var b strings.Builder
	b.WriteString("curl -g -i --path-as-is")
	switch {
	case s.method == "HEAD":
		b.WriteString(" -I")
	case s.method != "GET":
		fmt.Fprintf(&b, " -X %s", s.method)
	}
	if s.watch != "" {
		b.WriteString(" -m 2")
	}
	if s.how == "1.0" {
		b.WriteString(" -0")
	}
	if s.how == "no host" {
		b.WriteString(" -H Host:")
	}
	if s.how == "chunked" {
		b.WriteString(" -H 'Transfer-Encoding: chunked'")
	}
	for h := range strings.SplitSeq(strings.TrimSuffix(s.header, "\r\n"), "\r\n") {
		if h != "" {
			b.WriteString(" -H " + shellQuote(h))
		}
	}
	if s.contentType != "" || s.body != "" {
		b.WriteString(" -H " + shellQuote("Content-Type:"+strings.TrimPrefix(" "+s.contentType, "  ")))
	}
	if s.body != "" {
		b.WriteString(" --data-binary " + shellQuote(shortened(s.body)))
	}
	if strings.HasPrefix(s.target, "/") {
		b.WriteString(` "$1"` + shellQuote(shortened(s.target)))
	} else {
		b.WriteString(` "$1" --request-target ` + shellQuote(shortened(s.target)))
	}
	return b.String()
}

func shortened(text string) string {
	if len(text) <= 600 {
		return text
	}
	return fmt.Sprintf("%s…(%d bytes)", text[:500], len(text))
}

// shellQuote quotes text for bash, whatever bytes it has.
func shellQuote(text string) string {
	plain := true
	for i := range len(text) {
		plain = plain && text[i] >= ' ' && text[i] < 0x7f && text[i] != '\''
	}
	if plain {
		return "'" + text + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '\\':
			b.WriteString("\\" + string(c))
		case c >= ' ' && c < 0x7f:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + "'"
}
