package store_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/store"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/test/backends"
)

// frozen is a database of the first release, as testdata has it.
func frozen(t *testing.T, engine string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + engine + "/00005.sql")
	if err != nil {
		t.Fatalf("read the dump: %v", err)
	}
	return string(text)
}

// frozenHash is the hash of a code or token in the dumps.
func frozenHash(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// TestUpgradeFromTheFirstRelease: what the first release has written is read as it
// was meant, after all migrations that came later.
func TestUpgradeFromTheFirstRelease(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "signpost.db")
		exec(t, path, frozen(t, "sqlite"))
		upgrade(t, openSQLite(t, path))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := backends.Postgres(t)
		// Many statements in one text are for the simple protocol, and the dump
		// changes the settings of its session.
		load := plainPostgres(t, url+"&default_query_exec_mode=simple_protocol")
		if _, err := load.ExecContext(t.Context(), frozen(t, "postgres")); err != nil {
			t.Fatalf("load the dump: %v", err)
		}
		upgrade(t, openPostgres(t, url))
	})
}

func upgrade(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Check(t.Context()); err == nil {
		t.Error("Check of the first release's database = nil, want ErrOlder")
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	if err := s.CheckKey(t.Context()); err != nil {
		t.Errorf("CheckKey: %v", err)
	}
	if base, err := s.BaseURL(t.Context()); err != nil || base != "https://id.example.com" {
		t.Errorf("BaseURL = %q, %v", base, err)
	}
	readFrozenFacts(t, s)
	readFrozenPeople(t, s)
	goOnFromFrozen(t, s)
}

func readFrozenFacts(t *testing.T, s *store.Store) {
	t.Helper()
	tenants, revision, err := s.Tenants(t.Context())
	if err != nil || revision != 3 || len(tenants) != 2 {
		t.Fatalf("Tenants = %d tenants at %d, %v, want two at 3", len(tenants), revision, err)
	}
	example := tenants[0]
	if example.Name != "example" || len(example.Domains) != 2 || len(example.Scopes) != 1 || !example.Scopes[0].Broad {
		t.Errorf("the first tenant is %+v", example)
	}
	if p := example.IdentityProviders; len(p) != 2 || p[0].ClientSecret != "correct horse" || p[1].ClientSecret != "" {
		t.Errorf("the identity providers are %+v", p)
	}
	if v := example.Services; len(v) != 1 || !v[0].InBroad || v[0].Insecure || v[0].Lifetime != 15*time.Minute || v[0].Endpoints[0].Port != 993 {
		t.Errorf("the services are %+v", v)
	}
	if !reflect.DeepEqual(example.Clients, directory.ClientPolicy{}) || example.FixedClients != nil || example.ResourceServers != nil || example.Services[0].DPoP != "" {
		t.Errorf("the first tenant has facts that the first release did not know: %+v", example)
	}
	if example.TokenProfiles != nil || example.BroadToken != "" || example.IdentityProviders[0].KeepClaims != nil {
		t.Errorf("the first tenant has facts that the first release did not know: %+v", example)
	}
	if v := example.Services[0]; v.Condition != "" || v.AppPasswords || v.Source != "" || v.UnexpiringTokens {
		t.Errorf("the first service has facts that the first release did not know: %+v", v)
	}
	want := []keys.Stored{{ID: "key-1", Use: keys.UseAccess, Algorithm: "ES256", Sealed: []byte("a sealed key"), CreatedAt: frozenAt}}
	if got, err := s.Keys(t.Context(), "example"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Keys = %+v, %v, want %+v", got, err, want)
	}
}

const frozenAccount = "alice-0000000000000000"

var frozenAt = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func readFrozenPeople(t *testing.T, s *store.Store) {
	t.Helper()
	account := issuer.Account{
		ID: frozenAccount, UpstreamIssuer: "https://login.example.com", UpstreamSubject: "upstream-alice",
		Addresses: []string{"alice@example.com"}, Login: "alice", Name: "Alice Example", CreatedAt: frozenAt, LastSignInAt: frozenAt,
	}
	if got, err := s.Account(t.Context(), "example", frozenAccount); err != nil || !reflect.DeepEqual(got, account) {
		t.Errorf("Account = %+v, %v\nwant %+v", got, err, account)
	}
	living := issuer.Grant{
		ID: "living", AccountID: frozenAccount, ClientID: "open", Scopes: "openid offline_access", Resources: []string{"imap.example.com"},
		OriginHash: frozenHash("living code"), CreatedAt: frozenAt, LastUsedAt: frozenAt.Add(time.Hour),
	}
	ended := living
	ended.ID, ended.OriginHash, ended.LastUsedAt = "ended", frozenHash("ended code"), frozenAt
	ended.EndedAt, ended.EndedReason = frozenAt.Add(2*time.Hour), "revoked"
	for _, want := range []issuer.Grant{living, ended} {
		if got, err := s.Grant(t.Context(), "example", want.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Grant(%s) = %+v, %v\nwant %+v", want.ID, got, err, want)
		}
	}
	refresh := issuer.Refresh{Hash: frozenHash("living token"), GrantID: "living", CreatedAt: frozenAt, UsedAt: frozenAt.Add(time.Hour), Grant: living}
	if got, err := s.Refresh(t.Context(), "example", refresh.Hash); err != nil || !reflect.DeepEqual(got, refresh) {
		t.Errorf("Refresh = %+v, %v\nwant %+v", got, err, refresh)
	}
	if got, revision, err := s.Ended(t.Context(), 2); err != nil || revision != 3 || !slices.Equal(got, []issuer.EndedGrant{{Tenant: "example", ID: "ended"}}) {
		t.Errorf("Ended(2) = %v at %d, %v, want the one that had ended, at 3", got, revision, err)
	}
}

// goOnFromFrozen does what happens next in the life of an upgraded database.
func goOnFromFrozen(t *testing.T, s *store.Store) {
	t.Helper()
	rotation := issuer.Rotation{
		Presented: frozenHash("living token"), Successor: frozenHash("offered"), Sealed: []byte("offered"),
		Now: frozenAt.Add(time.Hour + time.Second), Window: 30 * time.Second, Repeats: 10,
	}
	if sealed, err := s.Rotate(t.Context(), "example", rotation); err != nil || string(sealed) != "a sealed successor" {
		t.Errorf("Rotate = %q, %v, want the successor of the first release", sealed, err)
	}
	// The first release's key heads its line.
	late := keys.Stored{ID: "late", Use: keys.UseAccess, Algorithm: "ES256", Sealed: []byte("late"), CreatedAt: frozenAt}
	if kept, err := s.AddKey(t.Context(), "example", late); kept || err != nil {
		t.Errorf("AddKey = %v, %v, want it not kept beside the first release's", kept, err)
	}
	if err := s.EndGrant(t.Context(), "example", "living", "revoked", frozenAt); err != nil {
		t.Errorf("EndGrant: %v", err)
	}
	if got, revision, err := s.Ended(t.Context(), 3); err != nil || revision != 4 || !slices.Equal(got, []issuer.EndedGrant{{Tenant: "example", ID: "living"}}) {
		t.Errorf("Ended(3) = %v at %d, %v, want the one that ends now, at 4", got, revision, err)
	}
	if err := s.ReplaceKey(t.Context(), "example", keys.Replacement{Head: "key-1", Next: late, RemovedAt: frozenAt}); err != nil {
		t.Errorf("ReplaceKey of the first release's key: %v", err)
	}
	if err := s.Record(t.Context(), audit.Event{At: frozenAt, Kind: audit.KindApplied}); err != nil {
		t.Errorf("Record: %v", err)
	}
	if _, err := s.SaveTenants(t.Context(), 4, nil, []string{"example", "other"}); err != nil {
		t.Errorf("SaveTenants(remove both): %v", err)
	}
}

// TestTheReleaseBeforeGoesOn has what a Signpost that knows the schema of version 6
// writes beside one that has migrated further, and reads all of it as it was meant.
func TestTheReleaseBeforeGoesOn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s := d.open(t)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		for _, statement := range []string{
			`INSERT INTO tenants (name, position, placement, title, help) VALUES ('example', 1, 'base', '', '')`,
			`INSERT INTO audiences (audience, tenant) VALUES ('mail.example.com', 'example')`,
			`INSERT INTO services (tenant, id, position, sort_order, protocol, title, endpoints, audience, scopes,
				authentication, username, profile, algorithm, lifetime, credential, in_broad, insecure)
			 VALUES ('example', 'mail', 0, 0, 'imap', '', '[]', 'mail.example.com', '[]', '[]', '', '', '', 0, '', true, false)`,
			`INSERT INTO accounts (tenant, id, upstream_issuer, upstream_subject, addresses, login, name, created_at, last_sign_in_at)
			 VALUES ('example', 'alice', 'https://login.example.com', '1', '[]', '', '', 1, 1)`,
			`INSERT INTO grants (tenant, id, account_id, client_id, scopes, resources, origin_hash, created_at, last_used_at, ended_at, ended_reason)
			 SELECT 'example', 'grant', 'alice', 'open', 'openid', 'null', ` + d.bytes("01234567890123456789012345678901") + `, 1, 1, NULL, ''`,
			`INSERT INTO signing_keys (tenant, id, use, algorithm, sealed, created_at)
			 SELECT 'example', 'key', 'access', 'ES256', ` + d.bytes("sealed") + `, 1`,
			`INSERT INTO audit_events (at, kind, tenant, account_id, client_id, grant_id, service, scope, rule, outcome, subject_hash, request_id)
			 VALUES (1, 'token', 'example', 'alice', 'open', 'grant', '', 'openid', 'code/allowed', 'allowed', '', 'r')`,
		} {
			d.exec(t, statement)
		}

		tenants, _, err := s.Tenants(t.Context())
		if err != nil || len(tenants) != 1 || !reflect.DeepEqual(tenants[0].Clients, directory.ClientPolicy{}) || tenants[0].Services[0].DPoP != "" {
			t.Errorf("Tenants = %+v, %v, want one with the zero policy and a service without DPoP", tenants, err)
		}
		first := time.UnixMilli(1).UTC()
		if a, err := s.Account(t.Context(), "example", "alice"); err != nil || a.Claims != nil {
			t.Errorf("Account = %+v, %v, want one without claims", a, err)
		}
		event := audit.Event{
			At: first, Kind: audit.KindToken, Tenant: "example", Account: "alice", Client: "open", Grant: "grant",
			Scope: "openid", Rule: "code/allowed", Outcome: audit.Allowed, RequestID: "r",
		}
		if got, err := s.Events(t.Context(), audit.Query{}); err != nil || len(got) != 1 || got[0].Event != event {
			t.Errorf("Events = %+v, %v, want %+v", got, err, event)
		}
		grant := issuer.Grant{
			ID: "grant", AccountID: "alice", ClientID: "open", Scopes: "openid",
			OriginHash: []byte("01234567890123456789012345678901"), CreatedAt: first, LastUsedAt: first,
		}
		if got, err := s.Grant(t.Context(), "example", "grant"); err != nil || !reflect.DeepEqual(got, grant) {
			t.Errorf("Grant = %+v, %v\nwant %+v", got, err, grant)
		}
		want := []keys.Stored{{ID: "key", Use: keys.UseAccess, Algorithm: "ES256", Sealed: []byte("sealed"), CreatedAt: first}}
		if got, err := s.Keys(t.Context(), "example"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Keys = %+v, %v, want %+v", got, err, want)
		}
	})
}
