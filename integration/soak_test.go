// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"confd/integration/freeport"
)

// soakTime is how long TestSoak makes trouble, unless CONFD_SOAK says otherwise ("2h").
const soakTime = time.Minute

// soakResources are what is rendered under trouble: NAME → further lines of its table.
// Each writes the value of /k/NAME to out/NAME, and copies the file to loaded/NAME to
// reload it.
var soakResources = map[string]string{
	"plain":   ``,
	"settled": `wait = "200ms:1s"`,
	"seldom":  `min_reload_interval = "2s"`,
	"back":    "rollback = true\nbackup = 3",
	"guarded": `required = ["/guard/on"]`,
	"one":     "bundle = \"set\"\nwait = \"100ms\"",
	"two":     "bundle = \"set\"\nrollback = true",
	"three":   `bundle = "set"`,
	"spread":  `splay = "500ms"`,
}

// TestSoak renders under random writes, failing checks and reloads, a store that is
// stopped, killed and overrun, edits and SIGHUPs. In the end every file is what a fresh
// rendering makes of the last values, its service has read it, no temporary file is left,
// the process has not grown, and nothing was rendered that a guard forbids.
func TestSoak(t *testing.T) {
	lasts := soakTime
	if text := os.Getenv("CONFD_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("CONFD_SOAK: %v", err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%v of trouble, seed %d", lasts, seed)
	s := newSoak(t, rand.New(rand.NewPCG(seed, 0)))
	s.settle("at first")
	goroutines, memory := s.weigh()
	for deadline := time.Now().Add(lasts); time.Now().Before(deadline); {
		s.trouble()
		time.Sleep(time.Duration(s.random.IntN(150)) * time.Millisecond) // other processes are at work
	}
	s.calm()
	s.settle("after the trouble")
	s.compare()
	g, m := s.weigh()
	t.Logf("%d writes, %d troubles of other kinds; goroutines %d → %d, memory %d → %d MiB", s.writes, s.troubles, goroutines, g, memory>>20, m>>20)
	if g > goroutines+8 {
		t.Errorf("goroutines have grown from %d to %d", goroutines, g)
	}
	if m > memory*2+16<<20 {
		t.Errorf("memory has grown from %d to %d bytes", memory, m)
	}
}

// A soak is a store, a renderer of it, and what is done to both.
type soak struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	names  []string

	api, peer, status string
	store, renderer   *exec.Cmd
	log               *os.File

	writes, troubles int
}

func newSoak(t *testing.T, random *rand.Rand) *soak {
	s := &soak{t: t, random: random, dir: t.TempDir(), api: freeport.Addr(t), peer: freeport.Addr(t), status: freeport.Addr(t)}
	for _, sub := range []string{"out", "fresh", "loaded", "fail"} {
		s.file(sub+"/.keep", "")
	}
	for name, lines := range soakResources {
		s.names = append(s.names, name)
		s.template(name, 0)
		// A value that ends in 7 cannot be loaded, as long as it is there.
		reload := fmt.Sprintf("test ! -e fail/reload-%[1]s && ! tail -1 out/%[1]s | grep -q '7$' && cp out/%[1]s loaded/%[1]s.new && mv loaded/%[1]s.new loaded/%[1]s", name)
		s.file("conf.d/"+name+".toml", fmt.Sprintf("[template]\nsrc = %q\ndest = %q\nkeys = [\"/k/%s\", \"/guard\"]\n%s\ncheck_cmd = %q\nreload_cmd = %q\n",
			name, "out/"+name, name, lines, fmt.Sprintf("test ! -e fail/check-%s && { ! grep -q FORBIDDEN {{.src}} || touch forbidden; }", name), reload))
		s.file("fresh.d/conf.d/"+name+".toml", fmt.Sprintf("[template]\nsrc = %q\ndest = %q\nkeys = [\"/k/%s\", \"/guard\"]\n", name, "fresh/"+name, name))
	}
	var err error
	if s.log, err = os.Create(filepath.Join(s.dir, "confd.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, cmd := range []*exec.Cmd{s.renderer, s.store} {
			if cmd != nil {
				cmd.Process.Signal(syscall.SIGCONT)
				cmd.Process.Kill()
				cmd.Wait()
			}
		}
		s.log.Close()
		if t.Failed() {
			data, _ := os.ReadFile(s.log.Name())
			t.Logf("end of the log:\n%s", data[max(0, len(data)-16384):])
		}
	})
	s.store = s.start("-store-only", "-data-dir", "store", "-addr", s.api, "-peer-addr", s.peer)
	s.renderer = s.start("-confdir", ".", "-data-dir", "data", "-watch", "-node", "http://"+s.api, "-status-addr", s.status)
	s.await(http.MethodGet, "/version", nil)
	s.put("/guard/on", "yes")
	for _, name := range s.names {
		s.put("/k/"+name, "first")
	}
	return s
}

func (s *soak) file(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path+".tmp", []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		s.t.Fatal(err)
	}
}

// template writes a version of a template. Only one resource has a guard; the others are
// rendered without what it wants, and say so in other words.
func (s *soak) template(name string, version int) {
	word := "open"
	if name == "guarded" {
		word = "FORBIDDEN"
	}
	for _, dir := range []string{"templates/", "fresh.d/templates/"} {
		s.file(dir+name, fmt.Sprintf("{{if not (exists \"/guard/on\")}}%s{{end}}version %d\n{{getv \"/k/%s\" \"none\"}}\n", word, version, name))
	}
}

