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
// # Sets, reloads, lanes
//
// What goes through these steps as one is a set: the resources of one bundle, or one
// alone. What a set owes to a service is a reload, which is told from others by what it
// does; sets that have the same share it, so that it runs once for all that a pass has
// written. Sets that share reloads are a lane, and each lane has one goroutine:
//
//	wait for news ─► look at a snapshot ─► sets with news stir ─► those that have
//	     ▲                                                        settled, or are to
//	     │                                                        be tried again:
//	     │                                                              │
//	     └── reloads that are due ◄── replace all or none ◄── check ◄── render
//	              │        ▲
//	              └────────┴── a failure, with rollback: the earlier files are put back
//
// Sets of one lane that run no check are applied beside each other, and so are lanes
// without any command by Once; what runs commands keeps the order of the files. Those that
// sync the same directory at the same time share a sync that begins after all of them have
// renamed.
//
// While a set settles (wait, splay) its lane goes on looking, and renders nothing. A
// reload that may not run yet (min_reload_interval, a file that is not whole) stays due.
//
// A destination is replaced in this order of system calls, all in its own directory:
//
//	open    .NAME.confd-RANDOM   O_CREAT|O_EXCL, mode 0600
//	fchown, fchmod               before the content is there, let alone the name
//	write, fsync
//	check_cmd                    with .src, the staged file
//	copy    STATE/backup/…       the old file, if earlier versions are kept
//	open    STATE/pending/HASH   "a reload is due", if there is a reload
//	rename  to NAME
//	fsync   the directory        beside the reload, if there is one
//	reload                       once for all resources of the pass that have the same
//	unlink  STATE/pending/HASH
//
// In a set of several, each step is done for all before the next one; before the first
// rename the old files are staged too, so that putting one back takes no more than replacing
// it did.
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
// Several files cannot be replaced at one moment. Between two renames of a set a reader
// may see one new and one old file; the reload comes after the last. If the process dies
// there, the marker says that the set is not whole, and no reload runs until an attempt
// has got through.
//
// What was rolled back is known by the digest of its content, and not by the index of
// the snapshot: an index grows with every key of the store, and the same content would
// be tried again with each. The digests are kept in STATE/rejected. Without a state
// directory there is no rollback. A reload that was cut off because the process ends is
// no failure.
//
// The words bundle and group: group has been the group of the file in every confd that
// had the word.
//
// A template is read together with its resource, and not looked at by the rendering: if
// either is broken, the version of before goes on whole.
//
// A signal to a process that is not there, and a unit that is not active, are success:
// the service will read the file when it starts. An error would keep a first version
// from ever being written where there is a rollback.
//
// A check that runs when the process is told to stop is killed: nothing is written yet.
// A reload is waited for, up to Config.StopTimeout.
//
// Reading a key does not make a resource depend on its siblings: after each rendering
// the resource waits for the keys that were read (template.Output.Reads) and for no
// others.
package resource

import (
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
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
	Bundle string   // it is applied as one with the others of this name; "" = alone

	Required []string // absolute keys without which nothing is rendered
	MinKeys  int      // so many keys must be there

	MissingKey string // as for package template; "" = error

	CheckTimeout  time.Duration // of one run
	ReloadTimeout time.Duration // of one run
	LoadTook      time.Duration // to read its file and template

	opts      Options
	shared    *shared
	destAt    string // where dest stands, as "file:line:column"
	spec      *spec
	uid       int    // -1 = not configured
	gid       int    // -1 = not configured
	mode      uint32 // permission and set-id bits; unsetMode = not configured
	source    *tmpl.Template
	check     hook // nil = none
	reload    hook // nil = none
	wait      Window
	splay     time.Duration
	minReload time.Duration // between two reloads
	rollback  bool
	backup    int // earlier versions that are kept
	sys       system
	shell     shell
	log       *slog.Logger

	retry atomic.Bool // what was rolled back is to be tried again

	// Owned by the goroutine that applies the resource.
	owing
	waits        []string      // what the last rendering read; nil = Keys
	tellsChanged bool          // a command asks which keys have changed
	written      backends.Keys // what the destination was made from; only if tellsChanged
	owed         []string      // the keys that have changed since the last reload; only if tellsChanged
	started      bool          // leftovers and the marker of an earlier process were looked for
	leftover     []string      // staged files that could not be removed
	kept         string        // the staged file of the last attempt, with Options.KeepStageFile
	stale        bool          // a marker that could not be removed
	unsynced     string        // the directory that is still to be synced
	settling     chan error    // what its sync, which is under way, comes to; nil = none is
	warned       bool          // that the marker cannot be written
	failures     int           // of its set, in a row

	mu     sync.Mutex
	status Status
}

// A Status tells how far a resource has come. The indexes are those of snapshots of
// the backend; each is of the newest snapshot for which the step has been done.
type Status struct {
	Name   string // of the resource
	Dest   string
	Bundle string

	Seen     uint64
	Rendered uint64
	Checked  uint64
	Written  uint64
	Reloaded uint64

	SeenAt    time.Time // when a snapshot was last read for it
	WrittenAt time.Time // when the file was last replaced by this process

	RenderTook time.Duration // the last time
	CheckTook  time.Duration // the last time
	ReloadTook time.Duration // the last time

	Writes         uint64 // by this process
	Reloads        uint64
	ReloadFailures uint64
	Rollbacks      uint64

	Done     bool      // the resource has been up to date before, in this process
	Pending  bool      // a reload is due
	Differs  bool      // with Options.Noop: the destination would be replaced
	Err      error     // of the last attempt; nil if it succeeded
	Failures int       // attempts that have failed in a row
	Retry    time.Time // of the next attempt, if the last one failed; zero if it was rolled back, which is not tried again

	ReloadErr   error     // of the last reload, nil if it succeeded; after a rollback, of that of the file put back
	ReloadRetry time.Time // of its next run, if it failed

	Broken error // why its files cannot be used as they are now, while their version of before goes on
}

// Status returns how far the resource has come. It may be called at any time. The error
// in it has no secrets of templates.
func (r *Resource) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.status
	st.Err, st.ReloadErr = masked(st.Err, r.opts.Secrets), masked(st.ReloadErr, r.opts.Secrets)
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

// sameAs reports whether other was loaded from the same description and template.
func (r *Resource) sameAs(other *Resource) bool {
	return r.Path == other.Path && r.Src == other.Src && r.Dest == other.Dest &&
		r.Prefix == other.Prefix && r.uid == other.uid && r.gid == other.gid &&
		r.wait == other.wait && r.splay == other.splay &&
		reflect.DeepEqual(r.spec, other.spec) && r.source.Same(other.source) && r.source.Fresh()
}

// inherit takes over what an earlier version of the resource, with the same
// destination, has left to do.
func (r *Resource) inherit(old *Resource) {
	r.owing, r.owed, r.kept = old.owing, old.owed, old.kept
	r.started, r.unsynced, r.leftover, r.stale, r.warned = old.started, old.unsynced, old.leftover, old.stale, old.warned
	r.resemble(old)
}

// resemble has the status of r begin with that of an earlier version.
func (r *Resource) resemble(old *Resource) {
	last := old.Status()
	r.mu.Lock()
	defer r.mu.Unlock()
	last.Name, last.Bundle, last.Broken = r.Name, r.Bundle, r.status.Broken
	r.status = last
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
