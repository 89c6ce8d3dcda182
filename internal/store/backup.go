package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNoBackup means that the database is not Signpost's to copy. Its text says what
// copies it.
var ErrNoBackup = errors.New("store: a PostgreSQL database is copied with pg_dump")

// Backup copies the database, as it is at one moment, to a new file that its owner
// alone can read, while others go on using it. A file that exists is refused. The
// key that seals the database is not in the copy. For PostgreSQL it returns ErrNoBackup.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.engine.backup(ctx, s, path); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return nil
}

// backup makes the file itself, empty, because SQLite would let others read it.
func (sqliteEngine) backup(ctx context.Context, s *Store, path string) (err error) {
	if path, err = filepath.Abs(path); err != nil { // what begins with "file:" is no path to SQLite
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	conn, err := s.write.Conn(ctx) // readers may not even write elsewhere
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil {
		return err
	}
	// SQLite leaves it to the system when the copy reaches the disk.
	if err := file.Sync(); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func (postgresEngine) backup(context.Context, *Store, string) error { return ErrNoBackup }
