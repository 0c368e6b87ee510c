// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

// A batch that reaches to where its file was never written is written with some fillBytes of zeros
// behind it, which the next ones overwrite, as long as batches have fillMean at most on average. A
// file has its full size from the start, but with the sync of a block that is written for the first
// time the file system has to make durable that it was, too: that takes half as long again, and
// three times as long with a journal. With larger batches it takes more to write twice as much.
const (
	fillMean  = 20 << 10
	fillBytes = 128 << 10
	fillPiece = 4 << 10 // the system takes longer to sync a few bytes of what was written at once
)

// flushFilled is flush, and writes zeros behind a batch, which begins at from, if it is to have them.
func (w *segmentWriter) flushFilled(from int64) error {
	end := w.at + int64(len(w.buf))
	fill := min(roundDown(end+fillBytes, fillPiece), int64(w.info.SizeLimit))
	w.mean += (end - from - w.mean) / 8
	if end <= w.fill || fill <= end || w.mean > fillMean {
		return w.flush()
	}
	first := min(roundDown(end+fillPiece-1, fillPiece), fill)
	w.buf = append(w.buf, make([]byte, first-end)...)
	err := w.flush()
	for zeros := make([]byte, fillPiece); err == nil && w.at < fill; {
		err = w.write(zeros[:min(fillPiece, fill-w.at)])
	}
	w.at, w.fill = end, fill
	return err
}

// roundDown returns the largest multiple of unit that is not above n.
func roundDown(n, unit int64) int64 { return n / unit * unit }
