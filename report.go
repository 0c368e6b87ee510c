// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"confd/resource"
)

// reportFormats are the values of -report.
var reportFormats = []string{"json", "junit"}

// The results of a report.
const (
	resultOK      = "ok"
	resultChanged = "changed"
	resultFailed  = "failed"
)

// A result is what came of one resource, file or case.
type result struct {
	Name    string        `json:"name"`
	File    string        `json:"file,omitempty"` // that it is about
	Seconds reportSeconds `json:"seconds"`        // that it took
	Result  string        `json:"result"`
	Errors  []string      `json:"errors,omitempty"`
}

// A reportSeconds is a duration as reports have it, in whole milliseconds.
type reportSeconds float64

func secondsOf(d time.Duration) reportSeconds { return reportSeconds(float64(d.Milliseconds()) / 1000) }

func (s reportSeconds) String() string { return strconv.FormatFloat(float64(s), 'f', 3, 64) }

// A reportDocument is what -report json writes.
type reportDocument struct {
	Command string        `json:"command"`
	OK      bool          `json:"ok"`
	Seconds reportSeconds `json:"seconds"` // that the command took
	Results []result      `json:"results"`
}

// checkReport returns an error unless -report has a value that it can have.
func checkReport(spec string) error {
	format, _, _ := strings.Cut(spec, ":")
	if spec != "" && !slices.Contains(reportFormats, format) {
		return fmt.Errorf("unknown format of -report %q: want %s, and a file behind a colon if it is not for standard output", spec, strings.Join(reportFormats, " or "))
	}
	return nil
}

// writeReport writes the results as -report asks, with the secrets masked.
func (p *program) writeReport(command string, results []result) error {
	format, path, _ := strings.Cut(p.Report, ":")
	if format == "" {
		return nil
	}
	if results == nil {
		results = []result{}
	}
	for i := range results {
		for j, text := range results[i].Errors {
			results[i].Errors[j] = p.secrets.Mask(text)
		}
	}
	text, err := encodeReport(format, command, secondsOf(time.Since(p.began)), results)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if path == "" || path == "-" {
		_, err = p.stdout.Write(text)
	} else {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func encodeReport(format, command string, took reportSeconds, results []result) ([]byte, error) {
	if format == "junit" {
		return encodeJUnit(command, took, results)
	}
	ok := !slices.ContainsFunc(results, func(r result) bool { return r.Result == resultFailed })
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(reportDocument{command, ok, took, results})
	return b.Bytes(), err
}

// The elements of a JUnit report.
type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Time     string     `xml:"time,attr"` // seconds
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func encodeJUnit(command string, took reportSeconds, results []result) ([]byte, error) {
	suite := junitSuite{Name: "confd " + command, Tests: len(results), Time: took.String()}
	for _, r := range results {
		c := junitCase{Class: suite.Name, Name: r.Name, File: r.File, Time: r.Seconds.String()}
		switch r.Result {
		case resultFailed:
			suite.Failures++
			text := strings.Join(r.Errors, "\n")
			message, _, _ := strings.Cut(text, "\n")
			c.Failure = &junitFailure{message, text}
		case resultChanged:
			c.Output = r.Result
		}
		suite.Cases = append(suite.Cases, c)
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	err := enc.Encode(junitSuites{Tests: suite.Tests, Failures: suite.Failures, Time: suite.Time, Suite: suite})
	b.WriteByte('\n')
	return b.Bytes(), err
}

// onetimeResults returns what came of a run of -onetime: of each resource that was
// loaded, of each file that is broken, and what else went wrong.
func onetimeResults(statuses []resource.Status, broken, err error) []result {
	var results []result
	for _, st := range statuses {
		r := result{Name: st.Name, File: st.Dest, Result: resultOK, Seconds: secondsOf(st.RenderTook + st.CheckTook + st.ReloadTook)}
		switch {
		case st.Err != nil:
			r.Result, r.Errors = resultFailed, []string{st.Err.Error()}
			if st.ReloadErr != nil && st.ReloadErr.Error() != st.Err.Error() {
				r.Errors = append(r.Errors, "after the files were put back: "+st.ReloadErr.Error())
			}
		case st.Differs || st.Writes > 0:
			r.Result = resultChanged
		}
		results = append(results, r)
	}
	results = append(results, brokenResults(broken)...)
	if err == nil {
		return results
	}
	for _, e := range flatten(err) {
		if _, ok := errors.AsType[*resource.Error](e); !ok {
			results = append(results, result{Name: "confd", Result: resultFailed, Errors: []string{e.Error()}})
		}
	}
	return results
}

// brokenResults returns a result for each resource file that is broken. What is wrong
// with all of them, as a directory that is missing, has the name of confd.
func brokenResults(broken error) []result {
	var results []result
	for _, e := range fileErrors(broken) {
		r := result{Name: "confd", Result: resultFailed}
		if file, ok := errors.AsType[*resource.FileError](e); ok {
			r.Name, r.File, r.Seconds = file.Path, file.Path, secondsOf(file.Took)
		}
		for _, fault := range flatten(e) {
			r.Errors = append(r.Errors, fault.Error())
		}
		results = append(results, r)
	}
	return results
}

// fileErrors takes a joined error apart as far as the files.
func fileErrors(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, fileErrors(e)...)
	}
	return all
}
