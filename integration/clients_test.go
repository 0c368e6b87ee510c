// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v2"
)

// onBoth runs a test against the daemon and, to show that the test is right, against
// etcd 3.4.
func onBoth(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("confd", func(t *testing.T) {
		d := newDaemon(t, map[string]string{"conf.d/.keep": "", "templates/.keep": ""})
		d.start(t)
		test(t, d.api)
	})
	t.Run("etcd", func(t *testing.T) { test(t, startReference(t).addr) })
}

func goClient(t *testing.T, addr, user, password string) client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		Endpoints: []string{"http://" + addr}, Username: user, Password: password,
		Transport: client.DefaultTransport, HeaderTimeoutPerRequest: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCode checks that err is a refusal with that code and cause.
func wantCode(t *testing.T, what string, err error, code int, cause string) {
	t.Helper()
	var refusal client.Error
	if !errors.As(err, &refusal) || refusal.Code != code || refusal.Cause != cause {
		t.Errorf("%s: got %v, want error %d with the cause %q", what, err, code, cause)
	}
}

// TestGoClient uses the store through the official Go client of the v2 API.
func TestGoClient(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := goClient(t, addr, "", "")
		if err := c.Sync(t.Context()); err != nil { // by the client URLs of /v2/members
			t.Fatal(err)
		}
		if v, err := c.GetVersion(t.Context()); err != nil || !strings.HasPrefix(v.Server, "3.4.") {
			t.Errorf("version: %v, %v", v, err)
		}
		t.Run("keys", func(t *testing.T) { goKeys(t, client.NewKeysAPI(c)) })
		t.Run("watch", func(t *testing.T) { goWatch(t, client.NewKeysAPI(c)) })
		t.Run("members", func(t *testing.T) { goMembers(t, addr, client.NewMembersAPI(c)) })
		t.Run("auth", func(t *testing.T) { goAuth(t, addr, c) })
	})
}

