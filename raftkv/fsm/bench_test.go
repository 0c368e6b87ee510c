// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"
	"strings"
	"testing"

	"confd/raftkv/tree"
)

// BenchmarkCodec makes an entry of operations and reads it.
func BenchmarkCodec(b *testing.B) {
	for _, tt := range []struct{ ops, size int }{{1, 256}, {64, 256}, {512, 256}, {1, 64 << 10}, {1, 1 << 20}} {
		ops, size := make([]Op, tt.ops), 0
		for i := range ops {
			ops[i].Tree = &tree.Op{Action: tree.Set, Key: fmt.Sprintf("/bench/k%07d", i), Value: strings.Repeat("v", tt.size)}
			size += Size(ops[i])
		}
		entry := AppendBatch(nil, 1, ops)
		name := fmt.Sprintf("ops=%d/size=%d", tt.ops, tt.size)
		b.Run("append/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(entry)))
			buf := make([]byte, 0, size+64)
			for b.Loop() {
				buf = AppendBatch(buf[:0], 1, ops)
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(entry)))
			var batch Batch
			for b.Loop() {
				if err := batch.Decode(entry); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
