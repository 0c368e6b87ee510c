// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"confd/template"
)

// Options apply to all resources of a directory.
type Options struct {
	// Prefix replaces the prefix of each resource, as -prefix did in confd 0.16.
	// Empty means that each keeps its own.
	Prefix string

	// TemplateDir holds the templates. Empty means "templates" in the confdir.
	TemplateDir string

	// StateDir holds the markers of reloads that are due. It is created when it is
	// needed. Empty means that a due reload is forgotten when the process ends.
	StateDir string

	// Noop stops after rendering and comparing: nothing is checked, written or run.
	Noop bool

	// Show, with Noop, is called for each destination that would be replaced, by the
	// goroutine that has rendered it. Nil shows nothing.
	Show func(Change)

	// SyncOnly writes files and runs no command.
	SyncOnly bool

	// KeepStageFile keeps the staged file (".NAME.confd-RANDOM" beside the destination)
	// of the last attempt, failed or not, and logs its path. It is removed by the next
	// attempt of the process, or by the next process that applies the resource without
	// this option.
	KeepStageFile bool

	// Wait and Splay are for the resources that do not have their own. The zero values do
	// not wait.
	Wait  Window
	Splay time.Duration

	// Strict has LoadDir look for more than it needs: for mistakes in templates that only
	// some values lead to, and, unless Elsewhere is set, for programs of the commands and
	// directories of destinations that are not there.
	Strict bool

	// Elsewhere says that the resources are for another machine, as in CI: users and
	// groups are not looked up. Nothing must be applied then.
	Elsewhere bool

	// Secrets are told of the values that templates mark by the function secret. Nil
	// forgets them.
	Secrets *template.Secrets

	// WaitForDisk is called by each goroutine that is about to wait for the disk, to write a
	// file, and what it returns when it has; by many concurrently. Nil is not called.
	WaitForDisk func() (done func())

	// Log is told of each step. Nil discards.
	Log *slog.Logger
}

// A FileError holds all faults of one resource file, each as "file:line:column: …".
type FileError struct {
	Path string
	Err  error
	Took time.Duration // to read it and its template
}

func (e *FileError) Error() string { return e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// LoadDir reads all resources of a directory: each "*.toml" file in or below its
// "conf.d", in the order of their paths, with the templates in its "templates".
// Symbolic links are followed. Files and directories whose name begins with a dot are
// passed over, among them the "..data" of a Kubernetes volume, so that what it holds is
// loaded once.
//
// All faults of all files are returned at once, as an [errors.Join] of one [*FileError]
// per broken file, together with the resources of the files that are in order: the
// caller decides whether to go on with those. Of two resources with one destination
// the first is in order. A directory that is missing is an error; one without resource
// files is not.
func LoadDir(confDir string, opts Options) ([]*Resource, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.TemplateDir == "" {
		opts.TemplateDir = filepath.Join(confDir, "templates")
	}
	dir := filepath.Join(confDir, "conf.d")
	paths, err := findFiles(confDir, dir)
	errs := []error{err}
	if paths == nil && err != nil {
		return nil, err
	}
	var resources []*Resource
	owners := make(map[string]*Resource) // :: destination, as written and resolved → its resource
	files := loadFiles(paths, opts)
	for i, path := range paths {
		r, err, took := files[i].r, files[i].err, files[i].took
		if err == nil {
			err = claim(owners, r)
		} else if opts.Strict && r != nil && r.Dest != "" {
			err = errors.Join(err, claim(owners, r))
		}
		if err != nil {
			errs = append(errs, &FileError{Path: path, Err: err, Took: took})
			continue
		}
		r.Name = strings.TrimPrefix(path, dir+string(filepath.Separator))
		r.LoadTook = took
		r.log = opts.Log.With("resource", r.Name)
		r.status = Status{Name: r.Name, Dest: r.Dest, Bundle: r.Bundle}
		resources = append(resources, r)
	}
	return resources, errors.Join(errs...)
}

// A loaded file is what came of one.
type loadedFile struct {
	r    *Resource // nil if it could not even be read
	err  error
	took time.Duration
}

// loadFiles reads the files, as many at a time as there are processors.
func loadFiles(paths []string, opts Options) []loadedFile {
	files, with := make([]loadedFile, len(paths)), newShared(opts.WaitForDisk)
	beside(len(paths), runtime.GOMAXPROCS(0), func(i int) {
		began := time.Now()
		files[i].r, files[i].err = loadFile(paths[i], opts, with)
		files[i].took = time.Since(began)
	})
	return files
}

// claim notes r as the owner of its destination, unless there is one already.
func claim(owners map[string]*Resource, r *Resource) error {
	names := []string{r.Dest}
	if target, err := r.shared.paths.resolve(r.Dest); err == nil && target != r.Dest {
		names = append(names, target)
	}
	for _, name := range names {
		if other, ok := owners[name]; ok {
			return fmt.Errorf("%s: dest %q is already that of %s; two resources cannot write one file", r.destAt, r.Dest, other.Path)
		}
	}
	for _, name := range names {
		owners[name] = r
	}
	return nil
}

// findFiles returns the resource files below dir in the order of their paths. Of what
// cannot be read, the error tells; the files are nil if that is dir itself.
func findFiles(confDir, dir string) ([]string, error) {
	if _, err := os.Stat(confDir); err != nil {
		return nil, missing("confdir", confDir, "it holds conf.d and templates; name another with -confdir", err)
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, missing("directory", dir, "resource files (*.toml) belong there", err)
	}
	f := finder{files: []string{}}
	f.walk(dir, nil)
	return f.files, errors.Join(f.errs...)
}

func missing(what, path, hint string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return absent("%s %q does not exist; %s", what, path, hint)
	}
	return fmt.Errorf("reading %s: %w", what, err)
}

// An absence is [fs.ErrNotExist], in words that say what does not exist.
type absence string

func absent(format string, args ...any) error { return absence(fmt.Sprintf(format, args...)) }

func (a absence) Error() string      { return string(a) }
func (absence) Is(target error) bool { return target == fs.ErrNotExist }

type finder struct {
	files []string
	errs  []error
}

// walk adds the files below dir. The parents end a circle of symbolic links.
func (f *finder) walk(dir string, parents []os.FileInfo) {
	own, err := os.Stat(dir)
	if err != nil {
		f.errs = append(f.errs, &FileError{Path: dir, Err: fmt.Errorf("reading directory: %w", err)})
		return
	}
	for _, parent := range parents {
		if os.SameFile(parent, own) {
			return
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.errs = append(f.errs, &FileError{Path: dir, Err: fmt.Errorf("reading directory: %w", err)})
		return
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			f.walk(path, append(parents[:len(parents):len(parents)], own))
		case filepath.Ext(path) != ".toml":
		case err != nil:
			f.errs = append(f.errs, &FileError{Path: path, Err: fmt.Errorf("reading resource file: %w", err)})
		default:
			f.files = append(f.files, path)
		}
	}
}
