// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestMask(t *testing.T) {
	pem := "-----BEGIN KEY-----\nAAAABBBB\nx\n-----END KEY-----\n"
	for _, test := range []struct {
		secrets []string
		text    string
		want    string
	}{
		{nil, "all", "all"},
		{[]string{"hunter2"}, "pw=hunter2; again hunter2", "pw=********; again ********"},
		{[]string{"hunter2"}, "xhunter2x", "x********x"},
		{[]string{"", " ", "\n"}, "a b", "a b"},
		{[]string{"1"}, "a=1 b=10 c=21 d=1.", "a=******** b=10 c=21 d=********."},
		{[]string{"abc"}, "abc abcd xabc", "******** abcd xabc"},
		{[]string{"é"}, "é éa (é)", "******** éa (********)"},
		{[]string{"abcd", "cdef"}, "abcdef", "********"},
		{[]string{"secret", "secretive"}, "secretive secret", "******** ********"},
		{[]string{"abcdabcd"}, "abcdabcdabcd", "********"},
		{[]string{`a"b\c`}, `"a\"b\\c"`, `"********"`},
		{[]string{"a&b<c"}, "a&amp;b&lt;c a%26b%3Cc", "******** ********"},
		{[]string{"a b/c"}, "a+b%2Fc a%20b%2Fc", "******** ********"},
		{[]string{"hunter2"}, base64.StdEncoding.EncodeToString([]byte("hunter2")), "********=="},
		{[]string{pem}, pem, "********"},
		{[]string{pem}, "+  AAAABBBB", "+  ********"},
		{[]string{pem}, "-----END KEY----- | AAAABBBB | x", "******** | ******** | x"},
	} {
		s := &Secrets{}
		for _, secret := range test.secrets {
			s.Add(secret)
		}
		if got := s.Mask(test.text); got != test.want {
			t.Errorf("%q in %q: got %q, want %q", test.secrets, test.text, got, test.want)
		}
	}
	var none *Secrets
	none.Add("x")
	if none.Mask("x") != "x" {
		t.Error("nil masks")
	}
	escaped, _ := json.Marshal("a<b>hunter")
	s := &Secrets{}
	s.Add("a<b>hunter")
	if got := s.Mask(string(escaped)); got != `"********"` {
		t.Errorf("the escapes of encoding/json: %s", got)
	}
}

func TestSplit(t *testing.T) {
	s := &Secrets{}
	s.Add("hunter2")
	if got := fmt.Sprintf("%q %q", s.Split("a=hunter2;b=hunter2"), s.Split("none")); got != `["a=" ";b=" ""] ["none"]` {
		t.Error(got)
	}
}

// TestManySecrets holds that the memory for secrets has an end, and the newest are kept.
func TestManySecrets(t *testing.T) {
	s := &Secrets{}
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range maxSecrets {
				s.Add(fmt.Sprintf("secret-%d-%d-", i, j))
				s.Mask("x")
			}
		})
	}
	group.Wait()
	s.Add("the last")
	if len(s.known) != maxSecrets || len(s.forms) != maxSecrets || s.Mask("the last") != mask {
		t.Errorf("%d known, %d with forms, %q", len(s.known), len(s.forms), s.Mask("the last"))
	}
}

// TestSecret has a template mark a value, which it renders, and of which no error tells.
func TestSecret(t *testing.T) {
	opts := Options{Secrets: &Secrets{}}
	out, err := render(t, `{{secret (getv "/app/password")}}`, opts, exampleKeys)
	if err != nil || string(out.Bytes) != "s3cr3t-pw" {
		t.Errorf("rendered %q, %v", out.Bytes, err)
	}
	_, err = render(t, `{{$p := secret (getv "/app/password")}}{{fail (print "bad: " $p)}}`, opts, exampleKeys)
	if err == nil || !strings.HasSuffix(err.Error(), ":1:42: fail: bad: ********") {
		t.Errorf("got %v", err)
	}
	_, err = render(t, `{{required "no x" (getv "/app/x" "")}}`, opts, exampleKeys)
	if err == nil || !strings.HasSuffix(err.Error(), ":1:3: required: no x") {
		t.Errorf("got %v", err)
	}
}

// TestAddFormer holds which of the texts of an earlier rendering count as secrets.
func TestAddFormer(t *testing.T) {
	for _, test := range []struct{ old, now, shown, want string }{
		{"pw = before!\n", "pw = s3cr3t\n", "before! s3cr3t", "******** ********"},
		{"pw = before!; user = bob\n", "pw = s3cr3t; user = tom\n", "before! bob", "before! bob"},      // not otherwise the same
		{"pw = s3cr3t\nother before!\n", "pw = s3cr3t\n", "before!", "before!"},                        // looks like none
		{"url a:before!@b:other!\n", "url a:s3cr3t@b:s3cr3t\n", "before! other!", "******** ********"}, // two in a line
		{"before!\n", "s3cr3t\n", "before!", "before!"},                                                // nothing but a secret
		{"  listen;\n", "  s3cr3t;\n", "listen", "listen"},                                             // hardly more
		{"pw = before!\n", "pw = open!!\n", "before!", "before!"},                                      // no secret now
		{"pw = \n", "pw = s3cr3t\n", "pw = ", "pw = "},
	} {
		secrets := &Secrets{}
		secrets.Add("s3cr3t")
		secrets.AddFormer(test.old, test.now)
		if got := secrets.Mask(test.shown); got != test.want {
			t.Errorf("%q, then %q: got %q, want %q", test.old, test.now, got, test.want)
		}
	}
	var none *Secrets
	none.AddFormer("a b\n", "a c\n")

	// Those of now are not forgotten for those of before.
	var old, now strings.Builder
	secrets := &Secrets{}
	for i := range maxSecrets {
		fmt.Fprintf(&old, "key%d = before%d\n", i, i)
		fmt.Fprintf(&now, "key%d = secret%d\n", i, i)
		secrets.Add(fmt.Sprintf("secret%d", i))
	}
	secrets.AddFormer(old.String(), now.String())
	if got := secrets.Mask("secret0"); got != "********" {
		t.Errorf("got %q", got)
	}
}
