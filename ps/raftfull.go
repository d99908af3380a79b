package ps

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// finishRotation completes what raft-wal began when the process died: it fills a
// file, closes it with an index in the same write, and notes that in its own index
// a little later. Between the two it takes the file up again after a restart as
// one to go on with, and then refuses every entry for ever. So that note is made
// here, as the library makes it, before it opens the log.
func finishRotation(dir string, index types.MetaStore) error {
	known, err := index.Load(dir)
	if err != nil {
		return err
	}
	last := len(known.Segments) - 1
	if last < 0 || !known.Segments[last].SealTime.IsZero() {
		return nil
	}
	tail := &known.Segments[last]
	writer, err := segment.NewFiler(dir, fs.New()).RecoverTail(*tail)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the library makes it
	}
	if err != nil {
		return fmt.Errorf("recover the last file: %w", err)
	}
	sealed, start, err := writer.Sealed()
	end := writer.LastIndex()
	if err = errors.Join(err, writer.Close()); err != nil || !sealed {
		return err
	}
	tail.SealTime, tail.IndexStart, tail.MaxIndex = time.Now(), start, end
	known.Segments = append(known.Segments, types.SegmentInfo{
		ID: known.NextSegmentID, BaseIndex: end + 1, MinIndex: end + 1,
		SizeLimit: tail.SizeLimit, Codec: tail.Codec, CreateTime: time.Now(),
	})
	known.NextSegmentID++
	if err := index.CommitState(known); err != nil {
		return fmt.Errorf("note that the last file is full: %w", err)
	}
	return nil
}
