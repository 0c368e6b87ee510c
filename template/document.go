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
		"/app/password":           "s3cr3t-pw",
		"/app/db":                 `{"host": "db1", "ports": [5432, 5433]}`,
		"/app/hosts":              `["a.example.com", "b.example.com"]`,
		"/services/domain":        "example.com",
		"/services/web/a":         "10.0.0.2:80",
		"/services/web/b":         "10.0.0.1:80",
		"/services/db/main/addr":  "10.0.1.1:5432",
		"/services/db/spare/addr": "10.0.1.2:5432",
	}
	exampleFiles = map[string]string{
		"motd.txt":      "Welcome.\n",
		"upstream.tmpl": "upstream {{.name}} {{print \"{\"}} {{range .servers}}server {{.}}; {{end}}}",
	}
	exampleWorld = []string{
		"The environment has `HOME=/root`, and no `STAGE`.",
		"This machine is called `box1`, and its `eth0` has the addresses 192.0.2.7 and 2001:db8::7.",
		"It is 2026-01-02 15:04:05 UTC.",
		"`web.example.com` has the addresses 192.0.2.9, 192.0.2.10 and 2001:db8::1.",
		"`_http._tcp.example.com` has SRV records for port 8080 of `a.example.com` and `b.example.com`.",
	}
)

const docHead = `# Template functions

<!-- Generated from the tables in template/table*.go by "go test ./template -update". Do not edit. -->

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

The functions are those of confd 0.16, with their meaning; those that abtreece/confd has added; and
what else users of consul-template, sprig and Helm know, where it fits. Beside them there are those of
the language itself, such as ` + "`and`, `or`, `not`, `eq`, `ne`, `lt`, `gt`, `len`, `index`, `slice`, `print`, `printf`," + `
` + "`html`, `js`, `urlquery`" + `, and ` + "`{{define}}` and `{{template}}`" + ` within one file.
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

const valueNotes = "A field that a map does not have, as in `{{$db.user}}`, is an error. `hasKey` tells beforehand, `dig` has a\n" +
	"default, and `missingkey = \"zero\"` in the [resource](template-resources.md) brings back what confd 0.16 did: the\n" +
	"field counts as empty, and is printed as `<no value>`.\n"

const secretNotes = `### Secrets

What ` + "`secret`" + ` has marked is rendered as it is, and masked by confd wherever it occurs in what people
see: the log, errors, the output of commands in both, diffs, reports.

- The text is masked wherever it stands, also where it is there for another reason. A text of less than
  four bytes is masked only where no letter and no digit stands beside it, so ` + "`1`" + ` does not hide every
  number; still, such a value is better changed than marked.
- The forms that other functions give it are masked too: the escapes of JSON, HTML and URLs, and its
  base64. Of a text of several lines, each line is masked by itself. What else is made from it, such as a
  hash, has to be marked again: ` + "`{{secret (bcrypt \"…\" $pw)}}`" + `.
- In a diff, the line that is replaced by one with a secret may hold the secret of before, which nobody has
  marked. It is masked where the new line has its secret, or as a whole if the two do not look alike.
- A command may print the file of before, as one that compares does, and ` + "`rollback`" + ` puts it back. If no
  template of this process has marked its secret, that is found by its line: one that is the same but for the
  secret. A line with nothing but a secret gives no hint.
- The file itself has the secret: keep it from others with ` + "`mode`" + ` and ` + "`owner`" + `.
`

const foreignNotes = `
## Coming from elsewhere

The functions of confd take the text first, as they always did: ` + "`trimSuffix STRING SUFFIX`" + `. Those that came
from sprig take it last, so that it can be piped: ` + "`getv \"/x\" | replaceAll \".\" \"-\"`" + `. Where one name means
two things, confd 0.16 decides, then abtreece/confd, then sprig:

| function | here | elsewhere |
|---|---|---|
`

const leftOut = `
Left out on purpose:

- What makes another file at each rendering, and so a reload each time: random texts, UUIDs, new keys and
  certificates (` + "`randAlphaNum`, `uuidv4`, `genCA`" + ` and the like). Put such a value into the store once.
- What asks Consul or Vault (` + "`service`, `node`, `secret`" + ` of consul-template), writes other files
  (` + "`writeToFile`" + `) or runs programs (` + "`plugin`" + `).
- Versions (` + "`semver`" + `): regular expressions do for most.
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
			switch group {
			case keysGroup:
				b.WriteString("\n" + docNotes)
			case valueGroup:
				b.WriteString("\n" + valueNotes)
			}
		}
		b.WriteString("\n### " + f.Name + "\n\n`" + f.Signature + "`\n\n" + f.Summary + "\n\n")
		writeBlock(&b, f.Example)
		b.WriteString("\n→\n\n")
		writeBlock(&b, f.Result)
		if f.Name == "secret" {
			b.WriteString("\n#" + secretNotes)
		}
	}
	writeForeign(&b)
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

// writeForeign writes what is called otherwise elsewhere.
func writeForeign(b *bytes.Buffer) {
	b.WriteString(foreignNotes)
	for _, c := range clashes {
		b.WriteString("| " + c.name + " | " + cell(c.here) + " | " + cell(c.elsewhere) + " |\n")
	}
	b.WriteString("\nOther names:\n\n| function | of | here |\n|---|---|---|\n")
	for _, f := range foreign {
		b.WriteString("| `" + f.name + "` | " + f.from + " | " + f.here + " |\n")
	}
	b.WriteString(leftOut)
}

// cell keeps what looks like HTML from being taken for it.
func cell(text string) string {
	return strings.NewReplacer("<", "`<`", ">", "`>`", "&", "`&`").Replace(text)
}

// writeKeys writes what the examples are made with.
func writeKeys(b *bytes.Buffer) {
	b.WriteString("\n## The examples\n\nThe examples below are made with these keys:\n\n| key | value |\n|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(exampleKeys)) {
		b.WriteString("| `" + key + "` | `" + exampleKeys[key] + "` |\n")
	}
	b.WriteString("\nThe folder of templates holds two more files:\n\n")
	for _, name := range slices.Sorted(maps.Keys(exampleFiles)) {
		b.WriteString("`" + name + "`:\n\n")
		writeBlock(b, exampleFiles[name])
		b.WriteString("\n")
	}
	b.WriteString("A test runs each of the examples, and compares what is shown.\n\n")
	for _, fact := range exampleWorld {
		b.WriteString("- " + fact + "\n")
	}
}
