// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package raftkvtest

const raceDetector = false
