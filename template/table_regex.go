// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"regexp"
)

// regexFunctions are those with regular expressions.
var regexFunctions = []Function{
	{"regexMatch", regexGroup, "regexMatch REGEX STRING → bool",
		"Whether the expression, in the syntax of [Go](https://pkg.go.dev/regexp/syntax), fits somewhere in the text.",
		`{{regexMatch "^10[.]" (getv "/services/web/a")}}`, "true",
		func(r *run) any { return r.regexMatch }},
	{"regexFind", regexGroup, "regexFind REGEX STRING → string",
		"The first part of the text that fits; \"\" if none does.",
		`{{getv "/services/web/a" | regexFind "[0-9]+$"}}`, "80",
		func(r *run) any { return r.regexFind }},
	{"regexFindAll", regexGroup, "regexFindAll REGEX STRING COUNT → strings",
		"The parts that fit, so many at most; with -1, all.",
		`{{regexFindAll "[0-9]+" "10.0.0.2" -1}} {{regexFindAll "[0-9]+" "10.0.0.2" 1}}`, "[10 0 0 2] [10]",
		func(r *run) any { return r.regexFindAll }},
	{"regexReplaceAll", regexGroup, "regexReplaceAll REGEX STRING NEW → string",
		"The text with NEW in place of all parts that fit. In NEW, ${1} is what the first parentheses have found.",
		`{{regexReplaceAll "^(.*):(.*)$" (getv "/services/web/a") "${2} of ${1}"}}`, "80 of 10.0.0.2",
		func(r *run) any { return r.regexReplaceAll }},
	{"regexReplaceAllLiteral", regexGroup, "regexReplaceAllLiteral REGEX STRING NEW → string",
		"The same, with $ as a letter like others.",
		`{{regexReplaceAllLiteral "[0-9]+" "cost 10" "$1"}}`, "cost $1",
		func(r *run) any { return r.regexReplaceAllLiteral }},
	{"regexSplit", regexGroup, "regexSplit REGEX STRING COUNT → strings",
		"The pieces between the parts that fit, so many at most; with -1, all.",
		`{{regexSplit "[,;] *" "a, b;c" -1}}`, "[a b c]",
		func(r *run) any { return r.regexSplit }},
	{"regexQuoteMeta", regexGroup, "regexQuoteMeta STRING → string",
		"An expression that fits this text only.",
		`{{regexQuoteMeta (getv "/services/domain")}}`, "example\\.com",
		plain(regexp.QuoteMeta)},
}
