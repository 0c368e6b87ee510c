// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

func backup(t testing.TB, n *Node) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := n.Backup(t.Context(), &b, BackupOptions{Program: "test"}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func restoreConfig(dir string) RestoreConfig {
	return RestoreConfig{DataDir: dir, PeerAddr: "127.0.0.1:7001"}
}

// TestBackupRestore brings a state through a backup into a new cluster.
func TestBackupRestore(t *testing.T) {
	cfg := goldenConfig(t)
	n := open(t, cfg)
	fillGolden(t, n)
	b := backup(t, n)
	oldCluster, oldNode, oldRaft := n.ClusterID(), n.dir.id, n.RaftIndex()
	closeNode(t, n)

	contents, err := VerifyBackup(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(contents.Metadata)
	if contents.ClusterID != oldCluster || contents.NodeID != oldNode || contents.NodeName != "test" || contents.Program != "test" ||
		contents.Index != goldenIndex || contents.Keys != 10 || contents.Expiring != 1 || contents.Size != int64(len(b)) ||
		!contents.Created.Equal(goldenNow) || contents.RaftIndex == 0 || contents.RaftTerm == 0 ||
		!slices.Contains(contents.Metadata, "auth/user/root") {
		t.Errorf("%+v", contents)
	}

	cfg.DataDir = filepath.Join(t.TempDir(), "deep", "store")
	r, err := Restore(restoreConfig(cfg.DataDir), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	n = open(t, cfg)
	if n.ClusterID() != r.NewClusterID || r.NewClusterID == oldCluster || n.dir.id != r.NewNodeID || r.NewNodeID == oldNode {
		t.Errorf("ids: %+v", r)
	}
	if n.View().Index() != goldenIndex || r.NewIndex != goldenIndex || n.RaftIndex() < oldRaft {
		t.Errorf("index %d, raft's %d", n.View().Index(), n.RaftIndex())
	}
	if members := n.Members(); len(members) != 1 || members[0].ID != r.NewNodeID {
		t.Errorf("members %+v", members)
	}
	checkGolden(t, n)
	closeNode(t, n)
	n = open(t, cfg)
	want(t, n.View(), "/new", "1")
}

// TestRestoreSkipsIndexes makes sure that who waits for an index that the store had reached
// after the backup does not take a later change for that one.
func TestRestoreSkipsIndexes(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/a", "1")
	b := backup(t, n)
	set(t, n, "/a", "2")
	seen := n.View().Index()

	cfg := testConfig(t)
	cfg.DataDir = filepath.Join(t.TempDir(), "store")
	rc := restoreConfig(cfg.DataDir)
	rc.IndexSkip = DefaultIndexSkip
	if _, err := Restore(rc, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n = open(t, cfg)
		if index := n.View().Index(); index < 1+DefaultIndexSkip {
			t.Errorf("index %d", index)
		}
		_, err := n.Tree().Watch("/a", false, false, seen+1)
		var cleared *tree.Error
		if !errors.As(err, &cleared) || cleared.Code != tree.CodeEventIndexCleared {
			t.Errorf("a watch from before: %v", err)
		}
		e := set(t, n, "/b", "1")
		if _, err := n.Tree().Watch("/b", false, false, e.Index()); err != nil {
			t.Errorf("a watch from now: %v", err)
		}
		want(t, n.View(), "/a", "1")
		closeNode(t, n)
	}
}

// TestBackupIsOnePointInTime makes backups under writes that keep two keys equal.
func TestBackupIsOnePointInTime(t *testing.T) {
	n := open(t, testConfig(t))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var acked []int
	for w := range 4 {
		acked = append(acked, 0)
		wg.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				set(t, n, fmt.Sprintf("/w%d/a", w), fmt.Sprint(i))
				set(t, n, fmt.Sprintf("/w%d/b", w), fmt.Sprint(i))
			}
		})
	}
	for range 30 {
		state, _, err := loadBackup(bytes.NewReader(backup(t, n)))
		if err != nil {
			t.Fatal(err)
		}
		for w := range 4 {
			number := func(key string) (i int) {
				if node, err := state.tree.View().Get(fmt.Sprintf("/w%d/%s", w, key)); err == nil {
					fmt.Sscan(node.Value, &i)
				}
				return i
			}
			a, b := number("a"), number("b")
			if a != b && a != b+1 || a < acked[w] {
				t.Errorf("writer %d: %d and %d, after %d", w, a, b, acked[w])
			}
			acked[w] = a
		}
	}
	close(stop)
	wg.Wait()
}

