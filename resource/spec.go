// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os/user"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	tmpl "confd/template"
)

// What a resource file may hold. The first keys are those of confd 0.16, and owner and
// group.
type resourceFile struct {
	Template *spec `toml:"template"`
}

type spec struct {
	Src       string      `toml:"src"`
	Dest      string      `toml:"dest"`
	Keys      []string    `toml:"keys"`
	Prefix    string      `toml:"prefix"`
	UID       *int        `toml:"uid"`
	GID       *int        `toml:"gid"`
	Owner     string      `toml:"owner"`
	Group     string      `toml:"group"`
	Mode      string      `toml:"mode"`
	CheckCmd  commandText `toml:"check_cmd"`
	ReloadCmd commandText `toml:"reload_cmd"`

	ReloadSignal string `toml:"reload_signal"`
	PIDFile      string `toml:"pid_file"`
	ReloadURL    string `toml:"reload_url"`
	ReloadMethod string `toml:"reload_method"`
	ReloadUnit   string `toml:"reload_unit"`

	Env           map[string]string `toml:"env"`
	Dir           string            `toml:"dir"`
	User          string            `toml:"user"`
	CheckTimeout  *time.Duration    `toml:"check_cmd_timeout"`
	ReloadTimeout *time.Duration    `toml:"reload_cmd_timeout"`

	Bundle    string         `toml:"bundle"`
	Wait      string         `toml:"wait"`
	Splay     *time.Duration `toml:"splay"`
	MinReload *time.Duration `toml:"min_reload_interval"`
	Rollback  bool           `toml:"rollback"`
	Backup    *int           `toml:"backup"`
	Required  []string       `toml:"required"`
	MinKeys   *int           `toml:"min_keys"`

	MissingKey string `toml:"missingkey"`
}

const (
	defaultCheckTimeout  = 30 * time.Second
	defaultReloadTimeout = 60 * time.Second
	unsetMode            = math.MaxUint32
)

// loadFile reads one resource file and its template.
func loadFile(file string, opts Options, with *shared) (*Resource, error) {
	var f resourceFile
	doc, found, err := decode(file, &f)
	if err != nil {
		return nil, err
	}
	if f.Template == nil {
		if found == nil {
			found = append(found, doc.fault("", "there is no [template] table"))
		}
		return nil, found.join()
	}
	l := loader{doc: doc, faults: found, spec: f.Template, wrong: make(map[string]bool), elsewhere: opts.Elsewhere}
	for _, fault := range found {
		l.wrong[fault.key] = true
	}
	r := &Resource{Path: file, opts: opts, shared: with, spec: f.Template, sys: osSystem{}, shell: runCommand}
	l.files(r)
	l.keys(r)
	l.guards(r)
	l.pace(r)
	l.history(r)
	users, groups := userID, groupID
	if opts.Elsewhere {
		users, groups = anyID, anyID
	}
	r.uid = l.id("uid", f.Template.UID, "owner", f.Template.Owner, users)
	r.gid = l.id("gid", f.Template.GID, "group", f.Template.Group, groups)
	r.mode = l.mode()
	l.commands(r)
	l.strict(r)
	r.destAt = doc.at("template.dest")
	return r, l.join()
}

// A loader turns the table of a file into a Resource, and notes what is wrong with it.
type loader struct {
	doc    *document
	spec   *spec
	faults faults
	wrong  map[string]bool // :: key whose value could not even be decoded

	elsewhere  bool           // Options.Elsewhere
	parsed     *tmpl.Template // nil if it could not be
	inTemplate error          // faults in the files of templates
}

func (l *loader) fault(key, format string, args ...any) {
	if !l.wrong["template."+key] {
		l.faults = append(l.faults, l.doc.fault("template."+key, format, args...))
	}
}

// missing is the fault of a required key. It is reported for the table.
func (l *loader) missing(key string) {
	if !l.wrong["template."+key] {
		l.faults = append(l.faults, l.doc.fault("template", "%s is missing in [template]", key))
	}
}