func goKeys(t *testing.T, k client.KeysAPI) {
	ctx := t.Context()
	must := func(r *client.Response, err error) *client.Response {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := must(k.Set(ctx, "/app/name", "one <&>", nil))
	if r.Action != "set" || r.Node.Key != "/app/name" || r.Node.Value != "one <&>" || r.PrevNode != nil || r.Index != r.Node.ModifiedIndex || r.ClusterID == "" {
		t.Errorf("set: %+v %+v", r, r.Node)
	}
	_, err := k.Create(ctx, "/app/name", "x")
	wantCode(t, "create over a key", err, client.ErrorCodeNodeExist, "/app/name")
	_, err = k.Update(ctx, "/app/none", "x")
	wantCode(t, "update of no key", err, client.ErrorCodeKeyNotFound, "/app/none")
	_, err = k.Set(ctx, "/app/name", "x", &client.SetOptions{PrevValue: "two"})
	wantCode(t, "compare", err, client.ErrorCodeTestFailed, "[two != one <&>]")
	r = must(k.Set(ctx, "/app/name", "two", &client.SetOptions{PrevValue: "one <&>", PrevIndex: r.Index}))
	if r.Action != "compareAndSwap" || r.PrevNode.Value != "one <&>" {
		t.Errorf("swap: %+v", r)
	}
	r = must(k.Set(ctx, "/app/name", "three", &client.SetOptions{TTL: time.Minute, NoValueOnSuccess: true}))
	if r.Action != "set" || r.Node != nil {
		t.Errorf("without the value: %+v", r)
	}
	r = must(k.Set(ctx, "/app/name", "", &client.SetOptions{TTL: 2 * time.Minute, Refresh: true, PrevExist: client.PrevExist}))
	if r.Node.Value != "three" || r.Node.TTL < 115 || r.Node.Expiration == nil {
		t.Errorf("refresh: %+v", r.Node)
	}
	must(k.Set(ctx, "/app/dir", "", &client.SetOptions{Dir: true}))
	_, err = k.Set(ctx, "/app/dir", "x", nil)
	wantCode(t, "set of a directory", err, client.ErrorCodeNotFile, "/app/dir")
	_, err = k.Set(ctx, "/app/name/below", "x", nil)
	wantCode(t, "set below a file", err, client.ErrorCodeNotDir, "/app/name")

	var queue []string
	for _, v := range []string{"a", "b", "c"} {
		queue = append(queue, must(k.CreateInOrder(ctx, "/app/queue", v, &client.CreateInOrderOptions{TTL: time.Minute})).Node.Key)
	}
	r = must(k.Get(ctx, "/app", &client.GetOptions{Recursive: true, Sort: true, Quorum: true}))
	var keys []string
	for _, n := range r.Node.Nodes {
		keys = append(keys, n.Key)
		for _, below := range n.Nodes {
			keys = append(keys, below.Key)
		}
	}
	if want := append([]string{"/app/dir", "/app/name", "/app/queue"}, queue...); !slices.Equal(keys, want) {
		t.Errorf("listing: got %v, want %v", keys, want)
	}
	_, err = k.Delete(ctx, "/app/queue", nil)
	wantCode(t, "delete of a directory", err, client.ErrorCodeNotFile, "/app/queue")
	_, err = k.Delete(ctx, "/app/queue", &client.DeleteOptions{Dir: true})
	wantCode(t, "delete of a full directory", err, client.ErrorCodeDirNotEmpty, "/app/queue")
	_, err = k.Delete(ctx, "/app/name", &client.DeleteOptions{PrevValue: "x"})
	wantCode(t, "compare and delete", err, client.ErrorCodeTestFailed, "[x != three]")
	if r = must(k.Delete(ctx, "/app/name", &client.DeleteOptions{PrevValue: "three"})); r.Action != "compareAndDelete" {
		t.Errorf("compare and delete: %+v", r)
	}
	must(k.Delete(ctx, "/app", &client.DeleteOptions{Recursive: true}))
	_, err = k.Get(ctx, "/app/name", nil)
	wantCode(t, "get of what is gone", err, client.ErrorCodeKeyNotFound, "/app")
	_, err = k.Delete(ctx, "/", &client.DeleteOptions{Recursive: true})
	wantCode(t, "delete of the root", err, client.ErrorCodeRootROnly, "/")
}

func goWatch(t *testing.T, k client.KeysAPI) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, err := k.Set(ctx, "/w/a", "1", nil)
	if err != nil {
		t.Fatal(err)
	}
	past := k.Watcher("/w", &client.WatcherOptions{AfterIndex: first.Index - 1, Recursive: true})
	if r, err := past.Next(ctx); err != nil || r.Action != "set" || r.Node.Value != "1" {
		t.Errorf("event of the past: %+v, %v", r, err)
	}
	actions := make(chan string)
	go func() {
		defer close(actions)
		for { // each Next is a long poll from the index of the event before
			r, err := past.Next(ctx)
			if err != nil {
				return
			}
			actions <- r.Action + " " + r.Node.Key
		}
	}()
	for _, op := range []func() (*client.Response, error){
		func() (*client.Response, error) { return k.Create(ctx, "/w/b", "1") },
		func() (*client.Response, error) { return k.Set(ctx, "/w/_hidden", "1", nil) },
		func() (*client.Response, error) { return k.Update(ctx, "/w/b", "2") },
		func() (*client.Response, error) {
			return k.Set(ctx, "/w/b", "3", &client.SetOptions{PrevValue: "2", TTL: time.Second})
		},
		func() (*client.Response, error) { return k.Delete(ctx, "/w/a", nil) },
	} {
		if _, err := op(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"create /w/b", "update /w/b", "compareAndSwap /w/b", "delete /w/a", "expire /w/b"} {
		got := <-actions
		if got == "set /w/_hidden" { // etcd shows hidden keys of the past
			got = <-actions
		}
		if got != want {
			t.Errorf("got event %q, want %q", got, want)
		}
	}
	cancel()
	for range actions {
	}
}

func goMembers(t *testing.T, addr string, m client.MembersAPI) {
	ctx := t.Context()
	members, err := m.List(ctx)
	if err != nil || len(members) != 1 || members[0].Name == "" || !slices.Equal(members[0].ClientURLs, []string{"http://" + addr}) {
		t.Fatalf("list: %+v, %v", members, err)
	}
	leader, err := m.Leader(ctx)
	if err != nil || leader.ID != members[0].ID {
		t.Errorf("leader: %+v, %v", leader, err)
	}
	if err := m.Update(ctx, leader.ID, leader.PeerURLs); err != nil {
		t.Errorf("update: %v", err)
	}
	if _, err := m.Add(ctx, leader.PeerURLs[0]); err == nil {
		t.Error("a member with a peer URL that is taken was added")
	}
	if err := m.Remove(ctx, "123abc"); err == nil || !strings.Contains(err.Error(), "404") { // the client does not know that one
		t.Errorf("removing nobody: %v", err)
	}
}

func goAuth(t *testing.T, addr string, c client.Client) {
	ctx := t.Context()
	auth, users, roles := client.NewAuthAPI(c), client.NewAuthUserAPI(c), client.NewAuthRoleAPI(c)
	if err := auth.Enable(ctx); err == nil {
		t.Fatal("enabled without a root user")
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("add root", users.AddUser(ctx, "root", "rootpw"))
	check("add alice", users.AddUser(ctx, "alice", "alicepw"))
	check("add role", roles.AddRole(ctx, "shop"))
	role, err := roles.GrantRoleKV(ctx, "shop", []string{"/shop/*"}, client.ReadWritePermission)
	check("grant", err)
	if !slices.Equal(role.Permissions.KV.Read, []string{"/shop/*"}) || !slices.Equal(role.Permissions.KV.Write, []string{"/shop/*"}) {
		t.Errorf("grant: %+v", role)
	}
	user, err := users.GrantUser(ctx, "alice", []string{"shop"})
	check("grant to alice", err)
	if !slices.Equal(user.Roles, []string{"shop"}) {
		t.Errorf("grant: %+v", user)
	}
	check("enable", auth.Enable(ctx))

	root := goClient(t, addr, "root", "rootpw")
	_, err = client.NewAuthRoleAPI(root).RevokeRoleKV(ctx, "guest", []string{"/*"}, client.ReadWritePermission)
	check("revoke from guest", err)
	alice := client.NewKeysAPI(goClient(t, addr, "alice", "alicepw"))
	_, err = alice.Set(ctx, "/shop/a", "1", nil)
	check("write as alice", err)
	for name, k := range map[string]client.KeysAPI{
		"guest": client.NewKeysAPI(c), "wrong password": client.NewKeysAPI(goClient(t, addr, "alice", "x")), "no such user": client.NewKeysAPI(goClient(t, addr, "bob", "x")),
	} {
		_, err = k.Get(ctx, "/shop/a", nil)
		wantCode(t, name, err, client.ErrorCodeUnauthorized, "Insufficient credentials")
	}
	_, err = alice.Set(ctx, "/other", "1", nil)
	wantCode(t, "write elsewhere", err, client.ErrorCodeUnauthorized, "Insufficient credentials")
	if err := users.AddUser(ctx, "bob", "x"); err == nil {
		t.Error("a guest added a user")
	}
	names, err := client.NewAuthUserAPI(root).ListUsers(ctx)
	if err != nil || !slices.Equal(names, []string{"alice", "root"}) {
		t.Errorf("users: %v, %v", names, err)
	}
	_, err = client.NewAuthUserAPI(root).ChangePassword(ctx, "alice", "new")
	check("change of a password", err)
	_, err = alice.Get(ctx, "/shop/a", nil)
	wantCode(t, "old password", err, client.ErrorCodeUnauthorized, "Insufficient credentials")
	check("disable", client.NewAuthAPI(root).Disable(ctx))
	_, err = client.NewKeysAPI(c).Get(ctx, "/shop/a", nil)
	check("read as anybody", err)
}

// TestPythonEtcd runs the scripts of testdata/python with Debian's python3-etcd. They
// are given a host and a port, and end with an exit code.
func TestPythonEtcd(t *testing.T) {
	if out, err := exec.Command("/usr/bin/python3", "-c", "import etcd").CombinedOutput(); err != nil {
		t.Fatalf("python3-etcd is not installed; run: make deps\n%s", out)
	}
	scripts, err := filepath.Glob("testdata/python/*.py")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	onBoth(t, func(t *testing.T, addr string) {
		for _, script := range scripts { // in the order of their names
			t.Run(filepath.Base(script), func(t *testing.T) {
				host, port, err := net.SplitHostPort(addr)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
				defer cancel()
				out, err := exec.CommandContext(ctx, "/usr/bin/python3", "-B", script, host, port).CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	})
}
