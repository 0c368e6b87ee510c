// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	a.cert, a.key = certificate(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// certificate makes a certificate, valid now, signed by the authority or by itself.
func certificate(t *testing.T, by *authority, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if by == nil {
		by = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// issue writes a certificate for 127.0.0.1, its key and the authority's to dir.
func (a *authority) issue(t *testing.T, dir, name string) TLSFiles {
	t.Helper()
	cert, key := certificate(t, a, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := TLSFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	for path, block := range map[string]*pem.Block{
		f.Cert: {Type: "CERTIFICATE", Bytes: cert.Raw},
		f.Key:  {Type: "EC PRIVATE KEY", Bytes: der},
		f.CA:   {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		writeText(t, path, string(pem.EncodeToMemory(block)))
	}
	return f
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openTLS(t *testing.T, f TLSFiles) *TLS {
	t.Helper()
	c, err := OpenTLS(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// client returns the configuration of a client with the certificate.
func clientTLS(t *testing.T, f TLSFiles) *tls.Config {
	t.Helper()
	c, err := openTLS(t, f).client("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpenTLSFaults(t *testing.T) {
	good := newAuthority(t).issue(t, t.TempDir(), "a")
	other := newAuthority(t).issue(t, t.TempDir(), "b")
	empty := filepath.Join(t.TempDir(), "empty")
	writeText(t, empty, "")
	for name, test := range map[string]struct {
		files TLSFiles
		want  []string
	}{
		"no certificate": {TLSFiles{"/no/cert", good.Key, ""}, []string{"/no/cert", "no such file"}},
		"no key":         {TLSFiles{good.Cert, "/no/key", ""}, []string{"/no/key", "no such file"}},
		"no authority":   {TLSFiles{good.Cert, good.Key, "/no/ca"}, []string{"/no/ca", "no such file"}},
		"other key":      {TLSFiles{good.Cert, other.Key, ""}, []string{good.Cert, other.Key, "does not match"}},
		"no PEM":         {TLSFiles{empty, good.Key, ""}, []string{empty, "PEM"}},
		"no authorities": {TLSFiles{good.Cert, good.Key, empty}, []string{empty, "no certificate in PEM"}},
	} {
		_, err := OpenTLS(test.files, nil)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q in it", name, err, want)
			}
		}
	}
}

// TestTLSReload replaces files as a renewal does, one after the other.
func TestTLSReload(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	f := a.issue(t, dir, "first")
	var log strings.Builder
	secure, err := OpenTLS(f, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		t.Helper()
		return commonName(t, secure.config())
	}
	fresh := a.issue(t, t.TempDir(), "second")
	replace := func(to, from string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		writeText(t, to+".new", string(data))
		if err := os.Chtimes(to+".new", time.Time{}, time.Now().Add(time.Minute)); err != nil { // whatever the clock of the disk shows
			t.Fatal(err)
		}
		if err := os.Rename(to+".new", to); err != nil {
			t.Fatal(err)
		}
	}
	replace(f.Cert, fresh.Cert)
	if got := name(); got != "first" || log.Len() != 0 {
		t.Errorf("within the second: %q, %s", got, &log)
	}
	secure.recheck = 0
	for range 3 {
		if got := name(); got != "first" {
			t.Errorf("with one file replaced: %q", got)
		}
	}
	if strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), f.Cert) {
		t.Errorf("want one warning, got\n%s", &log)
	}
	replace(f.Key, fresh.Key)
	for range 3 {
		if got := name(); got != "second" {
			t.Errorf("with both replaced: %q", got)
		}
	}
	if strings.Count(log.String(), "level=INFO") != 1 {
		t.Errorf("want one message, got\n%s", &log)
	}
	for _, path := range []string{f.Cert, f.CA} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if got := name(); got != "second" {
			t.Errorf("without %s: %q", path, got)
		}
	}
}

func commonName(t *testing.T, c *tls.Config) string {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert.Subject.CommonName
}

// serveHTTP answers on the listener until the test ends.
func serveHTTP(t *testing.T, l net.Listener) {
	server := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "served "+r.URL.Path)
	})}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		served.Wait()
	})
}

