package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"signpost/directory"
)

// TestBackupIsOneMoment copies the database while a change is half done.
func TestBackupIsOneMoment(t *testing.T) {
	t.Parallel()
	s, path := migrated(t)
	tenant := directory.Tenant{Name: "example", Placement: directory.PlacementBase}
	if _, err := s.SaveTenants(t.Context(), 0, []directory.Tenant{tenant}, nil); err != nil {
		t.Fatalf("SaveTenants: %v", err)
	}
	writer, err := plain(t, path).Conn(t.Context())
	if err != nil {
		t.Fatalf("open a connection: %v", err)
	}
	defer writer.Close()
	for _, statement := range []string{`BEGIN IMMEDIATE`, `UPDATE revision SET value = 7`} {
		if _, err := writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}

	for _, name := range []string{"copy.db", "file:copy it's 100%.db?mode=memory"} {
		copied := filepath.Join(t.TempDir(), name)
		if err := s.Backup(t.Context(), copied); err != nil {
			t.Fatalf("Backup to %q: %v", name, err)
		}
		info, err := os.Stat(copied)
		if err != nil {
			t.Fatalf("look at the copy: %v", err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("the copy has mode %o, want 600", got)
		}
		again := openSQLite(t, copied)
		if err := again.Check(t.Context()); err != nil {
			t.Errorf("Check of the copy = %v, want nil", err)
		}
		if tenants, revision, err := again.Tenants(t.Context()); err != nil || len(tenants) != 1 || revision != 1 {
			t.Errorf("the copy has %d tenants at %d, %v, want one at 1", len(tenants), revision, err)
		}
	}
	if _, err := writer.ExecContext(t.Context(), `COMMIT`); err != nil {
		t.Fatalf("COMMIT: %v", err)
	}
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	s, path := migrated(t)
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatalf("write %s: %v", taken, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "target"), link); err != nil {
		t.Fatalf("link: %v", err)
	}
	for name, target := range map[string]string{
		"an empty file": taken, "the database itself": path, "a link": link, "a directory": t.TempDir(),
	} {
		if err := s.Backup(t.Context(), target); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Backup to %s = %v, want it refused because it exists", name, err)
		}
	}
	if err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "missing", "copy.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Backup to a missing directory = %v, want that it does not exist", err)
	}
}

// TestBackupLeavesNoHalfCopy has a store that is closed when the copy begins.
func TestBackupLeavesNoHalfCopy(t *testing.T) {
	t.Parallel()
	s, _ := migrated(t)
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	target := filepath.Join(t.TempDir(), "copy.db")
	if err := s.Backup(t.Context(), target); err == nil {
		t.Error("Backup of a closed store = nil, want an error")
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a copy stays behind: %v", err)
	}
}
