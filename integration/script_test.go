// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package integration uses the built program as its user would: real processes, real
// nginx, haproxy, curl and etcd, over loopback.
//
// The scripts in testdata are testscript files (github.com/rogpeppe/go-internal). To
// the commands of testscript they add:
//
//	ports A B …              set the variables A, B, … to free loopback ports
//	start NAME PROGRAM ARG…  start a process; its output goes to NAME.out and NAME.err
//	[!] halt NAME [SIGNAL]   send the signal (TERM if none is given) and wait for the end;
//	                         without ! the exit code must be 0, with ! anything else
//	hup NAME                 send SIGHUP to the process
//	[!] ended NAME           wait until the process has ended by itself; codes as for halt
//	[!] eventually CMD ARG…  run the command until it succeeds (fails), for up to 20 seconds
//
// Programs that a script needs are installed by "make deps".
package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"confd/integration/freeport"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait for something that should happen soon.
const patience = 20 * time.Second

// binDir holds the program under test, built once by TestMain.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "confd-integration-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "confd"), "..")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building confd:", err)
			return 1
		}
		binDir = dir
		return m.Run()
	}())
}

// needs fails the test unless the programs are installed.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Fatalf("%s is not installed; run: make deps", p)
		}
	}
}

func TestScripts(t *testing.T) {
	needs(t, "curl", "nginx", "haproxy", "etcd", "etcdctl")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", binDir+":"+os.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("BIN", binDir)
			root, err := filepath.Abs("..")
			if err != nil {
				return err
			}
			env.Setenv("REPO", root)
			ps := &processes{m: make(map[string]*process)}
			env.Values[processesKey{}] = ps
			env.Defer(ps.killAll)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ports":      cmdPorts,
			"start":      cmdStart,
			"halt":       cmdHalt,
			"ended":      cmdEnded,
			"hup":        cmdHup,
			"eventually": cmdEventually,
		},
	})
}

type processesKey struct{}

// processes are the ones that a script has started.
type processes struct {
	mu sync.Mutex
	m  map[string]*process // :: name in the script → process
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait; set before done is closed
}

func (ps *processes) killAll() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.m {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

func (ps *processes) get(ts *testscript.TestScript, name string) *process {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.m[name]
	if p == nil {
		ts.Fatalf("no process named %q was started", name)
	}
	return p
}

// cmdPorts sets variables to ports that are kept for the script.
func cmdPorts(ts *testscript.TestScript, neg bool, args []string) {
	addrs, release, err := freeport.Addrs(len(args))
	ts.Check(err)
	ts.Defer(release)
	for i, name := range args {
		_, port, err := net.SplitHostPort(addrs[i])
		ts.Check(err)
		ts.Setenv(name, port)
	}
}

// command makes a command of the script's environment and folder.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := args[0]
	if !strings.Contains(path, "/") {
		for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
			if st, err := os.Stat(filepath.Join(dir, args[0])); err == nil && st.Mode()&0o111 != 0 && !st.IsDir() {
				path = filepath.Join(dir, args[0])
				break
			}
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.Getenv("PWD")
	if cmd.Dir == "" {
		cmd.Dir = ts.MkAbs(".")
	}
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "ETCDCTL_API", "API"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME PROGRAM ARG…")
	}
	ps := ts.Value(processesKey{}).(*processes)
	name := args[0]
	cmd := command(ts, args[1:])
	stdout, err := os.OpenFile(ts.MkAbs(name+".out"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.OpenFile(ts.MkAbs(name+".err"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if old := ps.m[name]; old != nil {
		select {
		case <-old.done:
		default:
			ts.Fatalf("process %q is still running", name)
		}
	}
	ps.m[name] = p
}

func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	sig := syscall.SIGTERM
	if len(args) == 2 {
		sig = map[string]syscall.Signal{
			"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT,
		}[args[1]]
	}
	if len(args) < 1 || len(args) > 2 || sig == 0 {
		ts.Fatalf("usage: [!] halt NAME [TERM|KILL|INT|QUIT]")
	}
	p := ts.Value(processesKey{}).(*processes).get(ts, args[0])
	ts.Check(p.cmd.Process.Signal(sig))
	awaitEnd(ts, neg, args[0], p)
}

func cmdHup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hup NAME")
	}
	ts.Check(ts.Value(processesKey{}).(*processes).get(ts, args[0]).cmd.Process.Signal(syscall.SIGHUP))
}

func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] ended NAME")
	}
	awaitEnd(ts, neg, args[0], ts.Value(processesKey{}).(*processes).get(ts, args[0]))
}

func awaitEnd(ts *testscript.TestScript, neg bool, name string, p *process) {
	select {
	case <-p.done:
	case <-time.After(patience):
		p.cmd.Process.Signal(syscall.SIGQUIT) // for the goroutines in its output
		select {
		case <-p.done:
		case <-time.After(time.Second):
		}
		ts.Fatalf("%s has not ended after %v:\n%s", name, patience, tail(ts, name))
	}
	if (p.err != nil) != neg {
		ts.Fatalf("%s ended with %v:\n%s", name, p.err, tail(ts, name))
	}
}

func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] eventually PROGRAM ARG…")
	}
	deadline := time.Now().Add(patience)
	for {
		out, err := command(ts, args).CombinedOutput()
		if (err != nil) == neg {
			return
		}
		if time.Now().After(deadline) {
			var logs strings.Builder
			for name := range ts.Value(processesKey{}).(*processes).m {
				logs.WriteString(tail(ts, name))
			}
			ts.Fatalf("still %v after %v: %q\n%s\n%s", err, patience, args, out, logs.String())
		}
		time.Sleep(20 * time.Millisecond) // other processes: there is nothing to wait on
	}
}

// tail returns the last lines that a process has printed.
func tail(ts *testscript.TestScript, name string) string {
	var b strings.Builder
	for _, ext := range []string{".out", ".err"} {
		data, _ := os.ReadFile(ts.MkAbs(name + ext))
		if len(data) > 4096 {
			data = data[len(data)-4096:]
		}
		if len(data) > 0 {
			fmt.Fprintf(&b, "--- %s%s\n%s\n", name, ext, data)
		}
	}
	return b.String()
}