// TestBackupDamage cuts and damages a backup in every place.
func TestBackupDamage(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/a", "1")
	b := backup(t, n)
	for i := range b {
		if _, err := VerifyBackup(bytes.NewReader(b[:i])); !errors.Is(err, ErrNoBackup) {
			t.Fatalf("cut at %d of %d: %v", i, len(b), err)
		}
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if _, err := VerifyBackup(bytes.NewReader(bad)); err == nil {
			t.Fatalf("damage in byte %d of %d was not found", i, len(b))
		}
	}
	if _, err := VerifyBackup(bytes.NewReader(append(bytes.Clone(b), 0))); !errors.Is(err, ErrNoBackup) {
		t.Errorf("with something behind it: %v", err)
	}
	newer := bytes.Clone(b)
	binary.LittleEndian.PutUint16(newer[len(backupMagic):], backupFormat+1)
	if _, err := VerifyBackup(bytes.NewReader(newer)); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer format: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "store")
	if _, err := Restore(restoreConfig(dir), bytes.NewReader(b[:len(b)-1])); !errors.Is(err, ErrNoBackup) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Dir(dir) + "/*"); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestBackupErrors(t *testing.T) {
	n := open(t, testConfig(t))
	for i := range 200 {
		set(t, n, fmt.Sprintf("/k%d", i), strings.Repeat("v", 4<<10))
	}
	r, w := io.Pipe()
	r.CloseWithError(os.ErrClosed)
	if _, err := n.Backup(t.Context(), w, BackupOptions{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a reader that has gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var b bytes.Buffer
	_, err := n.Backup(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return b.Write(p) }), BackupOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	closeNode(t, n)
	if _, err := n.Backup(t.Context(), io.Discard, BackupOptions{}); !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoLeader) {
		t.Errorf("a closed node: %v", err)
	}
	if _, err := n.Backup(t.Context(), io.Discard, BackupOptions{Stale: true}); err != nil {
		t.Errorf("without a leader, stale: %v", err)
	}
}

