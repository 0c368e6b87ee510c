// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"
)

// aMember is a member of a report.
func aMember(name, role, more string) string {
	return fmt.Sprintf(`{"id":"%[1]s1","name":"%[1]s","peerURLs":["http://%[1]s:7001"],"clientURLs":["http://127.0.0.1:1"],"version":"0.20.0","role":"%[2]s",%[3]s}`, name, role, more)
}

// TestCluster checks the table, the exit code, and what is said about the quorum.
func TestCluster(t *testing.T) {
	const well = `"answers":true,"etcdIndex":7,"ready":true,"behind":0`
	const silent = `"answers":false,"error":"x","ready":false,"behind":0`
	for _, test := range []struct {
		name    string
		leader  string
		members []string
		code    int
		want    []string // lines of the table, blanks as one
		err     string
	}{
		{"all well", "a1",
			[]string{aMember("b", "follower", well+`,"lastContact":0.128`), aMember("a", "leader", well), aMember("c", "standby", `"answers":true,"etcdIndex":3,"ready":true,"behind":1000`)}, exitOK,
			[]string{
				"NAME ID ROLE CLIENT VERSION INDEX LAG CONTACT STATE",
				"a a1 leader http://127.0.0.1:1 0.20.0 7 0 - ok",
				"b b1 follower http://127.0.0.1:1 0.20.0 7 0 130ms ok",
				"c c1 standby http://127.0.0.1:1 0.20.0 3 1000 - catching up",
			}, ""},
		{"one of three is silent, one has not started, one is new", "a1",
			[]string{aMember("b", "follower", silent), aMember("a", "leader", well), aMember("c", "follower", `"answers":true,"etcdIndex":2,"behind":1,"ready":false`),
				`{"id":"d1","name":"","peerURLs":["http://d:7001"],"clientURLs":[],"version":"","role":"","answers":false,"ready":false,"behind":0}`}, exitOK,
			[]string{
				"NAME ID ROLE CLIENT VERSION INDEX LAG CONTACT STATE",
				"- d1 - - - - - - not started; for http://d:7001",
				"a a1 leader http://127.0.0.1:1 0.20.0 7 0 - ok",
				"b b1 follower http://127.0.0.1:1 0.20.0 - - - does not answer",
				"c c1 follower http://127.0.0.1:1 0.20.0 2 1 - not ready",
			}, ""},
		{"two of three are silent", "",
			[]string{aMember("b", "follower", silent), aMember("a", "follower", well), aMember("c", "follower", silent)}, ctlUnhealthy, nil,
			"there is no leader: 1 of 3 members that vote answer, and it takes 2"},
		{"a leader that hears nobody", "a1",
			[]string{aMember("b", "follower", silent), aMember("a", "leader", well), aMember("c", "follower", silent)}, ctlUnhealthy, nil,
			"1 of 3 members that vote answer, and it takes 2"},
		{"a standby is no vote", "a1",
			[]string{aMember("a", "leader", well), aMember("b", "standby", silent)}, exitOK, nil, ""},
	} {
		f := newFakeStore(t, 200, fmt.Sprintf(`{"cluster":"c","self":"a1","leader":%q,"members":[%s]}`, test.leader, strings.Join(test.members, ",")))
		code, stdout, stderr := ctl(t, "", nil, "cluster", "--endpoints", f.url)
		if code != test.code || !strings.Contains(stderr, test.err) || (stderr == "") != (test.err == "") {
			t.Errorf("%s: exit code %d, want %d; %q, want %q", test.name, code, test.code, stderr, test.err)
		}
		for i, line := range strings.Split(strings.TrimSpace(stdout), "\n") {
			if got := strings.Join(strings.Fields(line), " "); test.want != nil && got != test.want[i] {
				t.Errorf("%s: line %d\n got %s\nwant %s", test.name, i, got, test.want[i])
			}
		}
		if code, stdout, _ := ctl(t, "", nil, "cluster", "-o", "json", "--endpoints", f.url); code != test.code || stdout != f.answer+"\n" {
			t.Errorf("%s: as JSON: %d, %q", test.name, code, stdout)
		}
	}
}

// TestClusterOfOthers asks what is no confd, and nobody.
func TestClusterOfOthers(t *testing.T) {
	f := newFakeStore(t, 404, "404 page not found\n")
	code, _, stderr := ctl(t, "", nil, "cluster", "--endpoints", f.url)
	if code != ctlFailure || !strings.Contains(stderr, "is not of confd") || !strings.Contains(stderr, "cluster-health") {
		t.Errorf("an etcd: %d, %q", code, stderr)
	}
	if code, _, stderr := ctl(t, "", nil, "cluster", "--endpoints", "127.0.0.1:1"); code != ctlNoServer {
		t.Errorf("nobody: %d, %q", code, stderr)
	}
}