func (l *loader) files(r *Resource) {
	src := strings.TrimLeft(l.spec.Src, "/") // as confd 0.16, which joined it to the directory
	switch {
	case src == "":
		l.missing("src")
	case !filepath.IsLocal(src):
		l.fault("src", "src %q leads out of the templates directory; name a file below %q", l.spec.Src, r.opts.TemplateDir)
	default:
		r.Src = filepath.Join(r.opts.TemplateDir, src)
	}
	switch {
	case l.spec.Dest == "":
		l.missing("dest")
	case strings.HasSuffix(l.spec.Dest, "/"):
		l.fault("dest", "dest %q must name a file, not a directory", l.spec.Dest)
	default:
		dest, err := filepath.Abs(l.spec.Dest)
		if err != nil {
			l.fault("dest", "dest %q: %v", l.spec.Dest, err)
		}
		r.Dest = dest
	}
}

// keys sets prefix and keys as confd 0.16 did, and parses the template, which is shown
// keys without the prefix.
func (l *loader) keys(r *Resource) {
	prefix := l.spec.Prefix
	if r.opts.Prefix != "" {
		prefix = r.opts.Prefix
	}
	r.Prefix = path.Join("/", prefix)
	for _, key := range l.spec.Keys {
		r.Keys = append(r.Keys, path.Join("/", prefix, key))
	}
	if r.Src == "" {
		return
	}
	r.MissingKey = l.missingKey()
	parsed, err := tmpl.Parse(r.Src, tmpl.Options{Prefix: r.Prefix, Dir: r.opts.TemplateDir, Static: true, MissingKey: r.MissingKey, Secrets: r.opts.Secrets})
	r.source, l.parsed = parsed, parsed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.fault("src", "template %q does not exist; templates belong in %q", l.spec.Src, r.opts.TemplateDir)
	case isMistake(err):
		l.inTemplate = fmt.Errorf("%w; the template of %s", err, l.doc.at("template.src"))
	case err != nil:
		l.fault("src", "%v", err)
	}
}

// isMistake reports whether the error is about what a template says, at a place of its
// own, and not about reading it.
func isMistake(err error) bool {
	_, ok := errors.AsType[*tmpl.Error](err)
	return ok
}

// missingKey returns what comes of a field that a map in the template does not have.
func (l *loader) missingKey() string {
	switch given := l.spec.MissingKey; given {
	case "", "error", "zero", "default":
		return given
	default:
		l.fault("missingkey", "missingkey %q is not one of \"error\", \"zero\" and \"default\"", given)
		return ""
	}
}

// id returns a user or group id that is given by number or by name, and -1 if it is
// given by neither.
func (l *loader) id(numberKey string, number *int, nameKey, name string, lookup func(string) (int, error)) int {
	switch {
	case number != nil && name != "":
		l.fault(nameKey, "%s and %s are both given; keep one of them", numberKey, nameKey)
	case number != nil && (*number < 0 || *number >= math.MaxUint32):
		l.fault(numberKey, "%s must be a number from 0 on; leave it out to keep that of the file", numberKey)
	case number != nil:
		return *number
	case name != "":
		id, err := lookup(name)
		if err == nil {
			return id
		}
		hint := ""
		if _, err := strconv.Atoi(name); err == nil {
			hint = fmt.Sprintf("; for a number write %s = %s", numberKey, name)
		}
		l.fault(nameKey, "%s %q: %v%s", nameKey, name, err, hint)
	}
	return -1
}

func userID(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

func groupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// mode returns the mode bits: "0644", "644" and "0o644" are the same.
func (l *loader) mode() uint32 {
	s := l.spec.Mode
	if s == "" {
		return unsetMode
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "0o"), "0O")
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || n > 0o7777 || len(digits) < 3 {
		l.fault("mode", "mode %q is not an octal number such as \"0644\"", s)
		return unsetMode
	}
	return uint32(n)
}
