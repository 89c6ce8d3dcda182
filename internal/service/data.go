package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"signpost/directory"
	"signpost/internal/seal"
	"signpost/internal/store"
)

func databaseFile(c Config) string { return filepath.Join(c.DataDir, "signpost.db") }

// openData opens the database and the key that seals it, and makes what is missing.
// A database that was there before is brought to this program's schema only if
// migrate says so, and must have been sealed with the same key.
func openData(ctx context.Context, c Config, migrate bool) (*seal.Box, *store.Store, error) {
	open := openFile
	if c.DatabaseURL != "" {
		open = openShared
	}
	box, db, isNew, err := open(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if err := prepare(ctx, db, migrate, isNew); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return box, db, nil
}

// openShared opens the PostgreSQL database. Its key is configured: Load demands it.
func openShared(ctx context.Context, c Config) (box *seal.Box, db *store.Store, isNew bool, err error) {
	if box, err = openBox(c, true); err != nil {
		return nil, nil, false, err
	}
	if db, err = store.OpenPostgres(ctx, string(c.DatabaseURL), box); err != nil {
		return nil, nil, false, err
	}
	if isNew, err = db.Empty(ctx); err != nil {
		return nil, nil, false, errors.Join(err, db.Close())
	}
	return box, db, isNew, nil
}

// openFile opens the SQLite database in the data folder.
func openFile(ctx context.Context, c Config) (box *seal.Box, db *store.Store, isNew bool, err error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, nil, false, fmt.Errorf("make data folder: %w", err)
	}
	if err := checkDataDir(c.DataDir); err != nil {
		return nil, nil, false, err
	}
	exists, err := databaseExists(c)
	if err != nil {
		return nil, nil, false, err
	}
	if box, err = openBox(c, exists); err != nil {
		return nil, nil, false, err
	}
	db, err = store.OpenSQLite(ctx, databaseFile(c), box)
	return box, db, !exists, err
}

func prepare(ctx context.Context, db *store.Store, migrate, isNew bool) error {
	schema := db.Check
	if migrate || isNew {
		schema = db.Migrate
	}
	if err := schema(ctx); err != nil {
		return err
	}
	if isNew {
		if err := db.KeepKey(ctx); err != nil {
			return err
		}
	}
	return checkKey(ctx, db) // of a new one too: somebody else may have made it in this moment
}

// checkKey says which key is wanted if the database was sealed with another one.
func checkKey(ctx context.Context, db *store.Store) error {
	err := db.CheckKey(ctx)
	if errors.Is(err, store.ErrKey) {
		return fmt.Errorf("%w: give the one that was used when it was made, as secret.key in the data folder or with secret_key or secret_key_file", err)
	}
	return err
}

// lookAtData opens the database that is there and makes nothing. Without a
// database it returns nil.
func lookAtData(ctx context.Context, c Config) (*store.Store, error) {
	if c.DatabaseURL != "" {
		_, db, isNew, err := openShared(ctx, c)
		if err == nil && isNew {
			return nil, db.Close()
		}
		return db, err
	}
	exists, err := databaseExists(c)
	if err != nil || !exists {
		return nil, err
	}
	if err := checkDataDir(c.DataDir); err != nil {
		return nil, err
	}
	box, err := openBox(c, true)
	if err != nil {
		return nil, err
	}
	return store.OpenSQLite(ctx, databaseFile(c), box)
}

// databaseExists tells a database that somebody has used from none.
func databaseExists(c Config) (bool, error) {
	info, err := os.Stat(databaseFile(c))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the database: %w", err)
	}
	return info.Size() > 0, nil
}

// checkDataDir refuses a data folder in which others could put files.
func checkDataDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at data folder: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to the data folder %s; run: chmod 700 %s", dir, dir)
	}
	return nil
}

// openBox finds the key that seals: as configured, or in the data folder, where
// it is made at the first start. A database that exists has a key already: a new
// one would open nothing in it.
func openBox(c Config, databaseExists bool) (*seal.Box, error) {
	if c.SecretKey != "" {
		parsed, err := seal.ParseKeys(string(c.SecretKey))
		if err != nil {
			return nil, err
		}
		return seal.New(parsed...)
	}
	file := filepath.Join(c.DataDir, "secret.key")
	if !databaseExists {
		return seal.LoadOrCreate(file)
	}
	box, err := seal.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("secret.key is missing: the database in %s was sealed with a key that is not there; bring secret.key back from its backup, or give the key with secret_key or secret_key_file", c.DataDir)
	}
	return box, err
}

// misfitError says that tenants do not fit together under a base URL.
type misfitError struct {
	base  string
	cause error // names the tenant
}

func (e misfitError) Error() string {
	return fmt.Sprintf("what is declared does not fit the base URL %s: %v", e.base, e.cause)
}

func (e misfitError) Unwrap() error { return e.cause }

// compile is directory.Compile. The error is a misfitError.
func compile(base string, tenants []directory.Tenant, revision int64) (*directory.Snapshot, error) {
	snapshot, err := directory.Compile(base, tenants, revision)
	if err != nil {
		return nil, misfitError{base, err}
	}
	return snapshot, nil
}