// get makes a request; with c, over TLS.
func get(t *testing.T, addr string, c *tls.Config) (int, string, error) {
	t.Helper()
	url := "http://" + addr + "/x"
	if c != nil {
		url = "https://" + addr + "/x"
	}
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// testHTTP makes every kind of request to a port that speaks TLS with the files.
func testHTTP(t *testing.T, a *authority, addr string) {
	good := clientTLS(t, a.issue(t, t.TempDir(), "client"))
	if code, body, err := get(t, addr, good); err != nil || code != http.StatusOK || body != "served /x" {
		t.Errorf("with certificate: %d, %q, %v", code, body, err)
	}
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	stranger := newAuthority(t).issue(t, t.TempDir(), "stranger")
	bare := good.Clone()
	bare.Certificates = nil
	foreign := clientTLS(t, stranger)
	foreign.RootCAs = good.RootCAs
	for name, c := range map[string]*tls.Config{
		"TLS 1.1": old, "no certificate": bare, "certificate of another authority": foreign, "trusts others only": clientTLS(t, stranger),
	} {
		if code, body, err := get(t, addr, c); err == nil {
			t.Errorf("%s: %d, %q", name, code, body)
		}
	}
	code, body, err := get(t, addr, nil)
	if want := "this port speaks TLS; use https://" + addr + "\n"; err != nil || code != http.StatusBadRequest || body != want {
		t.Errorf("plain client: %d, %q, %v; want 400, %q", code, body, err, want)
	}
	// A request that is longer than what is read of it gets the answer, too.
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n"+strings.Repeat("x", 50000))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain client with a body: %v, %v", resp, err)
	}
}

func TestListenerTLS(t *testing.T) {
	a := newAuthority(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Those who begin no handshake are in nobody's way.
	for range 20 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	serveHTTP(t, openTLS(t, a.issue(t, t.TempDir(), "server")).Listener(ln, nil))
	testHTTP(t, a, ln.Addr().String())
}

func TestPlainListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan string, 10)
	serveHTTP(t, (*TLS)(nil).Listener(ln, slog.New(slog.NewTextHandler(lines(messages), &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if code, body, err := get(t, ln.Addr().String(), nil); err != nil || code != http.StatusOK || body != "served /x" {
		t.Errorf("plain client: %d, %q, %v", code, body, err)
	}
	wantClosed(t, ln.Addr().String())
	if m := <-messages; !strings.Contains(m, "level=DEBUG") || !strings.Contains(m, "the client speaks TLS, this port does not") {
		t.Errorf("the log says %q", m)
	}
}

// lines passes on what is written to it.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// wantClosed checks that a plain port closes the connection of a TLS client, and says
// nothing that could be taken for TLS.
func wantClosed(t *testing.T, addr string) {
	t.Helper()
	_, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("TLS with a plain port: %v", err)
	}
}

// TestPeerTLS is about both kinds of connections to a peer port with TLS.
func TestPeerTLS(t *testing.T) {
	a := newAuthority(t)
	cfg := testConfig(t)
	cfg.PeerTLS = openTLS(t, a.issue(t, t.TempDir(), "node"))
	n := open(t, cfg)
	addr := n.Status().PeerAddr
	for range 20 {
		dial(t, n)
	}
	serveHTTP(t, n.PeerHTTP())
	testHTTP(t, a, addr)
	if got := n.peerURL(); got != "https://"+addr {
		t.Errorf("peer URL %s", got)
	}

	vote := func(secure *TLS) error {
		peer := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: strangerStream(n, secure), MaxPool: 1, Timeout: n.cfg.Timeout, Logger: newHCLog(n.log),
		})
		defer peer.Close()
		defer peer.CloseStreams()
		return peer.RequestPreVote("x", raft.ServerAddress(addr), &raft.RequestPreVoteRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("x"), Addr: []byte("x")}, Term: 1,
		}, &raft.RequestPreVoteResponse{})
	}
	if err := vote(openTLS(t, a.issue(t, t.TempDir(), "peer"))); err != nil {
		t.Errorf("a node of the same authority: %v", err)
	}
	if err := vote(nil); err == nil {
		t.Error("a node without TLS got through")
	}
	stranger := newAuthority(t).issue(t, t.TempDir(), "stranger")
	if err := vote(openTLS(t, stranger)); err == nil {
		t.Error("a node that does not know this one's authority went on")
	}
	both := stranger
	both.CA = cfg.PeerTLS.files.CA
	if err := vote(openTLS(t, both)); err == nil {
		t.Error("a node of another authority got through")
	}
	if _, err := strangerStream(n, cfg.PeerTLS).Dial(raft.ServerAddress(strings.Replace(addr, "127.0.0.1", "localhost", 1)), n.cfg.Timeout); err == nil || !strings.Contains(err.Error(), "localhost") {
		t.Errorf("certificate of another host: %v", err)
	}
}

// TestPlainConnByDescriptor: a connection of a plain port can be read past the look at its
// first byte, and not before that.
func TestPlainConnByDescriptor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := (*TLS)(nil).Listener(ln, nil).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.(syscall.Conn).SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("before the first byte: %v", err)
	}
	if _, err := client.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatalf("after it: %v", err)
	}
	if err := raw.Control(func(uintptr) {}); err != nil {
		t.Error(err)
	}
}
