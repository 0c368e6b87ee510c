// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

const (
	maxDepth = 100      // of templates that include each other
	maxFile  = 16 << 20 // bytes of a file that a template reads
)

// A part is a template file that others include. It is parsed again when it has changed.
type part struct {
	source source
	stamp  stamp
	text   string
	parsed *template.Template
}

// A frame is a template that is being executed.
type frame struct {
	file   string // the name of the part; "" for the template itself
	parsed *template.Template
}

// include executes a template, with nil or one value as its data, and returns what it
// writes: one that a {{define}} of the same file names, else a file of the folder of
// templates.
func (r *run) include(name string, data ...any) (string, error) {
	if len(data) > 1 {
		return "", errors.New("include takes a name and at most one value; put several into a map")
	}
	if len(r.frames) == maxDepth {
		return "", fmt.Errorf("more than %d templates within each other", maxDepth)
	}
	top := r.frames[len(r.frames)-1]
	from := r.sourceOf(top.file)
	if defined := top.parsed.Lookup(name); defined != nil && name != from.name {
		return r.execute(frame{top.file, defined}, from, data)
	}
	p, err := r.part(filepath.Clean(name))
	if err != nil {
		return "", err
	}
	file := p.source.name
	for i, f := range r.frames {
		if f.file == file {
			var circle []string
			for _, f := range r.frames[i:] {
				circle = append(circle, f.file)
			}
			return "", fmt.Errorf("%q includes itself: %s", file, strings.Join(append(circle, file), " → "))
		}
	}
	return r.execute(frame{file, p.parsed}, p.source, data)
}

// sourceOf returns where the text of a frame comes from.
func (r *run) sourceOf(file string) source {
	if p := r.parts[file]; p != nil {
		return p.source
	}
	return r.source
}

func (r *run) execute(f frame, from source, data []any) (string, error) {
	outer, out := r.out, output{ctx: r.ctx}
	r.frames, r.out = append(r.frames, f), &out
	defer func() { r.frames, r.out = r.frames[:len(r.frames)-1], outer }()
	var dot any
	if len(data) > 0 {
		dot = data[0]
	}
	if err := f.parsed.Execute(&out, dot); err != nil {
		return "", from.execError(err, r.opts.Secrets)
	}
	return string(out.buf), nil
}

// part returns a file of the folder of templates, parsed.
func (r *run) part(name string) (*part, error) {
	text, s, err := r.read(name)
	if err != nil {
		return nil, err
	}
	p := r.parts[name]
	if p == nil {
		p = &part{source: source{path: filepath.Join(r.folder(), name), name: name}}
	}
	if p.parsed == nil || p.text != text {
		if p.parsed, err = r.parse(name, text); err != nil {
			return nil, r.parseError(p.source, text, err)
		}
		p.text = text
	}
	p.stamp = s
	if r.parts == nil {
		r.parts = make(map[string]*part)
	}
	r.parts[name] = p
	return p, nil
}

// folder returns the folder that holds the templates.
func (r *run) folder() string {
	if r.opts.Dir != "" {
		return r.opts.Dir
	}
	return filepath.Dir(r.source.path)
}

// Fresh reports whether the files that the last rendering has included or read are still
// what they were. That of the template itself does not count.
func (t *Template) Fresh() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, sum := range t.run.files {
		text, _, err := t.run.open(name)
		if err != nil || sha256.Sum256([]byte(text)) != sum {
			return false
		}
	}
	return true
}

// read returns the text of a file, and remembers that the rendering depends on it.
func (r *run) read(name string) (string, stamp, error) {
	text, s, err := r.open(name)
	if err != nil {
		return "", stamp{}, err
	}
	if r.files == nil {
		r.files = make(map[string][sha256.Size]byte)
	}
	r.files[name] = sha256.Sum256([]byte(text))
	return text, s, nil
}

// open returns the text of a file below the folder of templates. Neither ".." nor a
// symbolic link leads out of it: what a template writes into a file that others read
// must not come from elsewhere on the machine. A part that has not changed is not read.
func (r *run) open(name string) (string, stamp, error) {
	root, err := os.OpenRoot(r.folder())
	if err != nil {
		return "", stamp{}, fmt.Errorf("opening the folder of templates: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return "", stamp{}, r.outside(name, err)
	}
	if p := r.parts[name]; p != nil && p.stamp.matches(info) {
		return p.text, p.stamp, nil
	}
	if !info.Mode().IsRegular() { // opening a pipe would block
		return "", stamp{}, fmt.Errorf("%q is not a regular file", name)
	}
	read := time.Now()
	f, err := root.Open(name)
	if err != nil {
		return "", stamp{}, r.outside(name, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return "", stamp{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%q has more than %d bytes", name, maxFile)
	}
	return string(text), stamp{info, read}, err
}

// outside rewords the error for a file that is not there, or not to be read.
func (r *run) outside(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q does not exist below %q, where files of templates belong", name, r.folder())
	}
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		err = wrong.Err
	}
	return fmt.Errorf("%q cannot be read; templates read files below %q only: %w", name, r.folder(), err)
}

// file returns the content of a file.
func (r *run) file(name string) (string, error) {
	text, _, err := r.read(filepath.Clean(name))
	return text, err
}
