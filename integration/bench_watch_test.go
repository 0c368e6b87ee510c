// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"confd/integration/freeport"
)

// BenchmarkWatches measures open watches over real HTTP, of the real program and of
// Debian's etcd beside it in the same run: memory for each watch that waits, a write
// that wakes one of them, and one that wakes all. "few" is the floor: the same with ten
// watches open. Repeat with
//
//	go test ./integration -run '^$' -bench Watches -benchtime 5x
func BenchmarkWatches(b *testing.B) {
	needs(b, "etcd")
	const many = 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < many+200 {
		b.Fatalf("%d open files are allowed (%v), %d are needed; see ulimit -n", files.Cur, err, many+200)
	}
	for _, server := range []struct {
		name  string
		start func(testing.TB) string
	}{
		{"confd", func(t testing.TB) string {
			d := newDaemon(t, map[string]string{"conf.d/.keep": ""})
			d.start(t)
			return d.api
		}},
		{"etcd", startBenchEtcd},
	} {
		for _, kind := range []string{"poll", "stream"} {
			b.Run(server.name+"/"+kind, func(b *testing.B) {
				w := &watchBench{b: b, addr: server.start(b), stream: kind == "stream", events: make(chan int, many)}
				defer w.close()
				w.run(many)
			})
		}
	}
}

// startBenchEtcd starts an etcd for the benchmark and returns its client address.
func startBenchEtcd(t testing.TB) string {
	api, peer := freeport.Addr(t), "http://"+freeport.Addr(t)
	cmd := exec.Command("etcd", "--enable-v2", "--data-dir", filepath.Join(t.TempDir(), "etcd"), "--log-level", "error",
		"--listen-client-urls", "http://"+api, "--advertise-client-urls", "http://"+api,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // the error is the signal's
	})
	eventually(t, "etcd answers", func() bool {
		resp, err := http.Get("http://" + api + "/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	return api
}

// A watchBench is a server under load, and the connections of its watches.
type watchBench struct {
	b      *testing.B
	addr   string
	stream bool
	conns  []net.Conn
	ready  []chan struct{} // of each: receives when the headers have come
	events chan int        // number of the watch that has got one
}

// run opens few watches, then many, and measures both.
func (w *watchBench) run(many int) {
	const few = 10
	w.wakeOne(1) // so that what the first request costs is not in the memory
	for len(w.conns) < few {
		w.open(len(w.conns))
	}
	one := w.wakeOne(300)
	memory, stacks := w.sample("process_resident_memory_bytes"), w.sample("go_memstats_stack_inuse_bytes")
	for len(w.conns) < many {
		w.open(len(w.conns))
	}
	memory = w.sample("process_resident_memory_bytes") - memory
	stacks = w.sample("go_memstats_stack_inuse_bytes") - stacks
	oneOfMany := w.wakeOne(300)

	var all []time.Duration
	cpu := w.sample("process_cpu_seconds_total")
	rounds := 0
	for w.b.Loop() {
		start := time.Now()
		w.put("/w/all", "x")
		for range w.conns {
			<-w.events
		}
		all = append(all, time.Since(start))
		rounds++
		if !w.stream {
			w.b.StopTimer()
			for i := range w.conns {
				w.ask(i)
			}
			w.b.StartTimer()
		}
	}
	w.b.ReportMetric(memory/float64(many-few)/1024, "KiB/watch")
	w.b.ReportMetric(stacks/float64(many-few)/1024, "stackKiB/watch")
	w.b.ReportMetric(float64(one.Microseconds()), "one-of-few-µs")
	w.b.ReportMetric(float64(oneOfMany.Microseconds()), "one-of-many-µs")
	slices.Sort(all)
	w.b.ReportMetric(float64(all[len(all)/2].Milliseconds()), "all-of-many-ms")
	// Of a poll, to ask again is part of it.
	cpu = w.sample("process_cpu_seconds_total") - cpu
	w.b.ReportMetric(cpu/float64(rounds*many)*1e6, "cpu-µs/event")
}

// wakeOne returns the median time from sending a write to its event at the one watch
// that it concerns: watch 0 alone sees /w/one.
func (w *watchBench) wakeOne(rounds int) time.Duration {
	if len(w.conns) == 0 {
		w.open(0)
	}
	var times []time.Duration
	for range rounds {
		start := time.Now()
		w.put("/w/one", "x")
		<-w.events
		times = append(times, time.Since(start))
		if !w.stream {
			w.ask(0)
		}
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// open opens a watch: the first one of everything below /w, the others of /w/all alone.
func (w *watchBench) open(i int) {
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.b.Fatal(err)
	}
	w.conns = append(w.conns, conn)
	w.ready = append(w.ready, make(chan struct{}))
	go w.read(i, conn, w.ready[i])
	w.ask(i)
}

// ask sends the request of a watch, and returns when the watch has begun.
func (w *watchBench) ask(i int) {
	query := "all?wait=true"
	if i == 0 {
		query = "?wait=true&recursive=true"
	}
	if w.stream {
		query += "&stream=true"
	}
	if _, err := fmt.Fprintf(w.conns[i], "GET /v2/keys/w/%s HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\n\r\n", query); err != nil {
		w.b.Fatal(err)
	}
	<-w.ready[i]
}

// read reads what a watch gets until its connection ends.
func (w *watchBench) read(i int, conn net.Conn, ready chan<- struct{}) {
	r := bufio.NewReaderSize(conn, 512)
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return
		}
		ready <- struct{}{}
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(make([]byte, 256), 64<<10)
		var polled bool
		for lines.Scan() {
			polled = !w.stream
			if w.stream {
				w.events <- i
			}
		}
		if polled {
			w.events <- i // when the answer has ended
		}
	}
}

// put writes a key.
func (w *watchBench) put(key, value string) {
	req, err := http.NewRequest("PUT", "http://"+w.addr+"/v2/keys"+key, strings.NewReader("value="+value))
	if err != nil {
		w.b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.b.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode/100 != 2 {
		w.b.Fatalf("writing %s: %d %s (%v)", key, resp.StatusCode, text, err)
	}
}

// sample returns a sample of the server's metrics.
func (w *watchBench) sample(name string) float64 {
	resp, err := http.Get("http://" + w.addr + "/metrics")
	if err != nil {
		w.b.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				w.b.Fatal(err)
			}
			return v
		}
	}
	w.b.Fatalf("no sample %s", name)
	return 0
}

func (w *watchBench) close() {
	for _, conn := range w.conns {
		conn.Close()
	}
}
