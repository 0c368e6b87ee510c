// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
)

const (
	scaleResources = 1000
	scaleKeysEach  = 100
	scaleKeys      = scaleResources * scaleKeysEach
)

// newScaleDaemon starts a daemon with 1,000 resources over the 100,000 keys of its
// embedded store, and waits until all are rendered. Each may read all keys and reads
// 100; each rendering has the time in it, so that none goes by without a new file.
func newScaleDaemon(t testing.TB) *daemon {
	t.Helper()
	files := make(map[string]string)
	for i := range scaleResources {
		files[fmt.Sprintf("conf.d/r%d.toml", i)] = fmt.Sprintf("[template]\nsrc = \"r%d\"\ndest = \"out/r%d\"\nkeys = [\"/\"]\n", i, i)
		files[fmt.Sprintf("templates/r%d", i)] = fmt.Sprintf("{{datetime.UnixNano}}\n{{range gets \"/app%d/*\"}}v{{.Value}}\n{{end}}", i)
	}
	d := newDaemon(t, files)
	if err := os.Mkdir(filepath.Join(d.dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	fillStore(t, filepath.Join(d.dir, "data", "store"))
	d.start(t)
	eventually(t, "every resource is rendered", func() bool {
		return strings.Count(d.read("confd.log"), "replaced file") == scaleResources
	})
	return d
}

// fillStore writes the keys into a store, in this process, which is quicker.
func fillStore(t testing.TB, dir string) {
	t.Helper()
	node, err := raftkv.Open(t.Context(), raftkv.Config{Name: "filler", DataDir: dir, PeerAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	const writers = 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < scaleKeys; i += writers {
				op := &tree.Op{Action: tree.Set, Key: fmt.Sprintf("/app%d/key%d", i/scaleKeysEach, i%scaleKeysEach), Value: "0"}
				if _, err := node.Do(t.Context(), op); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
}

// status returns a field of /proc/PID/status, in kB.
func (d *daemon) status(t testing.TB, field string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), field+":")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kB
}

// cpu returns the processor time that the daemon has used.
func (d *daemon) cpu(t testing.TB) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data)[strings.LastIndexByte(string(data), ')'):])
	var ticks int
	for _, field := range fields[12:14] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // Linux counts to userspace in hundredths
}

// TestScale holds 1,000 resources over 100,000 keys against what a change may cost: it
// applies the resource that reads the key and no other, and while nothing changes the
// daemon uses less than a hundredth of a processor.
func TestScale(t *testing.T) {
	d := newScaleDaemon(t)
	eventually(t, "a second in which it uses less than 1 % of a processor", func() bool {
		before := d.cpu(t)
		time.Sleep(time.Second) // the time is what is measured
		return d.cpu(t)-before < 10*time.Millisecond
	})
	before, start := d.cpu(t), time.Now()
	time.Sleep(4 * time.Second)
	used, took := d.cpu(t)-before, time.Since(start)
	t.Logf("idle: %v of processor time in %v, %d MB resident", used, took.Round(time.Second), d.status(t, "VmRSS")>>10)
	if used > took/100+10*time.Millisecond { // as exact as it is counted
		t.Errorf("%v of processor time in %v without a change", used, took)
	}

	for i := range 5 {
		app := 7 + 200*i
		if !d.put(t.Context(), fmt.Sprintf("/app%d/key7", app), "1") {
			t.Fatal("a write was refused")
		}
		eventually(t, "the file has it", func() bool { return strings.Contains(d.read(fmt.Sprintf("out/r%d", app)), "v1\n") })
	}
	replaced := func() int { return strings.Count(d.read("confd.log"), "replaced file") }
	eventually(t, "the log has what the files have", func() bool { return replaced() >= scaleResources+5 })
	if got := replaced(); got != scaleResources+5 {
		t.Errorf("5 changes made for %d renderings", got-scaleResources)
	}
}

// BenchmarkScale measures what one change costs there: the time until the file has it,
// and the processor time of the whole daemon, which would show if the other 999
// resources were woken. Repeat with
//
//	go test ./integration -run '^$' -bench Scale -benchtime 500x
func BenchmarkScale(b *testing.B) {
	d := newScaleDaemon(b)
	before, n := d.cpu(b), 0
	for b.Loop() {
		n++
		app := n % scaleResources
		value := strconv.Itoa(n)
		if !d.put(b.Context(), fmt.Sprintf("/app%d/key7", app), value) {
			b.Fatal("a write was refused")
		}
		file := fmt.Sprintf("out/r%d", app)
		for !strings.Contains(d.read(file), "v"+value+"\n") {
			time.Sleep(100 * time.Microsecond)
		}
	}
	b.ReportMetric(float64((d.cpu(b)-before).Microseconds())/float64(n), "cpu-µs/op")
	b.ReportMetric(float64(d.status(b, "VmHWM")>>10), "peak-MB")
	before = d.cpu(b)
	start := time.Now()
	time.Sleep(5 * time.Second)
	b.ReportMetric(100*float64(d.cpu(b)-before)/float64(time.Since(start)), "idle-%cpu")
}
