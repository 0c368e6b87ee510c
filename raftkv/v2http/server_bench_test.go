// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkServers compares net/http and the loop in front of it: the same handlers over a
// node with one member and its log on disk, each in a process of its own, with clients
// that keep their connections. The two take turns of roundTime in each iteration; what is
// told are the medians.

const (
	serveEnv  = "CONFD_TEST_SERVE"
	roundTime = 300 * time.Millisecond
	benchKeys = 1000
)

// TestServeForBenchmark is the other process: it serves until its input ends.
func TestServeForBenchmark(t *testing.T) {
	if os.Getenv(serveEnv) == "" {
		return
	}
	s, _ := startNode(t)
	fmt.Println("serving", s.addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A benchServer is a server in another process.
type benchServer struct {
	addr string
	pid  int
}

// startBenchServer starts one, over the loop or without it.
func startBenchServer(b *testing.B, loop string) *benchServer {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^TestServeForBenchmark$")
	cmd.Env = append(os.Environ(), serveEnv+"=1", loopEnv+"="+loop)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it was only there to be asked
	})
	s := &benchServer{pid: cmd.Process.Pid}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			s.addr = addr
			return s
		}
	}
	b.Fatal("the server has not started")
	return nil
}

// cpu returns the processor time that the server has used.
func (s *benchServer) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	var ticks int
	for _, f := range fields[11:13] { // user and system time
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// load has that many clients send requests for a time, and returns how many were answered
// in a second.
func (s *benchServer) load(b *testing.B, clients int, request func(i int) string) float64 {
	b.Helper()
	var mu sync.Mutex
	var total int
	var running sync.WaitGroup
	began := time.Now()
	for c := range clients {
		running.Go(func() {
			n, err := s.ask(began.Add(roundTime), c*7919, request)
			mu.Lock()
			defer mu.Unlock()
			if total += n; err != nil {
				b.Error(err)
			}
		})
	}
	running.Wait()
	return float64(total) / time.Since(began).Seconds()
}

// ask sends requests on one connection, from the one with that number on, and returns how
// many were answered.
func (s *benchServer) ask(until time.Time, i int, request func(i int) string) (int, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	buf := make([]byte, 4<<10)
	for n := 0; ; n++ {
		if time.Now().After(until) {
			return n, nil
		}
		if _, err := io.WriteString(conn, request(i+n)); err != nil {
			return n, err
		}
		m, err := conn.Read(buf) // both servers write an answer at once
		if err != nil || !bytes.HasPrefix(buf[:m], []byte("HTTP/1.1 20")) {
			return n, fmt.Errorf("got %q, %v", buf[:m], err)
		}
	}
}

// fill writes all keys.
func (s *benchServer) fill(b *testing.B) {
	b.Helper()
	put := benchRequests[1].request
	for i := range benchKeys {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.WriteString(conn, strings.Replace(put(i), "Accept: */*", "Connection: close", 1))
		if err == nil {
			_, err = io.Copy(io.Discard, conn)
		}
		conn.Close()
		if err != nil {
			b.Fatal(err)
		}
	}
}

// benchRequests are what is asked.
var benchRequests = []struct {
	name    string
	request func(i int) string
}{
	{"get", func(i int) string {
		return "GET /v2/keys/bench/k" + strconv.Itoa(i%benchKeys) + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
	}},
	{"put", func(i int) string {
		return "PUT /v2/keys/bench/k" + strconv.Itoa(i%benchKeys) + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n" +
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 134\r\n\r\nvalue=" + strings.Repeat("v", 128)
	}},
	{"quorum", func(i int) string {
		return "GET /v2/keys/bench/k" + strconv.Itoa(i%benchKeys) + "?quorum=true HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
	}},
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func BenchmarkServers(b *testing.B) {
	servers := []*benchServer{startBenchServer(b, ""), startBenchServer(b, "1")}
	for _, s := range servers {
		s.fill(b)
	}
	for _, what := range benchRequests {
		for _, clients := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", what.name, clients), func(b *testing.B) {
				var rates, cpus [2][]float64
				var ratios []float64
				for b.Loop() {
					for i, s := range servers {
						before := s.cpu(b)
						rate := s.load(b, clients, what.request)
						rates[i] = append(rates[i], rate)
						cpus[i] = append(cpus[i], float64((s.cpu(b)-before).Microseconds())/max(1, rate*roundTime.Seconds()))
					}
					last := len(rates[0]) - 1
					ratios = append(ratios, rates[1][last]/rates[0][last])
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(median(rates[0]), "net/http/s")
				b.ReportMetric(median(rates[1]), "loop/s")
				b.ReportMetric(median(ratios), "ratio")
				b.ReportMetric(median(cpus[0]), "net/http-µs")
				b.ReportMetric(median(cpus[1]), "loop-µs")
			})
		}
	}
}

// BenchmarkLoop is the loop and the handlers alone, without sockets.
func BenchmarkLoop(b *testing.B) {
	for name, input := range map[string]string{"get": read, "put": write} {
		b.Run(name, func(b *testing.B) {
			h, _ := newTestHandler(Options{})
			do(b, h, "PUT", "/v2/keys/a", "value=x")
			theirs, ours := net.Pipe()
			defer theirs.Close()
			_ = NewClientServer(h, nil).Serve(&oneListener{conn: ours}) // errOneListener
			buf := make([]byte, 1<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(theirs, input); err != nil {
					b.Fatal(err)
				}
				if _, err := theirs.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
