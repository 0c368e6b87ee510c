// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import "slices"

// A Function describes one function of the templates.
type Function struct {
	Name      string
	Group     string // the heading that it stands under
	Signature string // as it is called, and what it returns: "getv KEY [DEFAULT] → string"
	Summary   string // one line
	Example   string // a template over the keys of the examples
	Result    string // what the example makes

	bind func(*run) any // returns the function, bound to the state of a template
}

// Functions returns all functions, in the order of the reference page.
func Functions() []Function { return slices.Clone(functions) }

// plain is bind for a function without state.
func plain(f any) func(*run) any { return func(*run) any { return f } }

const (
	keysGroup     = "Keys"
	valueGroup    = "Missing values and secrets"
	textGroup     = "Text"
	regexGroup    = "Regular expressions"
	listGroup     = "Lists"
	mapGroup      = "Maps"
	formatGroup   = "JSON, YAML and TOML"
	encodingGroup = "Encodings and hashes"
	numberGroup   = "Numbers"
	timeGroup     = "Time"
	addressGroup  = "Addresses and networks"
	fileGroup     = "Other files"
	machineGroup  = "The machine and the network"
)

// functions is the one place that says which functions there are. The files table*.go
// hold its parts.
var functions = slices.Concat(
	keyFunctions, valueFunctions, textFunctions, regexFunctions, listFunctions, mapFunctions,
	formatFunctions, encodingFunctions, numberFunctions, timeFunctions, addressFunctions,
	fileFunctions, machineFunctions,
)
