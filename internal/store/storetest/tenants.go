package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"signpost/directory"
)

func loadTenants(t *testing.T, s Engine) ([]directory.Tenant, int64) {
	t.Helper()
	tenants, revision, err := s.Tenants(t.Context())
	if err != nil {
		t.Fatalf("Tenants: %v", err)
	}
	return tenants, revision
}

// mustHave fails unless the store has exactly these tenants.
func mustHave(t *testing.T, s Engine, want ...directory.Tenant) {
	t.Helper()
	got, _ := loadTenants(t, s)
	if len(got) != len(want) {
		t.Fatalf("got %d tenants, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("tenant %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func testTenantsEmpty(t *testing.T, s Store) {
	tenants, revision := loadTenants(t, s)
	if len(tenants) != 0 || revision != 0 {
		t.Errorf("a new store has %d tenants at revision %d, want none at 0", len(tenants), revision)
	}
}

func testTenantsRoundTrip(t *testing.T, s Store) {
	if got := save(t, s, 0, exampleTenant(), otherTenant()); got != 1 {
		t.Errorf("SaveTenants returned revision %d, want 1", got)
	}
	mustHave(t, s, exampleTenant(), otherTenant())
	mustHave(t, s.Again(t), exampleTenant(), otherTenant())
	if _, got := loadTenants(t, s); got != 1 {
		t.Errorf("Tenants returned revision %d, want 1", got)
	}
	// What the sample lacks would compare equal by accident.
	tenants, _ := loadTenants(t, s)
	mustUseEveryField(t, reflect.ValueOf(tenants[0]))
	if got := string(tenants[0].IdentityProviders[0].ClientSecret); got != "correct horse battery staple" {
		t.Errorf("the client secret came back as %q", got)
	}
}

// mustUseEveryField fails unless each field of each struct in a value is set in at least one
// of them, so that a field which is added to a declared thing is saved and loaded as well.
func mustUseEveryField(t *testing.T, sample reflect.Value) {
	t.Helper()
	used := map[string]bool{}
	noteFields(sample, used)
	for field, set := range used {
		if !set {
			t.Errorf("nothing in the sample sets %s: is it saved?", field)
		}
	}
	if len(used) < 80 {
		t.Errorf("only %d fields were looked at: is the sample read whole?", len(used))
	}
}

func noteFields(v reflect.Value, used map[string]bool) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			noteFields(v.Index(i), used)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().String() + "." + v.Type().Field(i).Name
			used[name] = used[name] || !v.Field(i).IsZero()
			noteFields(v.Field(i), used)
		}
	}
}

func testTenantsOrder(t *testing.T, s Store) {
	named := func(name string) directory.Tenant {
		return directory.Tenant{Name: name, Placement: directory.PlacementPath, Title: name}
	}
	save(t, s, 0, named("zebra"), named("ant"))
	save(t, s, 1, named("mole"))
	save(t, s, 2, named("ant"), named("bee"), named("zebra"))
	mustHave(t, s, named("zebra"), named("ant"), named("mole"), named("bee"))
}

func testServiceOrder(t *testing.T, s Store) {
	service := func(id string, order int) directory.Service {
		return directory.Service{ID: id, Protocol: directory.ProtocolIMAP, Audience: "mail.example.com", Order: order}
	}
	tenant := directory.Tenant{Name: "example", Placement: directory.PlacementBase}
	tenant.Services = []directory.Service{service("last", 7), service("b", 0), service("a", 0), service("first", -1)}
	save(t, s, 0, tenant)
	tenant.Services = []directory.Service{service("first", -1), service("b", 0), service("a", 0), service("last", 7)}
	mustHave(t, s, tenant)
}

func testSaveReplaces(t *testing.T, s Store) {
	seed(t, s)
	changed := exampleTenant()
	changed.Placement = "https://id.example.com"
	changed.Title = "Example, renamed"
	changed.Help = ""
	changed.Domains = changed.Domains[1:]
	changed.IdentityProviders = changed.IdentityProviders[1:]
	changed.IdentityProviders[0].ClientSecret = "another secret"
	changed.Services = changed.Services[2:]
	changed.Services[0].Order = 0
	changed.Services[0].DPoP = directory.DPoPRequires
	changed.Scopes = nil
	changed.Clients = directory.ClientPolicy{OpenOff: true}
	changed.FixedClients = changed.FixedClients[1:]
	changed.FixedClients[0].Name = "Batch, renamed"
	changed.ResourceServers = changed.ResourceServers[:1]
	changed.ResourceServers[0].SecretHash = hash("another secret")
	changed.TokenProfiles = changed.TokenProfiles[1:]
	changed.BroadToken = ""
	save(t, s, seeded, changed)
	mustHave(t, s, changed, otherTenant())
}

