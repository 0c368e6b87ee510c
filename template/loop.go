// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"reflect"
	"strconv"
	"text/template"
	"text/template/parse"

	"github.com/kelseyhightower/memkv"
)

// A loop is the body of a {{range}} over pairs or texts that only writes them out, with
// text between. text/template takes some hundred nanoseconds and a few calls by reflection
// for each value; a loop is written by one function, which takes the place of the
// {{range}} in the tree:
//
//	{{range gets "/a/*"}}{{.Key}} {{.Value}}; {{end}}  →  {{gets "/a/*" | pairs_ 0}}
//
// What comes out is the same to the byte. Nothing in such a body can fail, and what is
// in front of it is executed as ever, so errors are the same too. A body with anything
// else in it stays as it is.
type loop []piece

// A piece is a text, or a value that has gone through some functions.
type piece struct {
	what  operand
	text  string
	funcs []func(string) string
}

// An operand is what a piece shows.
type operand int

const (
	nothing operand = iota
	fixed           // the text of the piece itself
	index           // of the element, from 0
	element         // a text of a list
	key             // of a pair
	value           // of a pair
)

// The functions that write loops. No template can name them: they are added when it has been
// parsed.
const (
	pairsLoop = "pairs_"
	getsLoop  = "gets_" // of pairs from gets, which nobody else has then
	textsLoop = "texts_"
)

// straighten replaces the ranges of a template that are loops. funcs are those it was
// parsed with.
func (r *run) straighten(parsed *template.Template, funcs FuncMap) {
	s := straightener{funcs: funcs, own: r.opts.Funcs}
	for _, t := range parsed.Templates() {
		if t.Tree != nil {
			s.list(t.Tree, t.Root)
		}
	}
	if loops := s.loops; loops != nil {
		parsed.Funcs(FuncMap{
			pairsLoop: func(n int, list memkv.KVPairs) (string, error) { return "", r.out.pairs(loops[n], list) },
			getsLoop: func(n int, list memkv.KVPairs) (string, error) {
				defer r.store.takeBack(list)
				return "", r.out.pairs(loops[n], list)
			},
			textsLoop: func(n int, list []string) (string, error) { return "", r.out.texts(loops[n], list) },
		})
	}
}

// A straightener looks for loops in the trees of one template file.
type straightener struct {
	funcs FuncMap
	own   FuncMap // those of them that are not built in
	loops []loop
}

// list replaces the loops of a list and of what is below it.
func (s *straightener) list(tree *parse.Tree, list *parse.ListNode) {
	if list == nil {
		return
	}
	for i, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.RangeNode:
			if action := s.action(tree, n); action != nil {
				list.Nodes[i] = action
			} else {
				s.branch(tree, &n.BranchNode)
			}
		case *parse.IfNode:
			s.branch(tree, &n.BranchNode)
		case *parse.WithNode:
			s.branch(tree, &n.BranchNode)
		}
	}
}

func (s *straightener) branch(tree *parse.Tree, n *parse.BranchNode) {
	s.list(tree, n.List)
	s.list(tree, n.ElseList)
}

// action returns what does the same as a range; nil if that is no loop.
func (s *straightener) action(tree *parse.Tree, n *parse.RangeNode) *parse.ActionNode {
	writer := s.writer(n.Pipe)
	if writer == "" || n.ElseList != nil || n.Pipe.IsAssign {
		return nil
	}
	b := body{straightener: s, texts: writer == textsLoop}
	switch vars := n.Pipe.Decl; len(vars) {
	case 1:
		b.element = vars[0].Ident[0]
	case 2:
		b.index, b.element = vars[0].Ident[0], vars[1].Ident[0]
	}
	l, ok := b.loop(n.List)
	if !ok {
		return nil
	}
	pipe := n.Pipe.CopyPipe()
	pipe.Decl = nil
	number := strconv.Itoa(len(s.loops))
	pipe.Cmds = append(pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{
		parse.NewIdentifier(writer).SetPos(n.Pos).SetTree(tree),
		&parse.NumberNode{NodeType: parse.NodeNumber, Pos: n.Pos, IsInt: true, Int64: int64(len(s.loops)), Text: number},
	}})
	s.loops = append(s.loops, l)
	return &parse.ActionNode{NodeType: parse.NodeAction, Pos: n.Pos, Line: n.Line, Pipe: pipe}
}

var (
	pairsType = reflect.TypeFor[[]memkv.KVPair]()
	textsType = reflect.TypeFor[[]string]()
)

// writer returns the function that writes a loop over what comes out of the pipe; "" if
// that is not known to be pairs or texts.
func (s *straightener) writer(pipe *parse.PipeNode) string {
	last := pipe.Cmds[len(pipe.Cmds)-1]
	name, ok := last.Args[0].(*parse.IdentifierNode)
	if !ok || s.funcs[name.Ident] == nil {
		return ""
	}
	f := reflect.TypeOf(s.funcs[name.Ident])
	switch out := f.Out(0); {
	case name.Ident == "gets" && s.own["gets"] == nil:
		return getsLoop
	case out == textsType:
		return textsLoop
	case out == pairsType, out == reflect.TypeFor[memkv.KVPairs]():
		return pairsLoop
	}
	return ""
}

// A body is what a straightener has to know of the range that it looks at.
type body struct {
	*straightener
	texts   bool   // the elements are texts, not pairs
	index   string // the variable of the index, "" if there is none
	element string // the variable of the element, "" if there is none
}

// loop returns the loop that the body of a range is, and whether it is one.
func (b body) loop(list *parse.ListNode) (loop, bool) {
	var l loop
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			l = append(l, piece{what: fixed, text: string(n.Text)})
		case *parse.ActionNode:
			p, ok := b.piece(n.Pipe)
			if !ok {
				return nil, false
			}
			l = append(l, p)
		default:
			return nil, false
		}
	}
	return l, true
}

// piece returns what a pipe writes: an operand, or functions of one.
func (b body) piece(pipe *parse.PipeNode) (p piece, ok bool) {
	if len(pipe.Decl) > 0 {
		return p, false
	}
	for i, cmd := range pipe.Cmds {
		args := cmd.Args
		if name, ok := args[0].(*parse.IdentifierNode); ok {
			f := b.text(name.Ident)
			if f == nil {
				return p, false
			}
			p.funcs = append(p.funcs, f)
			args = args[1:]
		}
		switch {
		case i == 0 && len(args) == 1:
			p.what = b.operand(args[0])
		case i == 0 || len(args) > 0:
			return p, false
		}
	}
	return p, p.what != nothing && (p.what != index || p.funcs == nil)
}

// text returns a built-in function that makes a text of a text; nil if it is none.
func (b body) text(name string) func(string) string {
	if b.own[name] != nil {
		return nil // it may panic, which is an error of that name
	}
	f, _ := b.funcs[name].(func(string) string)
	return f
}

// operand returns what a node stands for.
func (b body) operand(n parse.Node) operand {
	var path []string
	switch n := n.(type) {
	case *parse.DotNode:
	case *parse.FieldNode:
		path = n.Ident
	case *parse.VariableNode:
		if n.Ident[0] == b.index && b.index != b.element && len(n.Ident) == 1 {
			return index
		}
		if n.Ident[0] != b.element {
			return nothing
		}
		path = n.Ident[1:]
	default:
		return nothing
	}
	switch {
	case b.texts && len(path) == 0:
		return element
	case !b.texts && len(path) == 1 && path[0] == "Key":
		return key
	case !b.texts && len(path) == 1 && path[0] == "Value":
		return value
	}
	return nothing
}
