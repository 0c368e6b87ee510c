// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// write writes a file of the site.
func (s *site) write(name, text string) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644)
}

// A shown file is one template, in the words of confd and of consul-template.
type shown struct {
	name   string
	ours   string
	peers  string
	reload string // "" = none
	keys   string // that ours may read
}

// app is the template that shows the keys of one "/appN".
func app(n int) shown {
	return shown{
		name: fmt.Sprintf("r%d", n), keys: fmt.Sprintf("/app%d", n),
		ours:  fmt.Sprintf("{{range gets \"/app%d/*\"}}v{{.Value}}\n{{end}}", n),
		peers: fmt.Sprintf("{{range ls \"app%d\"}}v{{.Value}}\n{{end}}", n),
	}
}

// describe writes the templates of a site and what says where they go.
func (s *site) describe(all []shown) error {
	var hcl strings.Builder
	var errs []error
	for _, f := range all {
		text := f.ours
		if s.source == consul {
			text = f.peers
			fmt.Fprintf(&hcl, "template {\n source = \"templates/%[1]s\"\n destination = \"out/%[1]s\"\n", f.name)
			if f.reload != "" {
				fmt.Fprintf(&hcl, " command = %q\n", f.reload)
			}
			hcl.WriteString("}\n")
		} else {
			toml := fmt.Sprintf("[template]\nsrc = %[1]q\ndest = \"out/%[1]s\"\nkeys = [%[2]q]\n", f.name, f.keys)
			if f.reload != "" {
				toml += fmt.Sprintf("reload_cmd = %q\n", f.reload)
			}
			errs = append(errs, s.write("conf.d/"+f.name+".toml", toml))
		}
		errs = append(errs, s.write("templates/"+f.name, text))
	}
	return errors.Join(append(errs, s.write("peer.hcl", hcl.String()))...)
}

// apps returns the templates of so many "/appN".
func apps(n int) []shown {
	var all []shown
	for i := range n {
		all = append(all, app(i))
	}
	return all
}

// A placed tells when files have got their names in a folder.
type placed struct {
	inotify *os.File
	events  chan placing
}

// A placing is one file that was put in place.
type placing struct {
	name string
	at   time.Time
}

// watchPlaced watches a folder until it is closed.
func watchPlaced(dir string) (*placed, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	p := &placed{os.NewFile(uintptr(fd), "inotify"), make(chan placing, 1<<16)}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		return nil, errors.Join(err, p.inotify.Close())
	}
	go p.read() // ends with close
	return p, nil
}

func (p *placed) close() error { return p.inotify.Close() }

func (p *placed) read() {
	defer close(p.events)
	buf := make([]byte, 1<<16)
	for {
		n, err := p.inotify.Read(buf)
		if err != nil {
			return
		}
		at := time.Now()
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			end := unix.SizeofInotifyEvent + int(rest[12]) + int(rest[13])<<8 // the length of the name
			p.events <- placing{strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00"), at}
			rest = rest[end:]
		}
	}
}

// forget forgets the files of so far.
func (p *placed) forget() {
	for len(p.events) > 0 {
		<-p.events
	}
}

// errLate is the error of a file that does not come.
var errLate = errors.New("the file was not put in place within a minute")

// await returns when the file is put in place.
func (p *placed) await(ctx context.Context, name string) (time.Time, error) {
	return p.awaitAll(ctx, map[string]bool{name: true})
}

// awaitAll returns when the last of the files is put in place, which it takes out of the
// set.
func (p *placed) awaitAll(ctx context.Context, names map[string]bool) (time.Time, error) {
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	for {
		select {
		case e := <-p.events:
			if delete(names, e.name); len(names) == 0 {
				return e.at, nil
			}
		case <-timer.C:
			return time.Time{}, errLate
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}
