// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
)

// The examples are made with these keys, and with this little world around them.
var (
	exampleKeys = map[string]string{
		"/app/name":               "shop",
		"/app/port":               "8080",
		"/app/debug":              "true",
		"/app/tags":               "red,green,blue",
		"/app/motd":               "SGVsbG8=",
		"/app/db":                 `{"host": "db1", "ports": [5432, 5433]}`,
		"/app/hosts":              `["a.example.com", "b.example.com"]`,
		"/services/domain":        "example.com",
		"/services/web/a":         "10.0.0.2:80",
		"/services/web/b":         "10.0.0.1:80",
		"/services/db/main/addr":  "10.0.1.1:5432",
		"/services/db/spare/addr": "10.0.1.2:5432",
	}
	exampleWorld = []string{
		"The environment has `HOME=/root`, and no `STAGE`.",
		"It is 2026-01-02 15:04:05 UTC.",
		"`web.example.com` has the addresses 192.0.2.9, 192.0.2.10 and 2001:db8::1.",
		"`_http._tcp.example.com` has SRV records for port 8080 of `a.example.com` and `b.example.com`.",
	}
)

const docHead = `# Template functions

<!-- Generated from the table in template/functions.go by "go test ./template -update". Do not edit. -->

A template is a text file in the language of Go's [text/template](https://pkg.go.dev/text/template).
What stands between ` + "`{{` and `}}`" + ` is replaced; ` + "`{{-` and `-}}`" + ` also take away the white space
before or after. A function is called by its name, with its arguments behind it:

` + "```" + `
upstream shop {
{{- range gets "/services/web/*"}}
    server {{.Value}};
{{- end}}
}
` + "```" + `

renders, with the keys below, as

` + "```" + `
upstream shop {
    server 10.0.0.2:80;
    server 10.0.0.1:80;
}
` + "```" + `

The functions are those of confd 0.16. Beside them there are those of the language itself, such as
` + "`and`, `or`, `not`, `eq`, `ne`, `lt`, `gt`, `len`, `index`, `slice`, `printf`, `html`" + `, and ` + "`{{define}}`" + ` and
` + "`{{template}}`" + ` within one file.
`

const docNotes = `- **Which keys there are.** A template sees the keys that its resource names in ` + "`keys`" + `, and no others. With a
  ` + "`prefix`" + `, that is cut off: with the prefix ` + "`/app`, the key `/app/port` is `/port`" + `.
- **Patterns** are those of Go's [path.Match](https://pkg.go.dev/path#Match): ` + "`*`" + ` stands for any text and ` + "`?`" + ` for any
  letter, both without ` + "`/`, `[a-f]`" + ` for one letter of several, and ` + "`\\`" + ` takes the meaning from the next letter. So
  ` + "`/services/*/addr`" + ` finds keys at one depth; ` + "`**`" + ` means the same as ` + "`*`" + `.
- **Paths** are taken as they are: ` + "`/app/port/`" + ` and ` + "`app/port`" + ` are not ` + "`/app/port`" + `.
- **Mistakes.** When a function fails, the file is not written, and the message names the template, the line, the
  column, and the key if one is missing. Values never appear in messages.
`

// WriteDoc writes the reference page of the functions, in Markdown.
func WriteDoc(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(docHead)
	writeIndex(&b)
	writeKeys(&b)
	group := ""
	for _, f := range functions {
		if f.Group != group {
			group = f.Group
			b.WriteString("\n## " + group + "\n")
			if group == keysGroup {
				b.WriteString("\n" + docNotes)
			}
		}
		b.WriteString("\n### " + f.Name + "\n\n`" + f.Signature + "`\n\n" + f.Summary + "\n\n")
		writeBlock(&b, f.Example)
		b.WriteString("\n→\n\n")
		writeBlock(&b, f.Result)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeBlock writes text as it is, without a trailing space that would not be seen.
func writeBlock(b *bytes.Buffer, text string) {
	b.WriteString("```\n" + strings.TrimRight(text, " \n") + "\n```\n")
}

// writeIndex writes a table with the functions of each group.
func writeIndex(b *bytes.Buffer) {
	b.WriteString("\n| | |\n|---|---|\n")
	for i, f := range functions {
		if i == 0 || f.Group != functions[i-1].Group {
			b.WriteString("| " + f.Group + " |")
		}
		b.WriteString(" [" + f.Name + "](#" + strings.ToLower(f.Name) + ")")
		if i == len(functions)-1 || f.Group != functions[i+1].Group {
			b.WriteString(" |\n")
		}
	}
}

// writeKeys writes what the examples are made with.
func writeKeys(b *bytes.Buffer) {
	b.WriteString("\n## The examples\n\nThe examples below are made with these keys:\n\n| key | value |\n|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(exampleKeys)) {
		b.WriteString("| `" + key + "` | `" + exampleKeys[key] + "` |\n")
	}
	b.WriteString("\nA test runs each of them, and compares what is shown.\n\n")
	for _, fact := range exampleWorld {
		b.WriteString("- " + fact + "\n")
	}
}
