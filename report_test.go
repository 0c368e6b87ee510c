// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"confd/resource"
	"confd/template"
)

// TestReportForms holds both forms of one report.
func TestReportForms(t *testing.T) {
	results := []result{
		{Name: "a.toml", File: "/etc/a", Result: resultOK, Seconds: secondsOf(1234567 * time.Microsecond)},
		{Name: "b.toml", File: "/etc/b", Result: resultChanged},
		{Name: "c.toml", File: "/etc/c", Result: resultFailed, Errors: []string{"one <&> hunter2", "two"}},
	}
	secrets := &template.Secrets{}
	secrets.Add("hunter2")
	write := func(format string) string {
		var out strings.Builder
		p := &program{system: system{stdout: &out}, settings: &settings{Report: format}, secrets: secrets, began: time.Now().Add(-time.Minute)}
		if err := p.writeReport("check", results); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	var doc reportDocument
	if err := json.Unmarshal([]byte(write("json")), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Seconds < 60 || doc.Results[0].Seconds != 1.234 || doc.OK || doc.Command != "check" || len(doc.Results) != 3 || !reflect.DeepEqual(doc.Results[2].Errors, []string{"one <&> ********", "two"}) {
		t.Errorf("json: %+v", doc)
	}
	text := write("junit")
	var suites junitSuites
	if err := xml.Unmarshal([]byte(text), &suites); err != nil {
		t.Fatal(err)
	}
	failure := suites.Suite.Cases[2].Failure
	if !strings.HasPrefix(suites.Time, "6") || suites.Suite.Time != suites.Time || suites.Suite.Cases[0].Time != "1.234" || suites.Suite.Cases[1].Time != "0.000" ||
		suites.Tests != 3 || suites.Suite.Failures != 1 || failure == nil || failure.Message != "one <&> ********" || failure.Text != "one <&> ********\ntwo" ||
		suites.Suite.Cases[0].Failure != nil || suites.Suite.Cases[1].Output != "changed" {
		t.Errorf("junit: %s", text)
	}
	if got := write("json:-"); !strings.HasPrefix(got, "{\n") {
		t.Errorf("to -: %q", got)
	}
	results = nil
	if got := write("json"); !strings.Contains(got, `"results": []`) || !strings.Contains(got, `"ok": true`) {
		t.Errorf("nothing: %s", got)
	}
}

// TestOnetimeResults holds that all that went wrong is in the report, each once.
func TestOnetimeResults(t *testing.T) {
	failed := errors.New("no")
	statuses := []resource.Status{
		{Name: "a", Dest: "/a"}, {Name: "b", Dest: "/b", Writes: 1, RenderTook: time.Second, CheckTook: 20 * time.Millisecond, ReloadTook: time.Millisecond}, {Name: "c", Dest: "/c", Differs: true}, {Name: "d", Dest: "/d", Err: failed, ReloadErr: failed},
		{Name: "f", Dest: "/f", Err: errors.New("rolled back"), ReloadErr: failed},
	}
	broken := errors.Join(&resource.FileError{Path: "conf.d/e", Took: time.Second, Err: errors.Join(errors.New("e:1"), errors.New("e:2"))}, errors.New("all"))
	err := errors.Join(&resource.Error{Name: "d", Dest: "/d", Err: failed}, errors.New("the store"))
	got := onetimeResults(statuses, broken, err)
	want := []result{
		{"a", "/a", 0, resultOK, nil}, {"b", "/b", 1.021, resultChanged, nil}, {"c", "/c", 0, resultChanged, nil}, {"d", "/d", 0, resultFailed, []string{"no"}},
		{"f", "/f", 0, resultFailed, []string{"rolled back", "after the files were put back: no"}},
		{"conf.d/e", "conf.d/e", 1, resultFailed, []string{"e:1", "e:2"}}, {"confd", "", 0, resultFailed, []string{"all"}},
		{"confd", "", 0, resultFailed, []string{"the store"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}
