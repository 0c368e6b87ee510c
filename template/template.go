// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package template turns the values of keys into the bytes of one file.
//
// A [Template] is one file in the syntax of text/template, with the functions that
// confd 0.16 has: those that read keys (getv, gets, ls, …) and those that work on text,
// lists, numbers and names. [Functions] lists them all, and [WriteDoc] writes their
// reference page from the same table.
//
//	t, err := template.Parse("templates/nginx.conf.tmpl", template.Options{Prefix: "/app"})
//	out, err := t.Render(ctx, snapshot.Keys.Under([]string{"/app/upstream"}))
//
// # Decisions
//
// Keys are never copied for a template: the functions search the sorted, shared
// [backends.Keys], and translate their argument by the prefix instead of the keys. What
// they return equals what memkv v0.1.1, on which confd 0.16 is built, returns for the
// same keys, with one exception: ls and lsdir of "/" list the root, which memkv never
// does. A fuzz test compares the two. The types are memkv's own, so that .Key and
// .Value work as ever.
//
// A template is parsed once, and again only when its file has changed, or with
// Options.Static never: who keeps a template that was in order while its file is broken
// says so. A file that was written to a moment before it was read is read again by the next Render, because its
// time stamp cannot tell a second write within the same tick.
//
// The functions of a template are bound once, to a state that Render fills in; so the
// Renders of one Template run one after the other.
//
// Errors carry no values: a value may be a secret, and errors are logged. The messages
// of strconv, encoding/json and text/template that quote values are reworded.
package template

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/template"
	"time"

	"confd/backends"
)

// A FuncMap names functions, as in text/template.
type FuncMap = template.FuncMap

// A Resolver looks up names. *net.Resolver is one. It is called by one goroutine per
// Template at a time.
type Resolver interface {
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Options say how a template sees its surroundings. The zero value is ready to use.
type Options struct {
	// Prefix is cut off the keys: with "/app", the key "/app/port" is "/port" for the
	// template. The slash in front may be missing. Empty means "/", nothing is cut.
	Prefix string

	// Dir is the folder of the templates. The path given to Parse is not relative to
	// it. The functions of confd 0.16 read no file in it.
	Dir string

	// Funcs are functions beside the built-in ones, and instead of those of the same
	// name. They are called by one goroutine per Template at a time.
	Funcs FuncMap

	// Static has the file read by Parse only: Render does not look whether it has changed.
	Static bool

	// LookupTimeout bounds each question to the resolver. Zero means ten seconds.
	LookupTimeout time.Duration

	Getenv   func(name string) string // nil means os.Getenv
	Now      func() time.Time         // for datetime; nil means time.Now
	Resolver Resolver                 // nil means net.DefaultResolver
}

// An Output is what a rendering made, and of what.
type Output struct {
	// Bytes is the content of the file. It belongs to the caller.
	Bytes []byte

	// Reads are the prefixes of all keys that the rendering depended on: absolute,
	// clean, sorted, and none within another. As long as no key under them changes,
	// the functions that read keys return the same; what the time, the environment,
	// files and name servers say is not covered. It is empty, but not nil, if no key
	// was asked for, and nil if the prefixes are unknown because they are more than 64.
	Reads []string
}

// A Template is a parsed template file. Its methods may be called concurrently.
type Template struct {
	path string
	name string
	opts Options

	mu     sync.Mutex
	run    run
	parsed *template.Template
	stamp  stamp
	text   string // what parsed was parsed from
	size   int    // of the last output, as a guess for the next
}

// A stamp tells whether a file is the one that was read.
type stamp struct {
	info os.FileInfo
	read time.Time // before info was taken
}

// settle is the time after which a write leaves a new time stamp on any file system.
const settle = 2 * time.Second

// matches reports whether a file with this info has the content that was read at s.
func (s stamp) matches(info os.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, info) &&
		s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime()) &&
		s.read.Sub(s.info.ModTime()) > settle
}