func testSaveKeepsPeople(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	if kept, err := s.AddKey(t.Context(), "example", key("key-1")); !kept || err != nil {
		t.Fatalf("AddKey = %v, %v, want it kept", kept, err)
	}
	changed := exampleTenant()
	changed.IdentityProviders = nil
	changed.Domains = nil
	changed.Services = nil
	save(t, s, revision(t, s), changed)

	if a, err := s.Account(t.Context(), "example", g.AccountID); err != nil || !reflect.DeepEqual(a, account("alice")) {
		t.Errorf("the account is %+v, %v after its identity provider was removed, want it unchanged", a, err)
	}
	mustLive(t, s, "example", g.ID)
	if _, err := s.Refresh(t.Context(), "example", hash("first")); err != nil {
		t.Errorf("Refresh after saving the tenant: %v, want the token", err)
	}
	if keys, err := s.Keys(t.Context(), "example"); err != nil || len(keys) != 1 {
		t.Errorf("the tenant has %d keys, %v after it was saved, want 1", len(keys), err)
	}
}

func testRemove(t *testing.T, s Store) {
	seed(t, s)
	for _, tenant := range []string{"example", "other"} {
		g := createGrant(t, s, tenant)
		if err := s.KeepConsent(t.Context(), tenant, g.AccountID, g.ClientID, g.Scopes, start); err != nil {
			t.Fatalf("KeepConsent(%s): %v", tenant, err)
		}
		registered := grant(account("alice"), "registered at "+tenant)
		registered.Registration = []byte("what the id says")
		if err := s.CreateGrant(t.Context(), tenant, registered, nil); err != nil {
			t.Fatalf("CreateGrant(%s): %v", tenant, err)
		}
		if _, err := s.AddKey(t.Context(), tenant, key("key-1")); err != nil {
			t.Fatalf("AddKey(%s): %v", tenant, err)
		}
		if err := s.Record(t.Context(), event(tenant)); err != nil {
			t.Fatalf("Record(%s): %v", tenant, err)
		}
	}
	if _, err := s.SaveTenants(t.Context(), revision(t, s), nil, []string{"example"}); err != nil {
		t.Fatalf("SaveTenants(remove example): %v", err)
	}
	mustHave(t, s, otherTenant())
	for _, table := range []string{
		"domains", "identity_providers", "services", "audiences", "scopes", "fixed_clients", "resource_servers",
		"accounts", "account_names", "grants", "refresh_tokens", "consents", "registrations", "signing_keys",
	} {
		if rows := s.Rows(t, "SELECT tenant FROM "+table+" WHERE tenant = 'example'"); len(rows) != 0 {
			t.Errorf("%s keeps %d rows of a tenant that was removed", table, len(rows))
		}
	}
	for _, table := range []string{
		"domains", "accounts", "account_names", "grants", "refresh_tokens", "consents", "registrations", "signing_keys",
	} {
		if rows := s.Rows(t, "SELECT tenant FROM "+table+" WHERE tenant = 'other'"); len(rows) == 0 {
			t.Errorf("%s lost the rows of a tenant that stays", table)
		}
	}
	if rows := s.Rows(t, "SELECT kind FROM audit_events WHERE tenant = 'example'"); len(rows) != 1 {
		t.Errorf("the audit record has %d events of a tenant that was removed, want 1", len(rows))
	}
}

func testRemoveUnknown(t *testing.T, s Store) {
	seed(t, s)
	changed := exampleTenant()
	changed.Title = "must not be written"
	_, err := s.SaveTenants(t.Context(), seeded, []directory.Tenant{changed}, []string{"nobody"})
	if !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("removing an unknown tenant = %v, want ErrNotFound", err)
	}
	mustHave(t, s, exampleTenant(), otherTenant())
	if got := revision(t, s); got != seeded {
		t.Errorf("the revision is %d, want %d as before", got, seeded)
	}
}

func testFactsMove(t *testing.T, s Store) {
	seed(t, s)
	left, right := exampleTenant(), otherTenant()
	left.Placement, right.Placement = "https://id.example.com", directory.PlacementBase
	left.Domains, right.Domains = right.Domains, left.Domains
	left.Services, right.Services = nil, left.Services
	save(t, s, seeded, left, right)
	mustHave(t, s, left, right)

	left.Placement, right.Placement = right.Placement, left.Placement
	left.Services, right.Services = right.Services, nil
	save(t, s, seeded+1, right, left)
	mustHave(t, s, left, right)

	third := directory.Tenant{Name: "third", Placement: left.Placement, Domains: left.Domains, Services: left.Services}
	if _, err := s.SaveTenants(t.Context(), seeded+2, []directory.Tenant{third}, []string{left.Name}); err != nil {
		t.Fatalf("SaveTenants(the place of a removed tenant): %v", err)
	}
	mustHave(t, s, right, third)
}

func testFactsTaken(t *testing.T, s Store) {
	seed(t, s)
	for name, change := range map[string]func(*directory.Tenant){
		"domain":    func(o *directory.Tenant) { o.Domains = exampleTenant().Domains[:1] },
		"base URL":  func(o *directory.Tenant) { o.Placement = directory.PlacementBase },
		"audience":  func(o *directory.Tenant) { o.Services = exampleTenant().Services[:1] },
		"own twice": func(o *directory.Tenant) { o.Domains = append(o.Domains, o.Domains[0]) },
	} {
		o := otherTenant()
		o.Title = "must not be written"
		change(&o)
		if _, err := s.SaveTenants(t.Context(), seeded, []directory.Tenant{o}, nil); err == nil {
			t.Errorf("a tenant was saved with a %s that is taken", name)
		}
	}
	mustHave(t, s, exampleTenant(), otherTenant())
	if got := revision(t, s); got != seeded {
		t.Errorf("the revision is %d after refusals, want %d as before", got, seeded)
	}
}

