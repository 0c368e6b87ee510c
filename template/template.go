// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package template turns the values of keys into the bytes of one file.
//
// A [Template] is one file in the syntax of text/template, with functions: those of
// confd 0.16, those that abtreece/confd has added, and what else users of
// consul-template and sprig know. [Functions] lists them all, and [WriteDoc] writes their
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
// of strconv, encoding/json and text/template that quote values are reworded. The names
// of keys and files are shown.
//
// The functions are written here, over the standard library and the modules that the
// program has anyway (yaml, toml, x/crypto), and not taken from a library. sprig 3.3.0
// would add 8 modules to the 31 that are linked, and 0.5 MB to 15.7 MB; sprout 1.0.3, with
// all of its groups, 6 modules and 0.9 MB. More than by the weight, that was decided by
// what they do: half of the names that they share with confd 0.16 mean something else
// (split, join, replace, contains, trimSuffix, get, seq), and would have to be replaced;
// sprig turns mistakes into text (b64dec writes its error into the file, atoi makes 0 of
// it); the errors of both quote the values that they could not convert; both read the
// environment and name servers past Options; and what makes another text at each
// rendering has no place here, because it would make a reload of each.
//
// So bcrypt is given its salt, and a rendering with the same keys always makes the same
// bytes, apart from datetime, the environment, files and name servers.
//
// A field that a map does not have is an error unless Options.MissingKey says otherwise.
// confd 0.16 wrote "<no value>" into the file.
//
// What secret marks is masked as a text, and not where it was rendered: the same value
// comes back in places that no template has written, in the output of a check or in the
// file of before. [Secrets] says what that means for short values and for values that
// occur elsewhere.
//
// include and file read through os.Root: no name and no link leads out of the folder of
// templates, so a value of a key cannot bring a file of the machine into a rendered one.
package template

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
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

	// Dir is the folder of the templates, from which include and file read. The path
	// given to Parse is not relative to it. Empty means the folder of that file.
	Dir string

	// MissingKey says what comes of ".name" if a map has no such entry, as the option
	// "missingkey" of text/template does: "error", the rendering fails; "default" or
	// "zero", it counts as empty and is printed as "<no value>", as in confd 0.16.
	// Empty means "error".
	MissingKey string

	// Secrets are told of the values that the function secret marks. They are masked
	// in errors. Nil means that nothing is marked.
	Secrets *Secrets

	// Funcs are functions beside the built-in ones, and instead of those of the same
	// name. They are called by one goroutine per Template at a time.
	Funcs FuncMap

	// Static has the file read by Parse only: Render does not look whether it has changed.
	Static bool

	// LookupTimeout bounds each question to the resolver. Zero means ten seconds.
	LookupTimeout time.Duration

	Getenv    func(name string) string       // nil means os.Getenv
	Hostname  func() (string, error)         // nil means os.Hostname
	Interface func(name string) []netip.Addr // its addresses; nil asks the machine
	Now       func() time.Time               // for datetime; nil means time.Now
	Resolver  Resolver                       // nil means net.DefaultResolver
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
	source source
	opts   Options

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
	t := &Template{source: source{path, filepath.Base(path)}, opts: opts}
	t.run.opts, t.run.source, t.run.table = &t.opts, t.source, functions
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// Path returns the path that was given to Parse.
func (t *Template) Path() string { return t.source.path }

// Same reports whether other was parsed from the same path and the same text.
func (t *Template) Same(other *Template) bool {
	return t == other || t.source == other.source && t.current() == other.current()
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
	if info, err := os.Stat(t.source.path); err == nil && t.stamp.matches(info) {
		return nil
	}
	read := time.Now()
	text, info, err := readFile(t.source.path)
	if err != nil {
		return fmt.Errorf("reading template: %w", err)
	}
	if t.parsed == nil || text != t.text {
		parsed, err := t.run.parse(t.source.name, text)
		if err != nil {
			return t.run.parseError(t.source, text, err)
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
	var text bytes.Buffer // without a buffer beside it, as for io.Copy
	text.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := text.ReadFrom(f); err != nil {
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
	t.run.start(ctx, keys, t.parsed)
	defer t.run.end()
	out := output{ctx: ctx, buf: make([]byte, 0, t.size+t.size/8+64)}
	t.run.out = &out
	err := t.parsed.Execute(&out, nil)
	reads := t.run.store.reads.list()
	if ctxErr := ctx.Err(); ctxErr != nil { // then answers of the resolver may be missing
		return Output{}, fmt.Errorf("rendering %q: %w", t.source.path, ctxErr)
	}
	if err != nil {
		return Output{Reads: reads}, t.source.execError(err, t.opts.Secrets)
	}
	t.size = len(out.buf)
	return Output{Bytes: out.buf, Reads: reads}, nil
}

// A run is the state that the functions of one Template are bound to. It is filled in
// by start, for one Render, and emptied by end.
type run struct {
	opts   *Options
	source source     // of the template itself
	table  []Function // all functions; through here, since include is one of them

	ctx    context.Context // of the Render in progress
	store  store           // the keys of the Render in progress
	frames []frame         // the templates that the Render is in, from the outermost
	out    *output         // of the innermost

	parts    map[string]*part             // :: name → a file that was included
	files    map[string][sha256.Size]byte // :: name → sum of a file that the last Render has read
	patterns map[string]*regexp.Regexp    // :: expression → compiled
	hashes   map[[2]string]string         // :: salt and password → hash of bcrypt
}

// parse parses a text with all functions.
func (r *run) parse(name, text string) (*template.Template, error) {
	missing := r.opts.MissingKey
	if missing == "" {
		missing = "error"
	}
	funcs := r.bind(text)
	parsed, err := template.New(name).Funcs(funcs).Option("missingkey=" + missing).Parse(text)
	if err == nil {
		r.straighten(parsed, funcs)
	}
	return parsed, err
}

// bind returns the functions whose names occur in a text, bound to r. The others are
// left out to save memory: text/template copies the map for each template.
func (r *run) bind(text string) FuncMap {
	funcs := make(FuncMap)
	for _, f := range r.table {
		if strings.Contains(text, f.Name) {
			funcs[f.Name] = f.bind(r)
		}
	}
	for name, f := range r.opts.Funcs {
		funcs[name] = f
	}
	return funcs
}

func (r *run) start(ctx context.Context, keys backends.Keys, parsed *template.Template) {
	r.ctx = ctx
	r.frames = append(r.frames[:0], frame{parsed: parsed})
	r.files = nil
	r.store = newStore(keys, r.opts.Prefix)
}

func (r *run) end() {
	r.ctx = nil
	r.store = store{}
	r.frames, r.out = nil, nil
}
