// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// commands sets what the resource has run: its check and its reload.
func (l *loader) commands(r *Resource) {
	r.CheckTimeout = l.timeout("check_cmd_timeout", l.spec.CheckTimeout, defaultCheckTimeout)
	r.ReloadTimeout = l.timeout("reload_cmd_timeout", l.spec.ReloadTimeout, defaultReloadTimeout)
	around := l.surroundings()
	if text := l.spec.CheckCmd; !text.empty() {
		try := values{src: "src", dest: r.Dest, keys: r.Keys, srcs: map[string]string{}}
		check, err := newCommandHook("check_cmd", text, around, try)
		if err != nil {
			l.fault("check_cmd", "%v; it may use {{.src}} and {{.dest}}, {{.srcs}}, {{.keys}} and {{.changed}}", err)
		} else {
			r.check, r.tellsChanged = check, check.mentions("changed")
		}
	}
	l.reload(r, around)
	if r.opts.SyncOnly || r.opts.Noop { // the commands are looked at, and never run
		r.check, r.reload = nil, nil
	}
}

// reload sets the one reload that is configured.
func (l *loader) reload(r *Resource, around surroundings) {
	var ways []string
	if !l.spec.ReloadCmd.empty() {
		ways = append(ways, "reload_cmd")
		r.reload = l.reloadCommand(r, around)
	}
	if l.spec.ReloadSignal != "" {
		ways = append(ways, "reload_signal")
		r.reload = l.reloadSignal()
	} else if l.spec.PIDFile != "" {
		l.fault("pid_file", "pid_file is for reload_signal, which is not given")
	}
	if l.spec.ReloadURL != "" {
		ways = append(ways, "reload_url")
		r.reload = l.reloadURL()
	} else if l.spec.ReloadMethod != "" {
		l.fault("reload_method", "reload_method is for reload_url, which is not given")
	}
	if l.spec.ReloadUnit != "" {
		ways = append(ways, "reload_unit")
		r.reload = l.reloadUnit()
	}
	if len(ways) > 1 {
		l.fault(ways[1], "%s are given; a resource has one reload", strings.Join(ways, " and "))
	}
}

// reloadCommand returns the hook of reload_cmd. Its .src is the destination, since the
// staged file has its name by then. A line that is no such template runs as it is
// written, as every one did in confd 0.16: some pass a template on (docker ps --format
// '{{.Names}}').
func (l *loader) reloadCommand(r *Resource, around surroundings) hook {
	text := l.spec.ReloadCmd
	if r.Dest == "" {
		return nil
	}
	// What is not the same for every run is a mark in what tells the hook from others.
	try := values{src: r.Dest, dest: r.Dest, keys: r.Keys, changed: []string{"\x00"}}
	h, err := newCommandHook("reload_cmd", text, around, try)
	if err == nil {
		r.tellsChanged = r.tellsChanged || h.mentions("changed")
		return h
	}
	if text.args != nil {
		l.fault("reload_cmd", "%v; it may use {{.dest}}, {{.keys}} and {{.changed}}", err)
		return nil
	}
	r.opts.Log.Warn("reload_cmd is not a template of .dest, .keys and .changed; it runs as it is written", "file", r.Path, "err", err)
	return literalHook(text.line, around)
}

func (l *loader) reloadSignal() hook {
	sig := signalByName(l.spec.ReloadSignal)
	switch {
	case sig == 0:
		l.fault("reload_signal", "reload_signal %q is not the name of a signal, such as \"HUP\" or \"USR2\"", l.spec.ReloadSignal)
	case l.spec.PIDFile == "":
		l.fault("reload_signal", "reload_signal needs pid_file, the file that has the number of the process")
	default:
		path, err := filepath.Abs(l.spec.PIDFile)
		if err == nil {
			return &signalHook{sig, path}
		}
		l.fault("pid_file", "pid_file: %v", err)
	}
	return nil
}

func (l *loader) reloadURL() hook {
	u, err := url.Parse(l.spec.ReloadURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		l.fault("reload_url", "reload_url is not an address such as \"http://127.0.0.1:8080/-/reload\"")
		return nil
	}
	method := l.spec.ReloadMethod
	if method == "" {
		method = http.MethodPost
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodGet}, method) {
		l.fault("reload_method", "reload_method %q: want POST, PUT or GET", method)
		return nil
	}
	return &urlHook{method, u}
}

func (l *loader) reloadUnit() hook {
	if name := l.spec.ReloadUnit; !strings.Contains(name, ".") || strings.ContainsAny(name, "/ ") {
		l.fault("reload_unit", "reload_unit %q is not the name of a unit, such as \"nginx.service\"", name)
		return nil
	}
	return &unitHook{l.spec.ReloadUnit}
}

// surroundings returns what the commands are to find.
func (l *loader) surroundings() surroundings {
	var s surroundings
	for name, value := range l.spec.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			l.fault("env", "env: %q cannot be the name of a variable", name)
		}
		s.env = append(s.env, name+"="+value)
	}
	slices.Sort(s.env)
	if l.spec.Dir != "" {
		dir, err := filepath.Abs(l.spec.Dir)
		if err != nil {
			l.fault("dir", "dir %q: %v", l.spec.Dir, err)
		}
		s.dir = dir
	}
	if l.spec.User != "" && !l.elsewhere {
		u, err := lookupAccount(l.spec.User)
		switch {
		case err != nil:
			l.fault("user", "user %q: %v", l.spec.User, err)
		case os.Geteuid() != 0 && int(u.uid) != os.Geteuid():
			l.fault("user", "user %q: only root can run commands as somebody else", l.spec.User)
		case os.Geteuid() == 0:
			s.user = u
		}
	}
	return s
}

func lookupAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	a := &account{name: u.Username, home: u.HomeDir}
	for i, text := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.ParseUint(text, 10, 32)
		switch {
		case err != nil:
			return nil, fmt.Errorf("id %q is not a number", text)
		case i == 0:
			a.uid = uint32(n)
		case i == 1:
			a.gid = uint32(n)
		default:
			a.groups = append(a.groups, uint32(n))
		}
	}
	return a, nil
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
