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
	"text/template"
	"time"

	tmpl "confd/template"
)

// What a resource file may hold. The keys are those of confd 0.16, and owner, group
// and the two timeouts.
type resourceFile struct {
	Template *spec `toml:"template"`
}

type spec struct {
	Src           string         `toml:"src"`
	Dest          string         `toml:"dest"`
	Keys          []string       `toml:"keys"`
	Prefix        string         `toml:"prefix"`
	UID           *int           `toml:"uid"`
	GID           *int           `toml:"gid"`
	Owner         string         `toml:"owner"`
	Group         string         `toml:"group"`
	Mode          string         `toml:"mode"`
	CheckCmd      string         `toml:"check_cmd"`
	ReloadCmd     string         `toml:"reload_cmd"`
	CheckTimeout  *time.Duration `toml:"check_cmd_timeout"`
	ReloadTimeout *time.Duration `toml:"reload_cmd_timeout"`
	MissingKey    string         `toml:"missingkey"`
}

const (
	defaultCheckTimeout  = 30 * time.Second
	defaultReloadTimeout = 60 * time.Second
	unsetMode            = math.MaxUint32
)

// loadFile reads one resource file and its template.
func loadFile(file string, opts Options) (*Resource, error) {
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
	l := loader{doc: doc, faults: found, spec: f.Template, wrong: make(map[string]bool)}
	for _, fault := range found {
		l.wrong[fault.key] = true
	}
	r := &Resource{Path: file, opts: opts, sys: osSystem{}, shell: runShell}
	l.files(r)
	l.keys(r)
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
	parsed, err := tmpl.Parse(r.Src, tmpl.Options{Prefix: r.Prefix, Dir: r.opts.TemplateDir, MissingKey: r.MissingKey, Secrets: r.opts.Secrets})
	r.source, l.parsed = parsed, parsed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.fault("src", "template %q does not exist; templates belong in %q", l.spec.Src, r.opts.TemplateDir)
	case err != nil:
		l.fault("src", "%v", err)
	}
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

func (l *loader) commands(r *Resource) {
	r.CheckTimeout = l.timeout("check_cmd_timeout", l.spec.CheckTimeout, defaultCheckTimeout)
	r.ReloadTimeout = l.timeout("reload_cmd_timeout", l.spec.ReloadTimeout, defaultReloadTimeout)
	if r.CheckCmd = l.spec.CheckCmd; r.CheckCmd != "" {
		var err error
		if r.check, err = parseCommand("check_cmd", r.CheckCmd); err == nil {
			_, err = expand(r.check, "src", r.Dest)
		}
		if err != nil {
			l.fault("check_cmd", "%v; it may use {{.src}} and {{.dest}}", err)
		}
	}
	if r.ReloadCmd = l.spec.ReloadCmd; strings.Contains(r.ReloadCmd, "{{") && r.Dest != "" {
		r.ReloadCmd = expandReload(r)
	}
	if r.opts.SyncOnly || r.opts.Noop { // the commands are looked at, and never run
		r.CheckCmd, r.ReloadCmd, r.check = "", "", nil
	}
}

// expandReload fills {{.src}} and {{.dest}} of a reload command in; both are the
// destination, since the staged file has its name by then. A command that is no such
// template runs as it is written, as every one did in confd 0.16: some pass a template
// on (docker ps --format '{{.Names}}').
func expandReload(r *Resource) string {
	t, err := parseCommand("reload_cmd", r.ReloadCmd)
	if err == nil {
		var text string
		if text, err = expand(t, r.Dest, r.Dest); err == nil {
			return text
		}
	}
	r.opts.Log.Warn("reload_cmd is not a template of .src and .dest; it runs as it is written", "file", r.Path, "err", err)
	return r.ReloadCmd
}

func (l *loader) timeout(key string, given *time.Duration, fallback time.Duration) time.Duration {
	if given == nil {
		return fallback
	}
	if *given <= 0 {
		l.fault(key, "%s must be longer than nothing, such as %q", key, fallback)
	}
	return *given
}

func parseCommand(name, text string) (*template.Template, error) {
	return template.New(name).Option("missingkey=error").Parse(text)
}

func expand(t *template.Template, src, dest string) (string, error) {
	var b strings.Builder
	err := t.Execute(&b, map[string]string{"src": src, "dest": dest})
	return b.String(), err
}
