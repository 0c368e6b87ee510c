// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newProgram returns a program as the arguments make it, with a log that is discarded.
func newProgram(t *testing.T, args ...string) *program {
	t.Helper()
	s, err := loadSettings(append(args, noConfig(t)), testMachine())
	if err != nil {
		t.Fatal(err)
	}
	return &program{system: system{machine: testMachine()}, settings: s, log: slog.New(slog.DiscardHandler)}
}

// keyPair writes a certificate that signs itself, and its key.
func keyPair(t *testing.T) (cert *x509.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	draft := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, draft, draft, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile = writeFile(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	keyFile = writeFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	return cert, certFile, keyFile
}

// TestEtcdConnection renders from a server that demands a client certificate and a
// password.
func TestEtcdConnection(t *testing.T) {
	mine, certFile, keyFile := keyPair(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Etcd-Index", "7")
		w.Header().Set("X-Etcd-Cluster-Id", "abc")
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintln(w, `{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials","index":7}`)
			return
		}
		fmt.Fprintln(w, `{"action":"get","node":{"key":"/app","value":"hello","modifiedIndex":7,"createdIndex":7}}`)
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	srv.TLS.ClientCAs.AddCert(mine)
	srv.StartTLS()
	defer srv.Close()
	caFile := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	pair := []string{"-client-cert", certFile, "-client-key", keyFile}
	login := []string{"-username", "me", "-password", "secret"}

	for _, test := range []struct {
		name string
		args []string
		ok   bool
	}{
		{"all", slices.Concat(pair, login, []string{"-client-ca-keys", caFile}), true},
		{"insecure", slices.Concat(pair, login, []string{"-client-insecure"}), true},
		{"no authority", slices.Concat(pair, login), false},
		{"wrong authority", slices.Concat(pair, login, []string{"-client-ca-keys", certFile}), false},
		{"no certificate", slices.Concat(login, []string{"-client-ca-keys", caFile}), false},
		{"wrong password", slices.Concat(pair, []string{"-client-ca-keys", caFile, "-username", "me", "-password", "guess"}), false},
	} {
		dir, dest := newConfDir(t, `{{getv "/app"}}`)
		args := append(test.args, "-onetime", "-confdir", dir, "-data-dir", t.TempDir(), noConfig(t))
		code, _, stderr := runIt(t.Context(), []string{"CONFD_NODE=" + srv.URL}, args...)
		got := readFile(dest)
		if test.ok != (code == exitOK) || test.ok != (got == "hello") {
			t.Errorf("%s: exit code %d, rendered %q, %s", test.name, code, got, stderr)
		}
		if strings.Contains(stderr, "secret") || strings.Contains(stderr, "hello") {
			t.Errorf("%s: a secret is in the log: %s", test.name, stderr)
		}
	}
}

func TestFindNodes(t *testing.T) {
	p := newProgram(t, "-srv-domain", "example.com", "-scheme", "https")
	var asked string
	var records []*net.SRV
	var fault error
	p.lookupSRV = func(_ context.Context, name string) ([]*net.SRV, error) {
		asked = name
		return records, fault
	}
	records = []*net.SRV{{Target: "a.example.com.", Port: 4001}, {Target: "b.example.com.", Port: 2379}}
	nodes, err := p.findNodes(t.Context())
	want := []string{"https://a.example.com:4001", "https://b.example.com:2379"}
	if err != nil || !slices.Equal(nodes, want) || asked != "_etcd._tcp.example.com." {
		t.Errorf("asked %q: %v, %v; want %v", asked, nodes, err, want)
	}
	records = nil
	if _, err := p.findNodes(t.Context()); err == nil || !strings.Contains(err.Error(), "has no SRV record") {
		t.Errorf("no records: %v", err)
	}
	fault = errors.New("no such host")
	if _, err := p.findNodes(t.Context()); !errors.Is(err, fault) {
		t.Errorf("failing look-up: %v", err)
	}
}

// TestAwaitNodes holds that a daemon waits for a record that is not there yet.
func TestAwaitNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := newProgram(t, "-srv-record", "_etcd._tcp.example.com.", "-watch")
		p.log = newLogger(&log, "text", "info")
		start := time.Now()
		p.lookupSRV = func(context.Context, string) ([]*net.SRV, error) {
			if time.Since(start) < time.Minute {
				return nil, errors.New("no such host")
			}
			return []*net.SRV{{Target: "a.example.com.", Port: 4001}}, nil
		}
		nodes, err := p.awaitNodes(t.Context())
		if err != nil || len(nodes) != 1 || strings.Count(log.String(), "looking again until they are") != 1 {
			t.Errorf("got %q, %v, and log:\n%s", nodes, err, &log)
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.awaitNodes(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("told to end: %v", err)
		}
		p.Onetime = true
		if _, err := p.awaitNodes(t.Context()); err == nil {
			t.Error("a one-shot run waits")
		}
	})
}
