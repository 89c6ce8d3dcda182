package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/store"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
)

// TestMethodsReportABrokenDatabase: a database that is away is no answer. None of
// the errors may look like one that says what the database holds.
func TestMethodsReportABrokenDatabase(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s := d.open(t)
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		mustReport(t, s)
	})
}

func mustReport(t *testing.T, s *store.Store) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	for method, call := range map[string]func() error{
		"Tenants":            func() error { _, _, err := s.Tenants(ctx); return err },
		"SaveTenants":        func() error { _, err := s.SaveTenants(ctx, 0, nil, nil); return err },
		"SaveAccount":        func() error { _, err := s.SaveAccount(ctx, "example", issuer.Account{}); return err },
		"Account":            func() error { _, err := s.Account(ctx, "example", "id"); return err },
		"CreateGrant":        func() error { return s.CreateGrant(ctx, "example", issuer.Grant{}, nil) },
		"EndReplayed":        func() error { _, err := s.EndReplayed(ctx, "example", nil, now, now); return err },
		"Grant":              func() error { _, err := s.Grant(ctx, "example", "id"); return err },
		"EndGrant":           func() error { return s.EndGrant(ctx, "example", "id", "revoked", now) },
		"Refresh":            func() error { _, err := s.Refresh(ctx, "example", nil); return err },
		"Rotate":             func() error { _, err := s.Rotate(ctx, "example", issuer.Rotation{}); return err },
		"Keys":               func() error { _, err := s.Keys(ctx, "example"); return err },
		"AddKey":             func() error { _, err := s.AddKey(ctx, "example", keys.Stored{}); return err },
		"KeepKey":            func() error { return s.KeepKey(ctx) },
		"CheckKey":           func() error { return s.CheckKey(ctx) },
		"KeepBaseURL":        func() error { return s.KeepBaseURL(ctx, "https://id.example.com") },
		"BaseURL":            func() error { _, err := s.BaseURL(ctx); return err },
		"Record":             func() error { return s.Record(ctx, audit.Event{At: now}) },
		"RecordAll":          func() error { return s.RecordAll(ctx, []audit.Event{{At: now}}) },
		"Events":             func() error { _, err := s.Events(ctx, audit.Query{}); return err },
		"PruneAudit":         func() error { _, err := s.PruneAudit(ctx, time.UnixMilli(0), 1); return err },
		"PruneRefreshTokens": func() error { _, err := s.PruneRefreshTokens(ctx, now, 1); return err },
		"PruneGrants":        func() error { _, err := s.PruneGrants(ctx, now, 1); return err },
		"PruneAppPasswords":  func() error { _, err := s.PruneAppPasswords(ctx, now, 1); return err },
		"Ended":              func() error { _, _, err := s.Ended(ctx, 0); return err },
		"Facts":              func() error { _, err := s.Facts(ctx); return err },
		"Empty":              func() error { _, err := s.Empty(ctx); return err },
		"Ping":               func() error { return s.Ping(ctx) },
		"Backup":             func() error { return s.Backup(ctx, filepath.Join(t.TempDir(), "copy.db")) },
		"Revision":           func() error { _, err := s.Revision(ctx); return err },
		"Watch":              func() error { return s.Watch(ctx, time.Hour, func(int64) {}) },
		"Check":              func() error { return s.Check(ctx) },
		"Migrate":            func() error { return s.Migrate(ctx) },
	} {
		err := call()
		if err == nil {
			t.Errorf("%s of a closed store = nil, want an error", method)
		}
		for _, answer := range []error{
			directory.ErrNotFound, directory.ErrConflict,
			store.ErrKey, issuer.ErrNotFound, issuer.ErrTaken, issuer.ErrReplayed, issuer.ErrReused, issuer.ErrEnded,
		} {
			if errors.Is(err, answer) {
				t.Errorf("%s of a closed store = %v, which claims %v", method, err, answer)
			}
		}
	}
}
