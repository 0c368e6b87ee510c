// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSFiles names the files of one side of TLS connections, all in PEM.
type TLSFiles struct {
	Cert string // certificate, followed by those between it and the authority, if any
	Key  string // its private key
	CA   string // authorities that vouch for the other side; empty: the other side need not show a certificate
}

// tlsRecheck is how often files are looked at, at most.
const tlsRecheck = time.Second

// A TLS holds what was read from TLSFiles. When a connection begins and the files have
// changed, they are read again; if they are broken then, or do not belong together
// because only one has been replaced yet, the log is told once and what was read before
// is used on. Its methods may be called concurrently.
type TLS struct {
	files   TLSFiles
	log     *slog.Logger
	recheck time.Duration

	mu      sync.Mutex
	looked  time.Time // when the files were last looked at
	stamps  [3]stamp  // of the files as they were last read, whether that went well or not
	current *tls.Config
}

// A stamp tells one state of a file from the next; zero if there is no file.
type stamp struct {
	size int64
	time time.Time
}

// OpenTLS reads the files. Its error names the one that is at fault. log may be nil.
func OpenTLS(files TLSFiles, log *slog.Logger) (*TLS, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &TLS{files: files, log: log, recheck: tlsRecheck, looked: time.Now()}
	t.stamps = t.look()
	var err error
	t.current, err = files.read()
	return t, err
}

// read returns what both sides of a connection are made from.
func (f TLSFiles) read() (*tls.Config, error) {
	for _, path := range []string{f.Cert, f.Key} {
		if _, err := os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading TLS files: %w", err)
		}
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %q with key %q: %w", f.Cert, f.Key, err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"}, // with HTTP/2 what v2http uses again, a body, could still be on its way
	}
	if f.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("reading TLS files: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("file of authorities %q holds no certificate in PEM", f.CA)
	}
	c.ClientCAs, c.RootCAs = pool, pool
	c.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session would skip the look at authorities that may have changed.
	c.SessionTicketsDisabled = true
	return c, nil
}

func (t *TLS) look() (stamps [3]stamp) {
	for i, path := range []string{t.files.Cert, t.files.Key, t.files.CA} {
		if st, err := os.Stat(path); path != "" && err == nil {
			stamps[i] = stamp{st.Size(), st.ModTime()}
		}
	}
	return stamps
}

// config returns what the files say now, or what they said when they last made sense.
func (t *TLS) config() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.looked) < t.recheck {
		return t.current
	}
	t.looked = time.Now()
	stamps := t.look()
	if stamps == t.stamps {
		return t.current
	}
	t.stamps = stamps
	fresh, err := t.files.read()
	if err != nil {
		t.log.Warn("changed TLS files are not used; the ones read before are", "err", err)
		return t.current
	}
	t.log.Info("read TLS files again", "cert", t.files.Cert)
	t.current = fresh
	return t.current
}

// server returns the configuration of the side that accepts.
func (t *TLS) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return t.config(), nil
		},
	}
}

// client returns the configuration of the side that dials host: it shows the
// certificate, and takes only one that the authorities have issued for host.
func (t *TLS) client(host string) (*tls.Config, error) {
	c := t.config().Clone()
	if c.RootCAs == nil {
		return nil, errors.New("no file of authorities to know the other nodes by")
	}
	c.ServerName = host
	c.NextProtos = nil
	return c, nil
}
