// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// BenchmarkChange measures one change with the real program: from sending the PUT to
// its acknowledgement, to the new file in place and to the reload command's first step.
// The fsync metric is the floor beside it: a 4 KiB write and fsync on the same disk,
// taken in turn with the changes. Repeat with
//
//	go test ./integration -run '^$' -bench Change -benchtime 500x
func BenchmarkChange(b *testing.B) {
	d := newDaemon(b, map[string]string{
		"conf.d/k.toml": `[template]
src = "k.tmpl"
dest = "k.conf"
keys = ["/k"]
reload_cmd = "echo $(cat k.conf) >fifo"
`,
		"templates/k.tmpl": `{{getv "/k" "none"}}`,
	})
	fifo := filepath.Join(d.dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0) // for writing too: so that it never ends
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	reloads := bufio.NewScanner(f)
	d.start(b)
	reloads.Scan() // the first render

	floor, err := os.Create(filepath.Join(d.dir, "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer floor.Close()
	block := make([]byte, 4096)
	var ack, reload, fsync []time.Duration
	for i := 0; b.Loop(); i++ {
		value := strconv.Itoa(i)
		start := time.Now()
		if !d.put(b.Context(), "/k", value) {
			b.Fatal("a write was refused")
		}
		ack = append(ack, time.Since(start))
		for reloads.Scan() && reloads.Text() != value {
		}
		reload = append(reload, time.Since(start))

		start = time.Now()
		if _, err := floor.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := floor.Sync(); err != nil {
			b.Fatal(err)
		}
		fsync = append(fsync, time.Since(start))
	}
	report := func(what string, times []time.Duration) {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds()), what+"-p50-µs")
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), what+"-p99-µs")
	}
	report("ack", ack)
	report("reload", reload)
	report("fsync", fsync)
}