func (s *soak) start(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "confd"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, s.log, s.log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// request makes a request to the store once.
func (s *soak) request(method, path string, form url.Values) error {
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.api+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 500 {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// await makes a request until the store takes it.
func (s *soak) await(method, path string, form url.Values) {
	s.t.Helper()
	eventually(s.t, "the store answers", func() bool { return s.request(method, path, form) == nil })
}

func (s *soak) put(key, value string) {
	s.t.Helper()
	s.writes++
	s.await(http.MethodPut, "/v2/keys"+key, url.Values{"value": {value}})
}

// trouble does one thing: mostly a write.
func (s *soak) trouble() {
	name := s.names[s.random.IntN(len(s.names))]
	kind := s.random.IntN(40)
	if kind >= 12 {
		s.put("/k/"+name, strconv.Itoa(s.random.IntN(1_000_000)))
		return
	}
	s.troubles++
	switch kind {
	case 0, 1, 2:
		s.file("fail/check-"+name, "")
	case 3, 4, 5:
		s.file("fail/reload-"+name, "")
	case 6:
		s.healthy()
	case 7:
		s.renderer.Process.Signal(syscall.SIGHUP)
	case 8:
		s.template(name, s.random.IntN(1000))
	case 9:
		if s.random.IntN(2) == 0 {
			s.await(http.MethodDelete, "/v2/keys/guard/on", nil)
		} else {
			s.put("/guard/on", "yes")
		}
	case 10:
		s.restartStore()
	case 11:
		s.overrun(name)
	}
}

// restartStore stops or kills the store, and starts it again.
func (s *soak) restartStore() {
	s.store.Process.Signal([]os.Signal{syscall.SIGTERM, syscall.SIGKILL}[s.random.IntN(2)])
	s.store.Wait()
	time.Sleep(time.Duration(s.random.IntN(1000)) * time.Millisecond) // so long it is away
	s.store = s.start("-store-only", "-data-dir", "store", "-addr", s.api, "-peer-addr", s.peer)
	s.await(http.MethodGet, "/version", nil)
}

// overrun writes more than the store's history holds while the renderer cannot look.
func (s *soak) overrun(name string) {
	s.renderer.Process.Signal(syscall.SIGSTOP)
	for range 1100 {
		s.put("/k/"+name, strconv.Itoa(s.random.IntN(1_000_000)))
	}
	s.renderer.Process.Signal(syscall.SIGCONT)
}

// healthy ends what makes checks and reloads fail.
func (s *soak) healthy() {
	for _, name := range s.names {
		os.Remove(filepath.Join(s.dir, "fail/check-"+name))
		os.Remove(filepath.Join(s.dir, "fail/reload-"+name))
	}
}

// calm ends all trouble, and writes last values that can be loaded.
func (s *soak) calm() {
	s.healthy()
	s.put("/guard/on", "yes")
	for _, name := range s.names {
		s.put("/k/"+name, "last of "+name)
	}
}

// settle waits until the renderer says that nothing is left to do.
func (s *soak) settle(when string) {
	s.t.Helper()
	var page struct {
		UpToDate  bool `json:"up_to_date"`
		Resources []struct {
			Name, State, Error string
		}
	}
	deadline := time.Now().Add(90 * time.Second) // longer than the longest delay
	for ; ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + s.status + "/status")
		if err == nil {
			err = json.NewDecoder(resp.Body).Decode(&page)
			resp.Body.Close()
		}
		if err == nil && page.UpToDate && s.same("out", "loaded") && s.latest() {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s it is not up to date: %v, %+v", when, err, page)
		}
	}
}

// same reports whether each file is the same in two directories.
func (s *soak) same(a, b string) bool {
	for _, name := range s.names {
		x, err := os.ReadFile(filepath.Join(s.dir, a, name))
		y, err2 := os.ReadFile(filepath.Join(s.dir, b, name))
		if err != nil || err2 != nil || string(x) != string(y) {
			return false
		}
	}
	return true
}

// latest reports whether the files are what a process of its own makes of the keys now.
func (s *soak) latest() bool {
	cmd := exec.Command(filepath.Join(binDir, "confd"), "-onetime", "-confdir", "fresh.d", "-data-dir", "fresh.data", "-node", "http://"+s.api, "-log-level", "error")
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("rendering anew: %v\n%s", err, out)
	}
	return s.same("out", "fresh")
}

// compare looks at what is left behind.
func (s *soak) compare() {
	s.t.Helper()
	for _, name := range s.names {
		text, err := os.ReadFile(filepath.Join(s.dir, "out", name))
		if err != nil || !strings.HasSuffix(string(text), "\nlast of "+name+"\n") {
			s.t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "forbidden")); err == nil {
		s.t.Error("something was rendered that a guard forbids")
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "out", ".*.confd-*"))
	if err != nil || left != nil {
		s.t.Errorf("temporary files are left: %q, %v", left, err)
	}
	if pending, err := os.ReadDir(filepath.Join(s.dir, "data/pending")); err != nil || len(pending) > 0 {
		s.t.Errorf("reloads are noted as due: %v, %v", pending, err)
	}
}

// weigh returns how many goroutines and how much memory the renderer has.
func (s *soak) weigh() (goroutines, memory int) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.status + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	value := func(name string) int {
		m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
		if m == nil {
			s.t.Fatalf("no %s in\n%s", name, text)
		}
		f, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return int(f)
	}
	return value("go_goroutines"), value("process_resident_memory_bytes")
}
