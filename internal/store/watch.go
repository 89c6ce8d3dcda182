package store

import (
	"context"
	"fmt"
	"time"
)

// lookWithin bounds one look at the revision: ended grants must be known soon (R26).
const lookWithin = 2 * time.Second

// Watch looks at the revision, which this process or another may have changed, and
// calls look with it after every time, also if it is the same as before: whoever
// was told knows that nothing else had happened when that look began. It looks at
// once, then once every so often, which must be more than zero, and sooner when
// nudged. It calls look from its own goroutine, one call at a time.
//
// It returns nil when ctx ends, and an error when the database cannot be read
// within two seconds: log it and call Watch again.
func (s *Store) Watch(ctx context.Context, every time.Duration, look func(revision int64)) error {
	err := s.watch(ctx, every, look)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("watch the revision: %w", err)
	}
	return nil
}

// Nudge lets a running Watch look at once. It never waits. If several run, one of
// them looks.
func (s *Store) Nudge() {
	select {
	case s.nudged <- struct{}{}:
	default: // it is about to look
	}
}

// watch has a connection for itself, so that it never waits for one that others use.
func (s *Store) watch(ctx context.Context, every time.Duration, look func(revision int64)) error {
	connecting, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := s.read.Conn(connecting)
	if err != nil {
		return err
	}
	defer conn.Close()
	ticker := time.NewTicker(every)
	defer ticker.Stop()

	read := s.engine.looker(conn)
	for {
		revision, err := readWithin(ctx, read)
		if err != nil {
			return err
		}
		look(revision)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.nudged:
		}
	}
}

func readWithin(ctx context.Context, read func(ctx context.Context) (int64, error)) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	return read(ctx)
}
