package store

import (
	"context"
	"fmt"
	"time"
)

// Watch calls changed with the revision as it is now, and again whenever it has
// changed, by this process or another; several changes between two looks are one
// call. The first call is there so that nothing is lost between the caller's
// own reading and the first look. Watch looks once every so often, which must be
// more than zero, and calls changed from its own goroutine, one call at a time.
//
// It returns nil when ctx ends, and an error when the database cannot be read:
// log it and call Watch again.
func (s *Store) Watch(ctx context.Context, every time.Duration, changed func(revision int64)) error {
	err := s.watch(ctx, every, changed)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("watch the revision: %w", err)
	}
	return nil
}

// watch asks SQLite whether anybody else's commit reached the file since this
// connection looked last, which costs no read of a table, and reads the revision
// only then. The answer is about the connection that asks, so there is one
// for this alone, and it never writes.
func (s *Store) watch(ctx context.Context, every time.Duration, changed func(revision int64)) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ticker := time.NewTicker(every)
	defer ticker.Stop()

	var seenData, seenRevision int64 = -1, -1
	for {
		var data int64
		if err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&data); err != nil {
			return err
		}
		if data != seenData {
			revision, err := readRevision(ctx, conn)
			if err != nil {
				return err
			}
			if revision != seenRevision {
				changed(revision)
			}
			seenData, seenRevision = data, revision
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
