// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package resource keeps destination files equal to their templates.
//
// A [Resource] is one destination: a file, the template it is rendered from, the keys
// the template may read, and the commands that check the file and reload the service
// that reads it. [LoadDir] reads them from a directory. A [Runner] applies them, once
// or for as long as the values change:
//
//	resources, err := resource.LoadDir("/etc/confd", resource.Options{Log: log})
//	runner := resource.NewRunner(resource.Config{Backend: b, Resources: resources, Log: log})
//	err = runner.Follow(ctx)
//
// # A resource's life
//
// Each step of a resource has an index of its own, that of the newest snapshot it has
// been done for (see [Status]):
//
//	seen      a snapshot was read
//	rendered  the template was executed
//	checked   check_cmd accepted the staged file, or nothing had to be checked
//	written   the destination has the rendered bytes, owner and mode
//	reloaded  reload_cmd has succeeded since the destination was last written
//
// A step that fails is tried again, with a growing delay, until all have reached the
// newest snapshot; no change of a key is needed for that. A reload that is due is
// state of its own, kept in a file across restarts, and never concluded from "the file
// differs".
//
// A destination is replaced in this order of system calls, all in its own directory:
//
//	open    .NAME.confd-RANDOM   O_CREAT|O_EXCL, mode 0600
//	fchown, fchmod               before the content is there, let alone the name
//	write, fsync
//	check_cmd                    with .src, the staged file
//	open    STATE/pending/HASH   "a reload is due", if there is a reload_cmd
//	rename  to NAME
//	fsync   the directory
//	reload_cmd                   once for all resources of the pass that have the same
//	unlink  STATE/pending/HASH
//
// # Decisions
//
// Owner and mode that are not configured are those of the existing file; a new file
// gets mode 0644 and the effective ids of the process. confd 0.16 gave an existing file
// to the effective ids, which took files from their owners. Where a process may not
// keep the owner (it is not root), the file becomes its own, as it did with 0.16. An
// owner or a mode that is configured and cannot be set fails the resource.
//
// The mode is octal with or without a leading zero. confd 0.16 read "644" as decimal.
//
// A destination that is a symbolic link is written through: the file it points to is
// replaced in its own directory. A rename would have replaced the link. In a directory
// where everybody may create files (/tmp), a link of another user is refused, and a file
// of another user hands neither its owner nor its mode on.
//
// A destination that cannot be replaced by a rename, because it is a mount point
// (EBUSY) or on another file system (EXDEV), is rewritten in place, with owner and
// mode. That is not atomic: a reader may see a part. While a rewrite has failed half
// way, the reload command is held back, and so is one that others share; it runs once
// the file is whole again.
//
// The marker of a due reload is not synced to disk. It has to survive the death of this
// process, not that of the machine: after that the service has been started anew and
// has read the file that is there.
//
// A check that runs when the process is told to stop is killed: nothing is written yet.
// A reload is waited for, up to Config.StopTimeout.
//
// Reading a key does not make a resource depend on its siblings: after each rendering
// the resource waits for the keys that were read (template.Output.Reads) and for no
// others.
package resource

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"text/template"
	"time"

	"confd/backends"
	tmpl "confd/template"
)

// A Resource is one destination, as its file describes it. The exported fields are set
// by [LoadDir] and do not change. A Resource belongs to one [Runner].
type Resource struct {
	Path   string   // of the file that describes it
	Name   string   // that path below conf.d: what people know the resource by
	Src    string   // path of the template
	Dest   string   // absolute path of the destination, as written; it may be a symbolic link
	Prefix string   // absolute; the template sees keys without it
	Keys   []string // absolute and clean, the prefix included: all the template may read

	MissingKey string // as for package template; "" = error

	CheckCmd      string        // as written; "" = none
	CheckTimeout  time.Duration // of one run
	ReloadCmd     string        // expanded; "" = none
	ReloadTimeout time.Duration // of one run

	opts   Options
	destAt string // where dest stands, as "file:line:column"
	uid    int    // -1 = not configured
	gid    int    // -1 = not configured
	mode   uint32 // permission and set-id bits; unsetMode = not configured
	source renderer
	check  *template.Template
	sys    system
	shell  shell
	log    *slog.Logger

	// Owned by the goroutine that applies the resource.
	waits    []string // what the last rendering read; nil = Keys
	started  bool     // leftovers and the marker of an earlier process were looked for
	pending  bool     // a reload is due
	tried    bool     // the due reload has been tried, and has failed
	torn     bool     // a rewrite in place has failed half way
	leftover []string // staged files that could not be removed
	kept     string   // the staged file of the last attempt, with Options.KeepStageFile
	stale    bool     // a marker that could not be removed
	unsynced string   // the directory that is still to be synced
	warned   bool     // that the marker cannot be written
	failures int      // in a row
	retryAt  time.Time

	mu     sync.Mutex
	status Status
}

// A Status tells how far a resource has come. The indexes are those of snapshots of
// the backend; each is of the newest snapshot for which the step has been done.
type Status struct {
	Name string // of the resource
	Dest string

	Seen     uint64
	Rendered uint64
	Checked  uint64
	Written  uint64
	Reloaded uint64

	Writes uint64 // of the destination, by this process

	Pending  bool      // a reload is due
	Differs  bool      // with Options.Noop: the destination would be replaced
	Err      error     // of the last attempt; nil if it succeeded
	Failures int       // attempts that have failed in a row
	Retry    time.Time // of the next attempt, if the last one failed
}

// Status returns how far the resource has come. It may be called at any time. The error
// in it has no secrets of templates.
func (r *Resource) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.status
	st.Err = masked(st.Err, r.opts.Secrets)
	return st
}

// update changes the status under its lock.
func (r *Resource) update(f func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.status)
	r.status.Pending = r.pending
}

// waitsFor returns the prefixes whose keys the resource depends on.
func (r *Resource) waitsFor() []string {
	if r.waits == nil {
		return r.Keys
	}
	return r.waits
}

// sameAs reports whether other was loaded from the same description. The templates are
// not compared: each reads its file again when that has changed.
func (r *Resource) sameAs(other *Resource) bool {
	return r.Path == other.Path && r.Src == other.Src && r.Dest == other.Dest &&
		r.Prefix == other.Prefix && slices.Equal(r.Keys, other.Keys) &&
		r.MissingKey == other.MissingKey && r.uid == other.uid && r.gid == other.gid && r.mode == other.mode &&
		r.CheckCmd == other.CheckCmd && r.CheckTimeout == other.CheckTimeout &&
		r.ReloadCmd == other.ReloadCmd && r.ReloadTimeout == other.ReloadTimeout
}

// narrow returns the part of reads that lies within keys. A template may ask for "/"
// while it is shown only what is below its keys.
func narrow(reads, keys []string) []string {
	if reads == nil {
		return nil
	}
	within := []string{}
	for _, key := range keys {
		for _, read := range reads {
			switch {
			case backends.Within(read, key):
				within = append(within, read)
			case backends.Within(key, read):
				within = append(within, key)
			}
		}
	}
	return backends.Minimal(within)
}

// A renderer is a parsed template.
type renderer interface {
	Render(ctx context.Context, keys backends.Keys) (tmpl.Output, error)
}