// Parse reads and parses the template in the file. Its name, for {{template}} and in
// messages of text/template, is the last component of the path. A mistake in the
// template is returned as an *[Error].
func Parse(path string, opts Options) (*Template, error) {
	t := &Template{path: path, name: filepath.Base(path), opts: opts}
	t.run.opts = &t.opts
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// Path returns the path that was given to Parse.
func (t *Template) Path() string { return t.path }

// Same reports whether other was parsed from the same path and the same text.
func (t *Template) Same(other *Template) bool {
	return t == other || t.path == other.path && t.current() == other.current()
}

// current returns the text that t was parsed from.
func (t *Template) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text
}

// load makes t.parsed agree with the file. It is called with t.mu held, or before t is
// shared. After an error the template remains as it was.
func (t *Template) load() error {
	if t.opts.Static && t.parsed != nil {
		return nil
	}
	if info, err := os.Stat(t.path); err == nil && t.stamp.matches(info) {
		return nil
	}
	read := time.Now()
	text, info, err := readFile(t.path)
	if err != nil {
		return fmt.Errorf("reading template: %w", err)
	}
	if t.parsed == nil || text != t.text {
		parsed, err := template.New(t.name).Funcs(t.run.bind(text)).Parse(text)
		if err != nil {
			return t.parseError(err)
		}
		t.parsed, t.text = parsed, text
	}
	t.stamp = stamp{info, read}
	return nil
}

// readFile returns the content of a regular file and its info, which is not newer than
// the content.
func readFile(path string) (string, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would block
		return "", nil, &os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return "", nil, err
	}
	var text strings.Builder
	text.Grow(int(info.Size()))
	if _, err := io.Copy(&text, f); err != nil {
		return "", nil, err
	}
	return text.String(), info, nil
}

// Render executes the template over the keys, with nil as its data. The keys are those
// of the resource only: those under its prefixes.
//
// It reads the file again first if that has changed, unless Static is set. A mistake in the template, or a key
// that it needs and that is missing, is returned as an *[Error]; the Reads of the output
// are valid then too: as long as no key under them changes, the error remains. When ctx
// ends, Render fails with its error, at the latest when a name server has answered.
func (t *Template) Render(ctx context.Context, keys backends.Keys) (Output, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(); err != nil {
		return Output{}, err
	}
	t.run.start(ctx, keys)
	defer t.run.end()
	out := output{ctx: ctx, buf: make([]byte, 0, t.size+t.size/8+64)}
	err := t.parsed.Execute(&out, nil)
	reads := t.run.store.reads.list()
	if ctxErr := ctx.Err(); ctxErr != nil { // then answers of the resolver may be missing
		return Output{}, fmt.Errorf("rendering %q: %w", t.path, ctxErr)
	}
	if err != nil {
		return Output{Reads: reads}, t.execError(err)
	}
	t.size = len(out.buf)
	return Output{Bytes: out.buf, Reads: reads}, nil
}

// output collects what a template writes, until ctx ends.
type output struct {
	ctx context.Context // of the one Render that owns the output
	buf []byte
}

func (o *output) Write(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	o.buf = append(o.buf, p...)
	return len(p), nil
}

// A run is the state that the functions of one Template are bound to. It is filled in
// by start, for one Render, and emptied by end.
type run struct {
	opts *Options

	ctx   context.Context // of the Render in progress
	store store           // the keys of the Render in progress
}

// bind returns the functions whose names occur in a text, bound to r. The others are
// left out to save memory: text/template copies the map for each template.
func (r *run) bind(text string) FuncMap {
	funcs := make(FuncMap)
	for _, f := range functions {
		if strings.Contains(text, f.Name) {
			funcs[f.Name] = f.bind(r)
		}
	}
	for name, f := range r.opts.Funcs {
		funcs[name] = f
	}
	return funcs
}

func (r *run) start(ctx context.Context, keys backends.Keys) {
	r.ctx = ctx
	r.store = newStore(keys, r.opts.Prefix)
}

func (r *run) end() {
	r.ctx = nil
	r.store = store{}
}
