// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// browser returns a client that trusts one certificate and, if there are files, shows one.
func browser(t *testing.T, trusted *x509.Certificate, files ...string) *http.Client {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(trusted)
	if len(files) > 0 {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	return &http.Client{Transport: transport}
}

func visit(c *http.Client, url string) (int, string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// TestTLS serves both ports with TLS and certificates on both sides, one address of the
// client API without.
func TestTLS(t *testing.T) {
	server, serverCert, serverKey := keyPair(t)
	client, clientCert, clientKey := keyPair(t)
	_, strangerCert, strangerKey := keyPair(t)
	d := startDaemon(t, "-store-only", "-data-dir", t.TempDir(),
		"-addr", "127.0.0.1:0", "-bind-addr", "127.0.0.1:0,http://127.0.0.1:0", "-peer-addr", "127.0.0.1:0",
		"-cert-file", serverCert, "-key-file", serverKey, "-ca-file", clientCert,
		"-peer-cert-file", serverCert, "-peer-key-file", serverKey, "-peer-ca-file", clientCert)
	api := d.stdout.await(t, `client API  (https://127\.0\.0\.1:\d+)\n`)[1]
	plain := d.stdout.await(t, `listening on (http://127\.0\.0\.1:\d+)\n`)[1]
	peer := "https://" + d.stdout.await(t, `peer port   (\S+)\n`)[1]

	good := browser(t, server, clientCert, clientKey)
	for _, url := range []string{api, plain, peer} {
		if code, body, err := visit(good, url+"/version"); err != nil || code != http.StatusOK {
			t.Errorf("%s: %d, %s, %v", url, code, body, err)
		}
	}
	for _, url := range []string{api, peer} {
		for name, c := range map[string]*http.Client{
			"no certificate":      browser(t, server),
			"another certificate": browser(t, server, strangerCert, strangerKey),
			"trusts another":      browser(t, client, clientCert, clientKey),
		} {
			if code, body, err := visit(c, url+"/version"); err == nil {
				t.Errorf("%s, %s: %d, %s", url, name, code, body)
			}
		}
		code, body, err := visit(http.DefaultClient, "http"+strings.TrimPrefix(url, "https")+"/version")
		if want := "this port speaks TLS; use " + url + "\n"; err != nil || code != http.StatusBadRequest || body != want {
			t.Errorf("%s without TLS: %d, %q, %v; want 400, %q", url, code, body, err, want)
		}
	}
	if code, body, err := visit(good, api+"/v2/members"); err != nil || !strings.Contains(body, `"clientURLs":["`+api+`"]`) {
		t.Errorf("members: %d, %s, %v", code, body, err)
	}

	// A confd of its own renders over the same port.
	dir, dest := newConfDir(t, `{{getv "/app/v" "none"}}`)
	code, _, stderr := runIt(t.Context(), nil, "-onetime", "-confdir", dir, "-data-dir", t.TempDir(), "-node", api,
		"-client-ca-keys", serverCert, "-client-cert", clientCert, "-client-key", clientKey, noConfig(t))
	if code != exitOK || readFile(dest) != "none" {
		t.Errorf("rendering: exit code %d, %s", code, stderr)
	}

	// The certificate is replaced.
	fresh, freshCert, freshKey := keyPair(t)
	for to, from := range map[string]string{serverCert: freshCert, serverKey: freshKey} {
		if err := os.WriteFile(to, []byte(readFile(from)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renewed := browser(t, fresh, clientCert, clientKey)
	for _, url := range []string{api, peer} {
		for deadline := time.Now().Add(20 * time.Second); ; {
			if _, _, err := visit(renewed, url+"/version"); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("%s does not show the new certificate: %v", url, err)
			}
		}
	}
	if code := d.stop(); code != exitOK {
		t.Errorf("exit code %d, %s", code, d.stderr)
	}
}

// TestTLSFaults pins what people are told about wrong files: the options, the file, and
// what is wrong.
func TestTLSFaults(t *testing.T) {
	_, cert, key := keyPair(t)
	_, _, otherKey := keyPair(t)
	empty := writeFile(t, "empty.pem", "")
	for _, test := range []struct {
		name      string
		cert, key string
		ca        string
		want      string // behind the names of the options
	}{
		{"no certificate", "/no.pem", key, cert, "reading TLS files: open /no.pem: no such file or directory"},
		{"no key", cert, "/no.pem", cert, "reading TLS files: open /no.pem: no such file or directory"},
		{"no authority", cert, key, "/no.pem", "reading TLS files: open /no.pem: no such file or directory"},
		{"another key", cert, otherKey, cert, `certificate "` + cert + `" with key "` + otherKey + `": tls: private key does not match public key`},
		{"empty authority", cert, key, empty, `file of authorities "` + empty + `" holds no certificate in PEM`},
	} {
		for _, prefix := range []string{"", "peer-"} {
			args := []string{"-store-only", "-data-dir", t.TempDir(), "-addr", "127.0.0.1:0", "-peer-addr", "127.0.0.1:0", noConfig(t),
				"-" + prefix + "cert-file", test.cert, "-" + prefix + "key-file", test.key, "-" + prefix + "ca-file", test.ca}
			code, _, stderr := runIt(t.Context(), nil, args...)
			want := strings.ReplaceAll("confd: error: -Xcert-file, -Xkey-file, -Xca-file: ", "X", prefix) + test.want + "\n"
			if code != exitFailure || stderr != want {
				t.Errorf("%s: exit code %d, %s; want %s", test.name, code, stderr, want)
			}
		}
	}
}
