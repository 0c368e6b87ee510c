// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseWindow(t *testing.T) {
	for text, want := range map[string]Window{
		"2s": {2 * time.Second, 8 * time.Second}, "1s:3s": {time.Second, 3 * time.Second},
		"0s": {}, "500ms:500ms": {500 * time.Millisecond, 500 * time.Millisecond},
	} {
		if got, err := ParseWindow(text); got != want || err != nil {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "such as", "2": "such as", "2s:": "behind the colon", "2s:x": "behind the colon",
		"3s:2s": "shorter", "-1s": "negative", "1s:2s:3s": "behind the colon",
	} {
		if _, err := ParseWindow(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// counting returns a shell that counts, and a backend with one key for each name.
func counting(names ...string) (*commands, *memory) {
	b := newMemory()
	for _, name := range names {
		b.set("/"+name, "0")
	}
	return &commands{}, b
}

// A burst is rendered when it has ended, and when it does not end, from time to time.
// (kelseyhightower/confd#634, abtreece/confd#336; abtreece's debounce is a delay after
// the first change.)
func TestSettle(t *testing.T) {
	for _, test := range []struct {
		name   string
		lines  []string
		writes int
		every  time.Duration
		passes []time.Duration // after the first write, at which the file is replaced
	}{
		{"none", nil, 3, time.Second, []time.Duration{0, time.Second, 2 * time.Second}},
		{"one change", []string{`wait = "2s"`}, 1, 0, []time.Duration{2 * time.Second}},
		{"each change starts the time anew", []string{`wait = "2s:1m"`}, 5, time.Second, []time.Duration{6 * time.Second}},
		{"but not for ever", []string{`wait = "2s:5s"`}, 12, 900 * time.Millisecond, []time.Duration{5 * time.Second, 10400 * time.Millisecond}},
		{"a thousand", []string{`wait = "1s:4s"`}, 1000, 5 * time.Millisecond, []time.Duration{4 * time.Second, 6 * time.Second}},
		{"switched off", []string{`wait = "0s"`}, 2, time.Second, []time.Duration{0, time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConfdir(t)
				c.resource("a", append(test.lines, `check_cmd = "check"`, `reload_cmd = "reload"`)...)
				sh, b := counting("a")
				var passes []time.Duration
				var start time.Time
				sh.do = func(_ context.Context, line string) error {
					if line == "check" && !start.IsZero() {
						passes = append(passes, time.Since(start).Round(50*time.Millisecond))
					}
					return nil
				}
				opts := c.options()
				if test.name != "none" {
					opts.Wait = Window{time.Hour, time.Hour} // each has its own
				}
				stop := follow(t, NewRunner(Config{Backend: b, Resources: c.load(opts, sh.run)}))
				c.wantFile(c.dest("a"), "value=0\n") // at the start nothing is waited for
				start = time.Now()
				for i := range test.writes {
					b.set("/a", fmt.Sprint(i+1))
					time.Sleep(test.every)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				c.wantFile(c.dest("a"), fmt.Sprintf("value=%d\n", test.writes))
				if fmt.Sprint(passes) != fmt.Sprint(test.passes) {
					t.Errorf("replaced at %v, want %v", passes, test.passes)
				}
				if got := sh.count("reload"); got != 1+len(test.passes) {
					t.Errorf("got %d reloads, want %d", got, 1+len(test.passes))
				}
				stop()
			})
		})
	}
}

// A failure is not tried again in the middle of a burst, and one that settles holds up
// nobody who shares its reload.
func TestSettleBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `wait = "10s"`, `reload_cmd = "reload"`, `check_cmd = "check"`)
		c.resource("b", `reload_cmd = "reload"`)
		sh, b := counting("a", "b")
		run := c.runner(b, sh.run)
		stop := follow(t, run)
		b.set("/a", "1")
		b.set("/b", "1")
		time.Sleep(50 * time.Millisecond)
		c.wantFile(c.dest("a"), "value=0\n")
		c.wantFile(c.dest("b"), "value=1\n")
		if s := run.Status()[0]; s.Seen != 4 || s.Written != 2 {
			t.Errorf("while it settles: %+v", s)
		}
		sh.now(func(_ context.Context, line string) error {
			if line == "check" {
				return errInjected
			}
			return nil
		})
		time.Sleep(11 * time.Second)
		synctest.Wait()
		checks := sh.count("check")
		for i := range 60 { // it fails by now, and is to be tried again
			b.set("/a", fmt.Sprint(i))
			time.Sleep(100 * time.Millisecond)
		}
		if got := sh.count("check") - checks; got != 0 {
			t.Errorf("%d attempts in the middle of a burst", got)
		}
		sh.now(nil)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		c.wantFile(c.dest("a"), "value=59\n")
		stop()
	})
}

func TestSplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `splay = "1m"`)
		sh, b := counting("a")
		run := c.runner(b, sh.run)
		stop := follow(t, run)
		c.wantFile(c.dest("a"), "value=0\n")
		different := make(map[time.Duration]bool)
		for i := range 20 {
			start := time.Now()
			b.set("/a", fmt.Sprint("x", i))
			time.Sleep(time.Minute + time.Second)
			took := run.Status()[0].WrittenAt.Sub(start)
			c.wantFile(c.dest("a"), fmt.Sprintf("value=x%d\n", i))
			if took < 0 || took > time.Minute+lookPause {
				t.Errorf("applied after %v", took)
			}
			different[took] = true
		}
		if len(different) < 10 {
			t.Errorf("the times are not spread: %v", different)
		}
		stop()
	})
}

// A reload that comes too soon is late, and not lost. (abtreece/confd drops it: the file
// said v11, the service had read v10 for good.)
func TestMinReloadInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `min_reload_interval = "1m"`, `reload_cmd = "reload"`)
		c.resource("b", `reload_cmd = "reload"`)
		sh, b := counting("a", "b")
		var at []time.Duration
		start := time.Now()
		sh.do = func(context.Context, string) error { at = append(at, time.Since(start)); return nil }
		run := c.runner(b, sh.run)
		stop := follow(t, run)
		time.Sleep(10 * time.Second)
		for i := range 11 {
			b.set("/a", fmt.Sprint("v", i))
			synctest.Wait()
			c.wantFile(c.dest("a"), fmt.Sprintf("value=v%d\n", i)) // the file does not wait
			time.Sleep(time.Second)
		}
		c.wantMarkers(1)
		if s := run.Status()[0]; !s.Pending || s.Err != nil || s.Reloaded == s.Written {
			t.Errorf("while the reload waits: %+v", s)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []time.Duration{0, time.Minute}; fmt.Sprint(at) != fmt.Sprint(want) {
			t.Errorf("reloaded at %v, want %v", at, want)
		}
		if s := run.Status()[0]; s.Pending || s.Reloaded != s.Written {
			t.Errorf("in the end: %+v", s)
		}
		c.wantMarkers(0)
		b.set("/b", "1") // after a rest it is at once
		synctest.Wait()
		if len(at) != 3 {
			t.Errorf("reloaded at %v", at)
		}
		b.set("/b", "2")
		time.Sleep(time.Second)
		synctest.Wait()
		stop() // what is still owed is not forgotten
		if sh.count("reload") != 3 {
			t.Errorf("ran %q", sh.ran)
		}
		c.wantMarkers(1)
	})
}
