// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"confd/raftkv/v2http"
)

// validateStore checks what matters to the embedded store only, and resolves its
// addresses. It returns every fault, joined.
func validateStore(s *settings) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if s.MaxValue <= 0 {
		fault("a largest value of %d bytes: want at least 1", s.MaxValue)
	}
	if s.DataDir == "" {
		errs = append(errs, hint(errors.New("no place for the embedded store: neither XDG_STATE_HOME nor HOME is set"),
			"give it one with -data-dir, or choose another -backend"))
	}
	if s.StoreOnly && s.Onetime {
		fault("-store-only and -onetime contradict each other: one renders nothing, the other renders once")
	}
	for _, name := range []string{"snapshot-count", "peer-heartbeat-interval", "peer-election-timeout", "cluster-active-size"} {
		if n, ok := optionNamed(name).at(s).(*int); ok && *n <= 0 && s.given[name] != fromDefault {
			fault("%s: want at least 1, not %d", s.spelt[name], *n)
		}
	}
	for _, name := range []string{"cluster-remove-delay", "cluster-sync-interval"} {
		if n, ok := optionNamed(name).at(s).(*float64); ok && (*n < 0 || *n > maxSeconds) {
			fault("%s: want 0 to %d seconds, not %v", s.spelt[name], int(maxSeconds), *n)
		}
	}
	if s.FollowerWrites != writesForward && s.FollowerWrites != writesRedirect {
		fault("%s: want %s or %s, not %q", s.spelt["follower-writes"], writesForward, writesRedirect, s.FollowerWrites)
	}
	for _, origin := range s.CORS {
		if _, err := v2http.ParseCORS(origin); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.spelt["cors"], err))
		}
	}
	return errors.Join(append(errs, validateTLS(s), resolveAddresses(s), resolveCluster(s))...)
}

// The values of -follower-writes.
const (
	writesForward  = "forward"
	writesRedirect = "redirect"
)

// maxSeconds bounds options in seconds, so that they fit into a time.Duration.
const maxSeconds = 1e9

func validateTLS(s *settings) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if (s.CertFile == "") != (s.KeyFile == "") {
		fault("-cert-file and -key-file belong together: only one is given")
	} else if s.CAFile != "" && s.CertFile == "" {
		fault("-ca-file needs -cert-file and -key-file")
	}
	if s.Etcd.ClientCertAuth && s.CAFile == "" {
		fault("-client-cert-auth needs -trusted-ca-file")
	}
	if (s.PeerCertFile == "") != (s.PeerKeyFile == "") {
		fault("-peer-cert-file and -peer-key-file belong together: only one is given")
	} else if s.PeerCAFile != "" && s.PeerCertFile == "" {
		fault("-peer-ca-file needs -peer-cert-file and -peer-key-file")
	}
	if s.PeerCertFile != "" && s.PeerCAFile == "" {
		errs = append(errs, hint(errors.New("-peer-cert-file needs -peer-ca-file: nodes let each other in by certificate, in both directions"),
			"name the file with the authority that has issued the certificates of the nodes"))
	}
	return errors.Join(errs...)
}

// electionTimeout returns how long a node waits for a sign of its leader, 0 for the
// default. The times of etcd 0.4 were too short for a disk that is busy, so there is a
// floor.
func (s *settings) electionTimeout() time.Duration {
	const floor, heartbeats = 250, 5
	if s.HeartbeatInterval == 0 && s.ElectionTimeout == 0 {
		return 0
	}
	return time.Duration(max(floor, heartbeats*s.HeartbeatInterval, s.ElectionTimeout)) * time.Millisecond
}

// seconds returns a duration given in seconds.
func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