// TestCopyBackup makes sure that a full disk is not taken for a backup that is cut off.
func TestCopyBackup(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/a", strings.Repeat("v", 1<<20))
	b := backup(t, n)
	var copied bytes.Buffer
	if info, err := CopyBackup(&copied, bytes.NewReader(b)); err != nil || info.Keys != 1 || !bytes.Equal(copied.Bytes(), b) {
		t.Errorf("%+v, %v", info, err)
	}
	for _, size := range []int{0, 10, 100, len(b) / 2, len(b) - 1} {
		room := size
		full := writerFunc(func(p []byte) (int, error) {
			if room -= len(p); room < 0 {
				return 0, syscall.ENOSPC
			}
			return len(p), nil
		})
		if _, err := CopyBackup(full, iotest.OneByteReader(bytes.NewReader(b))); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrNoBackup) {
			t.Errorf("room for %d bytes: %v", size, err)
		}
		if _, err := CopyBackup(io.Discard, bytes.NewReader(b[:size])); !errors.Is(err, ErrNoBackup) {
			t.Errorf("cut at %d: %v", size, err)
		}
		broken := io.MultiReader(bytes.NewReader(b[:size]), iotest.ErrReader(syscall.EIO))
		if _, err := VerifyBackup(broken); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrNoBackup) {
			t.Errorf("unreadable at %d: %v", size, err)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRestoreRefuses(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	set(t, n, "/a", "1")
	b := backup(t, n)
	if _, err := Restore(restoreConfig(cfg.DataDir), bytes.NewReader(b)); !errors.Is(err, ErrHasStore) {
		t.Errorf("over a store: %v", err)
	}
	set(t, n, "/a", "2") // it is none the worse

	dir := filepath.Join(t.TempDir(), "store")
	crashed := dir + ".restore-1"
	underWay := dir + ".restore-2"
	for _, path := range []string{dir, crashed, underWay} { // an empty directory is none
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := lockFile(filepath.Join(underWay, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := Restore(restoreConfig(dir), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(dir + ".*"); len(left) != 1 || left[0] != underWay {
		t.Errorf("left behind: %q", left)
	}
}

// lostQuorum returns the directory of a node whose two others are gone.
func lostQuorum(t *testing.T) (cfg Config, others []string) {
	cfg = testConfig(t)
	cfg.ElectionTimeout = 50 * time.Millisecond
	n := open(t, cfg)
	set(t, n, "/a", "1")
	for i := range 2 {
		m, err := n.AddMember(t.Context(), []string{fmt.Sprintf("http://127.0.0.1:%d", i+1)})
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, m.ID)
	}
	if err := n.snapshot(); err != nil {
		t.Fatal(err)
	}
	set(t, n, "/b", "2")
	conf := n.raft.GetConfiguration().Configuration()
	for i, id := range others {
		n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(fmt.Sprintf("127.0.0.1:%d", i+1)), 0, 0)
	}
	eventually(t, "the new voter to count", func() bool {
		return len(n.raft.GetConfiguration().Configuration().Servers) > len(conf.Servers)
	})
	closeNode(t, n)
	return cfg, others
}

func TestRecover(t *testing.T) {
	cfg, others := lostQuorum(t)
	n := open(t, cfg)
	select {
	case <-n.Ready():
		t.Fatal("leads without the others")
	case <-time.After(300 * time.Millisecond):
	}
	closeNode(t, n)
	clusterID := ""
	for round := range 2 { // to run it again does no harm
		r, err := OpenRecovery(RecoverConfig{DataDir: cfg.DataDir, PeerAddr: "127.0.0.1:7001", IndexSkip: 100})
		if err != nil {
			t.Fatal(err)
		}
		if r.Keys != 2 || r.Index != 2+100*uint64(round) || len(r.Members) != 3-2*round || r.LastIndex == 0 || r.LastTerm == 0 {
			t.Errorf("round %d: %+v", round, r)
		}
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrLocked) {
			t.Errorf("opened meanwhile: %v", err)
		}
		id, err := r.Run()
		if err == nil {
			err = r.Close()
		}
		if err != nil || id == r.ClusterID {
			t.Fatal(id, err)
		}
		if b, err := os.ReadFile(filepath.Join(cfg.DataDir, "cluster")); err != nil || string(b) != id+"\n" {
			t.Errorf("%q, %v", b, err)
		}
		clusterID = id
	}
	n = open(t, cfg)
	want(t, n.View(), "/a", "1")
	want(t, n.View(), "/b", "2")
	set(t, n, "/after", "1")
	if n.ClusterID() != clusterID || len(n.Members()) != 1 || n.View().Index() != 203 {
		t.Errorf("cluster %s, want %s; members %+v; index %d", n.ClusterID(), clusterID, n.Members(), n.View().Index())
	}
	for _, other := range others {
		if err := n.UpdateMember(t.Context(), other, []string{"http://127.0.0.1:9"}); !errors.Is(err, ErrMemberRemoved) {
			t.Errorf("member %s: %v", other, err)
		}
	}
	closeNode(t, n)
	want(t, open(t, cfg).View(), "/after", "1")
}

func TestRecoverRefuses(t *testing.T) {
	if _, err := OpenRecovery(RecoverConfig{DataDir: t.TempDir(), PeerAddr: "127.0.0.1:7001"}); err == nil {
		t.Error("an empty directory")
	}
	cfg := testConfig(t)
	n := open(t, cfg)
	set(t, n, "/a", "1")
	if _, err := OpenRecovery(RecoverConfig{DataDir: cfg.DataDir, PeerAddr: "127.0.0.1:7001"}); !errors.Is(err, ErrLocked) {
		t.Errorf("a node that runs: %v", err)
	}
	closeNode(t, n)
	path := filepath.Join(t.TempDir(), "peers.json")
	for text, want := range map[string]string{
		`[{"id":"abc","address":"127.0.0.1:7002"}]`:                                                          "no voter with the id of this node",
		`[{"id":"` + n.dir.id + `","address":"127.0.0.1:7002","non_voter":true},{"id":"a","address":"a:1"}]`: "no voter with the id of this node",
		`[{"id":"abc"`: "want [{",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		peers, err := ReadPeers(path)
		if err == nil {
			_, err = OpenRecovery(RecoverConfig{DataDir: cfg.DataDir, PeerAddr: "127.0.0.1:7001", Peers: peers})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	n = open(t, cfg) // nothing has changed
	want(t, n.View(), "/a", "1")
}

// TestRecoverSeveral makes sure that all members of one list come to the same cluster id,
// and those of another list to another.
func TestRecoverSeveral(t *testing.T) {
	var ids []string
	list := []Peer{{ID: "b2", Addr: "127.0.0.1:2"}, {ID: "a1", Addr: "127.0.0.1:1"}}
	for _, peers := range [][]Peer{list, {list[1], list[0]}, {list[0], {ID: "a1", Addr: "127.0.0.1:3"}}} {
		r := &Recovery{NodeID: "a1", ClusterID: "c", cfg: RecoverConfig{Peers: peers}}
		var err error
		if r.peers, err = r.configuration(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.newClusterID())
	}
	if ids[0] != ids[1] || ids[0] == ids[2] || ids[0] == "c" {
		t.Errorf("%q", ids)
	}
}
