// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that is bind-mounted over the destination, as containers have it: K#122, and
// the reload at every interval when the mode differs. It needs the right to mount.
func TestBindMount(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`, `mode = "0640"`, `check_cmd = "check"`)
	source := c.file("source", "a long line that was there before\n")
	dest := c.file("out/a", "")
	if err := unix.Mount(source, dest, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("mounting %s on %s: %v; run the tests as root, in a container with CAP_SYS_ADMIN", source, dest, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dest, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	b := newMemory("/a", "0")
	sh := &commands{}
	run := c.runner(b, sh.run)
	for i := range 3 {
		b.set("/a", fmt.Sprint(i))
		for range 4 {
			if err := run.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{source, dest} {
			c.wantFile(path, fmt.Sprintf("value=%d\n", i))
			if got := statOf(t, path).mode; got != 0o640 {
				t.Errorf("%s has mode %o", path, got)
			}
		}
		c.wantClean("a")
		c.wantMarkers(0)
		if got := sh.count("reload"); got != i+1 {
			t.Errorf("got %d reloads after %d changes", got, i+1)
		}
	}
}
