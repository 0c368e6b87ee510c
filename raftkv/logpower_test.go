// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"confd/raftkv"
	"confd/raftkv/raftkvtest"
)

// A logModel is what a log is to hold.
type logModel struct {
	*raftkv.DiskLog
	r           *rand.Rand
	data        map[uint64][]byte // of each entry that was written last with that index
	first, last uint64            // of those that were written
	durable     uint64            // the last of those that are acknowledged
	cut         bool              // the next entry comes after some that were removed from the end
	mean        int               // of the sizes of entries; a few are larger
}

// largeEntry is how large entries must be together not to wait for the disk.
const largeEntry = 24 << 10

// store stores entries. Those that are large are not acknowledged by that.
func (m *logModel) store() error {
	var es []*raft.Log
	size := 0
	for range 1 + m.r.IntN(3) {
		n := m.r.IntN(2 * m.mean)
		if m.r.IntN(12) == 0 {
			n = m.r.IntN(80 << 10)
		}
		e := &raft.Log{Index: m.last + 1, Term: 1, Data: make([]byte, n)}
		if m.cut { // what a log is told after that comes from a leader, or begins a term
			e.Type = raft.LogNoop
		}
		for i := range e.Data {
			e.Data[i] = byte(m.r.Uint32() | 1)
		}
		m.last, m.data[e.Index] = e.Index, e.Data
		es = append(es, e)
		size += n
	}
	err := m.StoreLogs(es)
	if err == nil && (size < largeEntry || m.cut) {
		m.durable = m.last
	}
	if err == nil {
		m.cut = false
	}
	return err
}

// step does something. After an error nothing more is to be done.
func (m *logModel) step() error {
	switch m.r.IntN(24) {
	case 0: // a follower drops what its leader does not have
		lo := m.last + 1 - m.r.Uint64N(min(m.last-m.first, 6)+1)
		if err := m.Flush(); err != nil || lo <= m.first || lo > m.last {
			return err
		}
		m.durable = lo - 1 // the others may be there or not until the next
		if err := m.DeleteRange(lo, m.last); err != nil {
			return err
		}
		m.last, m.cut = lo-1, true
		return nil
	case 1:
		if m.last < m.first+80 {
			return nil
		}
		err := m.Flush()
		if err == nil {
			m.durable = m.last
			m.first += 40
			err = m.DeleteRange(1, m.first-1)
		}
		return err
	case 2:
		err := m.Flush()
		if err == nil {
			m.durable = m.last
		}
		return err
	}
	return m.store()
}

// check compares what there is, up to an entry. Some behind the last that was acknowledged may be
// missing.
func (m *logModel) check(last uint64) error {
	if last < m.durable || last > m.last {
		return fmt.Errorf("the log ends with entry %d; %d were written and %d acknowledged", last, m.last, m.durable)
	}
	for i := m.first; i <= last; i++ {
		if got, err := m.Read(i); err != nil || !bytes.Equal(got, m.data[i]) {
			return fmt.Errorf("entry %d has %d bytes, %d were written, %w", i, len(got), len(m.data[i]), err)
		}
	}
	m.last, m.durable, m.cut = last, last, true
	return nil
}

// TestLogPowerLoss writes entries of all sizes, cuts the log at both ends, and turns the power off,
// or only ends the process, at any operation.
func TestLogPowerLoss(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	for round := range effort(t, 8) {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(round)), func(t *testing.T) {
			m := &logModel{r: rand.New(rand.NewPCG(seed+uint64(round), 0)), data: make(map[uint64][]byte), first: 1, cut: true}
			dir, disk := raftkv.MemoryDir(t), raftkvtest.NewDisk()
			for crash := range 12 {
				disk = m.run(t, dir, disk)
				log, last, err := raftkv.OpenDiskLog(dir, disk, 512<<10, largeEntry)
				if err != nil {
					t.Fatalf("crash %d: %v", crash, err)
				}
				m.DiskLog = log
				if err := m.check(last); err != nil {
					t.Fatalf("crash %d: %v", crash, err)
				}
				log.Close()
			}
			t.Logf("%d entries", m.last)
		})
	}
}

// run opens the log, uses it until it ends, and returns the disk of afterwards.
func (m *logModel) run(t *testing.T, dir string, disk *raftkvtest.Disk) *raftkvtest.Disk {
	log, _, err := raftkv.OpenDiskLog(dir, disk, 512<<10, largeEntry)
	if err != nil {
		t.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(m.r.IntN(1 + m.r.IntN(400))))
	disk.Fault(func(raftkvtest.DiskOp, string) error {
		if left.Add(-1) < 0 {
			return raftkvtest.ErrPowerOff
		}
		return nil
	})
	m.DiskLog, m.mean = log, 1+m.r.IntN(8<<10)
	for err == nil {
		err = m.step()
	}
	log.Close()
	disk.Fault(nil)
	if m.r.IntN(3) == 0 {
		return disk
	}
	return disk.PowerOff(m.r)
}