func testStaleRevision(t *testing.T, s Store) {
	seed(t, s)
	for _, base := range []int64{seeded - 1, seeded + 1, -1} {
		changed := otherTenant()
		changed.Title = "must not be written"
		_, err := s.SaveTenants(t.Context(), base, []directory.Tenant{changed}, []string{"example"})
		if !errors.Is(err, directory.ErrConflict) {
			t.Errorf("SaveTenants(base %d) at revision %d = %v, want ErrConflict", base, seeded, err)
		}
	}
	mustHave(t, s, exampleTenant(), otherTenant())
	if got := revision(t, s); got != seeded {
		t.Errorf("the revision is %d after conflicts, want %d as before", got, seeded)
	}
}

func testBellIsNoConflict(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	_, base := loadTenants(t, s)
	if err := s.EndGrant(t.Context(), "example", g.ID, "revoked", start); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	if got, want := save(t, s, base, otherTenant()), base+2; got != want {
		t.Errorf("SaveTenants returned revision %d, want %d: one for the grant, one for the facts", got, want)
	}
	if _, err := s.SaveTenants(t.Context(), base+1, nil, []string{"other"}); !errors.Is(err, directory.ErrConflict) {
		t.Errorf("SaveTenants from before the last change of facts = %v, want ErrConflict", err)
	}
}

func testRacingSavers(t *testing.T, s Store) {
	seed(t, s)
	var won, lost atomic.Int32
	race(t, s, func(racer int, engine Engine) {
		changed := otherTenant()
		changed.Title = fmt.Sprintf("Other, saved by %d", racer)
		_, err := engine.SaveTenants(t.Context(), seeded, []directory.Tenant{changed}, nil)
		switch {
		case err == nil:
			won.Add(1)
		case errors.Is(err, directory.ErrConflict):
			lost.Add(1)
		default:
			t.Errorf("SaveTenants by racer %d: %v", racer, err)
		}
	})
	if won.Load() != 1 || lost.Load() != racers-1 {
		t.Errorf("%d savers won and %d got ErrConflict, want 1 and %d", won.Load(), lost.Load(), racers-1)
	}
}

// testClientPolicy saves a policy with one member at a time: none is taken for another.
func testClientPolicy(t *testing.T, s Store) {
	tenant := directory.Tenant{Name: "example", Placement: directory.PlacementBase}
	match := []directory.ClientMatch{{ID: "a"}, {IDHash: "b"}, {SoftwareID: "c"}, {Redirect: "d"}, {Host: "e"}}
	for base, policy := range []directory.ClientPolicy{
		{}, {RegistrationOff: true}, {URLsOff: true}, {OpenOff: true}, {BuiltInOff: []string{"x"}},
		{Device: directory.DeviceOff}, {Allow: match}, {Deny: match}, {Condition: "true"}, {},
	} {
		tenant.Clients = policy
		save(t, s, int64(base), tenant)
		mustHave(t, s, tenant)
	}
	if rows := s.Rows(t, "SELECT clients FROM tenants"); len(rows) != 1 || rows[0] != "{}" {
		t.Errorf("the zero policy is stored as %q, want {}", rows)
	}
}

func testSecretsSealed(t *testing.T, s Store) {
	seed(t, s)
	rows := s.Rows(t, "SELECT name, client_secret FROM identity_providers WHERE tenant = 'example' ORDER BY position")
	if len(rows) != 2 {
		t.Fatalf("got %d identity providers, want 2", len(rows))
	}
	if strings.Contains(rows[0], "correct horse") || strings.Contains(rows[0], "NULL") {
		t.Errorf("the client secret is stored as %q, want it sealed", rows[0])
	}
	if want := "guests|NULL"; rows[1] != want {
		t.Errorf("a public client is stored as %q, want %q", rows[1], want)
	}
}

// testManyDomains is a hoster with more domains than one statement takes.
func testManyDomains(t *testing.T, s Store) {
	hoster := directory.Tenant{Name: "hoster", Placement: directory.PlacementBase}
	for i := range 2_000 {
		hoster.Domains = append(hoster.Domains, directory.Domain{Name: fmt.Sprintf("customer-%d.example", i), Verification: directory.VerificationOperator})
	}
	for base := range int64(2) {
		save(t, s, base, hoster)
	}
	tenants, _ := loadTenants(t, s)
	if len(tenants) != 1 || !reflect.DeepEqual(tenants[0].Domains, hoster.Domains) {
		t.Errorf("got %d tenants whose domains are not the %d saved ones in their order", len(tenants), len(hoster.Domains))
	}
}
