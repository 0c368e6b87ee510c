// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"confd/resource"
)

// daemonCommands are about the files of this machine, and not about a store. They take
// the options of the daemon beside their own flags, and find the same files by them.
func daemonCommands() []command {
	return []command{
		{
			name: "status", daemon: true, refused: ctlFailure,
			help:     "print how far the files of a daemon are",
			detail:   "It asks the -status-addr of the daemon, which it finds in CONFD_STATUS_ADDR and confd.toml too. -o json prints what the daemon says. The exit code is 0 if all files are up to date and no edit is broken, else 5; 2 if the daemon does not answer.",
			examples: []example{{"How the files are", "confd status -status-addr 127.0.0.1:4080"}},
			notRun:   true,
			run:      runStatus,
		},
		{
			name: "rollback", args: "DEST", min: 1, max: 1, few: "Provide the file to put back", daemon: true, refused: ctlFailure,
			help: "put the earlier version of a file back, and reload",
			flags: []ctlFlag{
				{name: "list", help: "print the versions that are kept, the newest first, and change nothing"},
				{name: "to", arg: "VERSION", help: "the version to put back, if it is not to be the last one; later ones are dropped"},
			},
			detail: "The resource must have backup or rollback. Of a bundle all files are put back. A daemon leaves the files alone until the keys or the template make something new of them, or SIGHUP asks it to try again.",
			examples: []example{
				{"What there is", "confd rollback --list /etc/nginx/nginx.conf"},
				{"Back to the last version", "confd rollback /etc/nginx/nginx.conf"},
			},
			notRun: true,
			run:    runRollback,
		},
	}
}

// daemonSettings returns the settings that a daemon would have, by the options among the
// arguments.
func (c *call) daemonSettings() (*settings, error) {
	s, err := loadSettings(c.options, c.machine)
	if err != nil {
		return nil, &ctlError{ctlFailure, err}
	}
	return s, nil
}

func runStatus(ctx context.Context, c *call) error {
	s, err := c.daemonSettings()
	if err != nil {
		return err
	}
	if s.StatusAddr == "" {
		return hint(failure("no daemon to ask"), "name its address: confd status -status-addr HOST:PORT, or CONFD_STATUS_ADDR, or status-addr in confd.toml")
	}
	text, err := fetch(ctx, "http://"+reachable(s.StatusAddr)+"/status")
	if err != nil {
		return &ctlError{ctlNoServer, err}
	}
	var page statusPage
	if err := json.Unmarshal(text, &page); err != nil {
		return &ctlError{ctlNoServer, fmt.Errorf("%s does not answer as a daemon does: %w", s.StatusAddr, err)}
	}
	if c.form == "json" {
		c.say("%s", strings.TrimSpace(string(text)))
	} else {
		writeStatus(c.out, page, time.Now())
	}
	if !page.UpToDate {
		return &ctlError{code: ctlUnhealthy}
	}
	return nil
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the daemon: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the daemon: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the daemon: %s: %w", url, err)
	}
	return text, nil
}

// writeStatus prints the table. A row that is not in order has its reason below it.
func writeStatus(w io.Writer, page statusPage, now time.Time) {
	backend := "reachable"
	if !page.Backend.Reachable {
		backend = fmt.Sprintf("not reachable for %v: %s", (time.Duration(page.Backend.Age) * time.Second).String(), oneLine(page.Backend.Error))
	}
	fmt.Fprintf(w, "confd %s, backend %s %s\n", page.Version, page.Backend.Name, backend)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "RESOURCE\tSTATE\tSEEN\tRENDERED\tCHECKED\tWRITTEN\tRELOADED\tDEST")
	for _, r := range page.Resources {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", r.Name, r.State, r.Seen, r.Rendered, r.Checked, r.Written, r.Reloaded, r.Dest)
	}
	table.Flush()
	for _, b := range page.Broken {
		writeBroken(w, b, now)
	}
	for _, r := range page.Resources {
		if r.Error == "" {
			continue
		}
		next := "not tried again by itself"
		if r.Retry != nil {
			next = "tried again " + in(*r.Retry, now)
		}
		fmt.Fprintf(w, "%s: failed %s, %s: %s\n", r.Name, plural(r.Failures, "time"), next, oneLine(r.Error))
		if r.ReloadRetry != nil && r.ReloadError != r.Error { // of the file that is in place, as after a rollback
			fmt.Fprintf(w, "%s: the reload of the version that is in place is tried again %s: %s\n", r.Name, in(*r.ReloadRetry, now), oneLine(r.ReloadError))
		}
	}
}

// in says when something is to come.
func in(t, now time.Time) string {
	return fmt.Sprintf("in %v", max(t.Sub(now), 0).Round(time.Second))
}

// writeBroken tells of a file that an edit has broken.
func writeBroken(w io.Writer, b brokenStatus, now time.Time) {
	name, earlier := b.File, "there is no earlier version"
	if b.EarlierVersion {
		name, earlier = strings.Join(b.Resources, ", "), "the earlier version keeps working"
	}
	fmt.Fprintf(w, "%s: edit broken for %v, %s: %s\n", name, max(now.Sub(b.Since), 0).Round(time.Second), earlier, oneLine(strings.Join(b.Errors, " | ")))
}

func runRollback(ctx context.Context, c *call) error {
	s, err := c.daemonSettings()
	if err != nil {
		return err
	}
	p := makeProgram(c.system, s)
	resources, broken := p.load()
	p.logBroken(broken)
	runner := resource.NewRunner(resource.Config{Resources: resources, StopTimeout: s.pace.stopTimeout, Log: p.log})
	dest, err := filepath.Abs(c.args[0])
	if err != nil {
		return failure("%w", err)
	}
	if !slices.ContainsFunc(resources, func(r *resource.Resource) bool { return r.Dest == dest }) {
		return hint(failure("no resource has the destination %q", dest), "the resources are read from %s; name another directory with -confdir", filepath.Join(s.ConfDir, "conf.d"))
	}
	earlier, err := runner.Earlier(dest)
	if err != nil {
		return &ctlError{ctlFailure, err}
	}
	if c.on("list") {
		for _, e := range earlier {
			size := fmt.Sprintf("%d bytes", e.Size)
			if e.Absent {
				size = "no file"
			}
			c.say("%s  until %s  %s", e.Version, e.Until.Local().Format("2006-01-02 15:04:05"), size)
		}
		return nil
	}
	err = runner.RollBack(ctx, dest, c.text("to"))
	if errors.Is(err, resource.ErrNoVersion) {
		return hint(&ctlError{ctlFailure, err}, "confd rollback --list %s", dest)
	}
	if err != nil {
		return &ctlError{ctlFailure, err}
	}
	return nil
}
