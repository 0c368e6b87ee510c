// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"text/template"
	"text/template/parse"
)

// Check looks for mistakes that Render would meet only when it comes to the place: calls
// of functions with too few or too many arguments, templates that {{template}} names and
// nobody defines, regular expressions that are none, and files that include and file
// name and that do not exist or have such mistakes themselves. It executes nothing, and
// returns an [errors.Join] of all, each an *[Error].
func (t *Template) Check() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		return err
	}
	c := checker{run: &t.run, seen: make(map[string]bool)}
	c.set(t.source, t.parsed)
	slices.SortStableFunc(c.faults, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(c.faults))
	for i, fault := range c.faults {
		errs[i] = fault
	}
	return errors.Join(errs...)
}

// A checker walks through the trees of a template and of the files that it includes.
type checker struct {
	run    *run
	seen   map[string]bool // the files that were walked through
	source source
	parsed *template.Template
	tree   *parse.Tree
	faults []*Error
}

// set looks at all templates of one file.
func (c *checker) set(from source, parsed *template.Template) {
	outer := *c
	c.source, c.parsed = from, parsed
	for _, t := range parsed.Templates() {
		if t.Tree != nil && t.Root != nil {
			c.tree = t.Tree
			c.node(t.Root)
		}
	}
	c.source, c.parsed, c.tree = outer.source, outer.parsed, outer.tree
}

func (c *checker) fault(n parse.Node, format string, args ...any) {
	location, _ := c.tree.ErrorContext(n)
	e := c.source.newError(fmt.Errorf("template: %s: executing %s", location, fmt.Sprintf(format, args...)))
	e.Msg = fmt.Sprintf(format, args...)
	c.faults = append(c.faults, e)
}

// node looks at a node and at what is below it.
func (c *checker) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				c.node(child)
			}
		}
	case *parse.ActionNode:
		c.pipe(n.Pipe)
	case *parse.IfNode:
		c.branch(&n.BranchNode)
	case *parse.RangeNode:
		c.branch(&n.BranchNode)
	case *parse.WithNode:
		c.branch(&n.BranchNode)
	case *parse.TemplateNode:
		if c.parsed.Lookup(n.Name) == nil {
			c.fault(n, "template %q not defined; {{include}} takes a file", n.Name)
		}
		c.pipe(n.Pipe)
	case *parse.PipeNode:
		c.pipe(n)
	case *parse.ChainNode:
		c.node(n.Node)
	}
}

func (c *checker) branch(n *parse.BranchNode) {
	c.pipe(n.Pipe)
	c.node(n.List)
	c.node(n.ElseList)
}

func (c *checker) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for i, command := range p.Cmds {
		for _, arg := range command.Args {
			c.node(arg)
		}
		piped := 0
		if i > 0 {
			piped = 1
		}
		if name, ok := command.Args[0].(*parse.IdentifierNode); ok {
			c.call(name, command.Args[1:], piped)
		}
		for _, arg := range command.Args[1:] {
			if name, ok := arg.(*parse.IdentifierNode); ok { // a function without arguments, as an argument
				c.call(name, nil, 0)
			}
		}
	}
}

// call looks at the call of a function, to which so many values come by a pipe.
func (c *checker) call(name *parse.IdentifierNode, args []parse.Node, piped int) {
	f := c.function(name.Ident)
	if f == nil {
		return // of the language itself
	}
	signature := reflect.TypeOf(f)
	want, got := signature.NumIn(), len(args)+piped
	switch {
	case signature.IsVariadic() && got < want-1:
		c.fault(name, "%s: wants %s or more, but got %d", name.Ident, arguments(want-1), got)
	case !signature.IsVariadic() && got != want:
		c.fault(name, "%s: wants %s, but got %d", name.Ident, arguments(want), got)
	}
	text, ok := literal(args)
	if !ok {
		return
	}
	var err error
	switch name.Ident {
	case "include":
		err = c.include(text)
	case "file":
		_, _, err = c.run.read(filepath.Clean(text))
	case "regexMatch", "regexFind", "regexFindAll", "regexReplaceAll", "regexReplaceAllLiteral", "regexSplit":
		_, err = c.run.pattern(text)
	}
	if e, elsewhere := errors.AsType[*Error](err); elsewhere {
		c.faults = append(c.faults, e)
	} else if err != nil {
		c.fault(name, "%s: %v", name.Ident, err)
	}
}

func arguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// function returns a function that is not of the language itself, or nil.
func (c *checker) function(name string) any {
	if f := c.run.opts.Funcs[name]; f != nil {
		return f
	}
	for _, f := range c.run.table {
		if f.Name == name {
			return f.bind(c.run)
		}
	}
	return nil
}

// literal returns the first argument if it is written out.
func literal(args []parse.Node) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	text, ok := args[0].(*parse.StringNode)
	if !ok {
		return "", false
	}
	return text.Text, true
}

// include looks at an included file, once.
func (c *checker) include(name string) error {
	if c.parsed.Lookup(name) != nil && name != c.source.name {
		return nil
	}
	p, err := c.run.part(filepath.Clean(name))
	if err != nil {
		return err
	}
	if !c.seen[p.source.name] {
		c.seen[p.source.name] = true
		c.set(p.source, p.parsed)
	}
	return nil
}
