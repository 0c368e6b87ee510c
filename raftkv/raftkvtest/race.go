// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package raftkvtest

// raceDetector says whether the race detector is there. It finds one in hashicorp/raft 1.8.0:
// updateLastAppended reads the peer of a follower, for its id, without the lock under which
// startStopReplication replaces it by the same peer with a new address.
const raceDetector = true
