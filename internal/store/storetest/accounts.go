package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc/issuer"
)

func testAccounts(t *testing.T, s Store) {
	seed(t, s)
	if got := saveAccount(t, s, "example", account("alice")); !reflect.DeepEqual(got, account("alice")) {
		t.Errorf("SaveAccount returned\n     %+v\nwant %+v", got, account("alice"))
	}
	bare := issuer.Account{ID: "bare", UpstreamIssuer: "https://guests.example.com", UpstreamSubject: "1", LastSignInAt: start}
	saveAccount(t, s, "example", bare)
	bare.CreatedAt = start
	for _, want := range []issuer.Account{account("alice"), bare} {
		got, err := s.Account(t.Context(), "example", want.ID)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Account(%s) = %+v, %v\nwant %+v", want.ID, got, err, want)
		}
	}
	// Two people without any name do not meet in the empty one.
	saveAccount(t, s, "example", issuer.Account{ID: "bare-2", UpstreamIssuer: bare.UpstreamIssuer, UpstreamSubject: "2", LastSignInAt: start})
	if _, err := s.Account(t.Context(), "example", "nobody"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Account(nobody) = %v, want ErrNotFound", err)
	}
}

// testAccountClaims: each sign-in says anew what is known of the person, in the types that
// JSON has; whole numbers are exact.
func testAccountClaims(t *testing.T, s Store) {
	seed(t, s)
	for _, claims := range []map[string]any{
		{
			"groups": []any{"staff", "Vertrieb & Einkauf <Süd>", "nul \x00"}, "level": int64(3), "share": 0.1, "large": int64(9007199254740993),
			"active": true, "manager": nil, "": "an empty name", "address": map[string]any{"country": "DE", "lines": []any{"a", []any{}}},
		},
		{"groups": []any{}},
		{},
		nil,
		{"level": -1.5e300},
	} {
		alice := account("alice")
		alice.Claims = claims
		if got := saveAccount(t, s, "example", alice); !reflect.DeepEqual(got.Claims, claims) {
			t.Errorf("SaveAccount returned the claims %#v, want %#v", got.Claims, claims)
		}
		got, err := s.Again(t).Account(t.Context(), "example", alice.ID)
		if err != nil || !reflect.DeepEqual(got.Claims, claims) {
			t.Errorf("Account has the claims %#v, %v, want %#v", got.Claims, err, claims)
		}
	}
	alice := account("alice")
	alice.Claims = map[string]any{"id": json.Number("18446744073709551615"), "level": int64(3)}
	if got, want := saveAccount(t, s, "example", alice).Claims, map[string]any{"level": int64(3)}; !reflect.DeepEqual(got, want) {
		t.Errorf("with a number that would lose digits the claims are %#v, want %#v", got, want)
	}
}

func testAccountsFound(t *testing.T, s Store) {
	seed(t, s)
	alice := account("alice")
	alice.Login = "Ren\u00e9"
	saveAccount(t, s, "example", alice)
	saveAccount(t, s, "example", account("bob"))
	saveAccount(t, s, "other", account("carol"))

	got, err := s.AccountOf(t.Context(), "example", alice.UpstreamIssuer, alice.UpstreamSubject)
	if err != nil || !reflect.DeepEqual(got, alice) {
		t.Errorf("AccountOf(alice) = %+v, %v\nwant %+v", got, err, alice)
	}
	for _, person := range [][2]string{
		{"https://guests.example.com", alice.UpstreamSubject}, {alice.UpstreamIssuer, "upstream-carol"},
		{alice.UpstreamIssuer, "UPSTREAM-ALICE"}, {alice.UpstreamIssuer, ""}, {"", ""},
	} {
		if _, err := s.AccountOf(t.Context(), "example", person[0], person[1]); !errors.Is(err, issuer.ErrNotFound) {
			t.Errorf("AccountOf(%q) = %v, want ErrNotFound", person, err)
		}
	}
	for _, name := range []string{"alice@example.com", "ALICE@Example.NET", "ren\u00e9", "RENE\u0301"} {
		if got, err := s.AccountByName(t.Context(), "example", name); err != nil || !reflect.DeepEqual(got, alice) {
			t.Errorf("AccountByName(%q) = %+v, %v\nwant %+v", name, got, err, alice)
		}
	}
	for _, name := range []string{"", "alice", "alice@example.org", "carol", "%", "alice@example.com "} {
		if _, err := s.AccountByName(t.Context(), "example", name); !errors.Is(err, issuer.ErrNotFound) {
			t.Errorf("AccountByName(%q) = %v, want ErrNotFound", name, err)
		}
	}
	// A name that was given up leads nowhere.
	moved := alice
	moved.Login = ""
	saveAccount(t, s, "example", moved)
	if _, err := s.AccountByName(t.Context(), "example", alice.Login); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("AccountByName of a name that was given up = %v, want ErrNotFound", err)
	}
}

func testR1Identity(t *testing.T, s Store) {
	seed(t, s)
	saveAccount(t, s, "example", account("alice"))

	again := account("alice")
	again.ID = "proposed for the second"
	again.Addresses = []string{"alice.new@example.com"}
	again.Login = "Alice"
	again.Name = "Alice New"
	again.CreatedAt = start.Add(time.Hour)
	again.LastSignInAt = start.Add(time.Hour)
	want := again
	want.ID, want.CreatedAt = account("alice").ID, start
	if got := saveAccount(t, s, "example", again); !reflect.DeepEqual(got, want) {
		t.Errorf("the second sign-in returned\n     %+v\nwant %+v", got, want)
	}
	if _, err := s.Account(t.Context(), "example", again.ID); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("the second sign-in made an account: %v, want ErrNotFound", err)
	}

	// The same subject of another issuer is somebody else.
	twin := account("bob")
	twin.UpstreamSubject = account("alice").UpstreamSubject
	twin.UpstreamIssuer = "https://guests.example.com"
	twin.Addresses, twin.Login = []string{}, "" // guests speak for no domain
	if got := saveAccount(t, s, "example", twin); got.ID != twin.ID {
		t.Errorf("the same subject at another issuer is account %s, want %s", got.ID, twin.ID)
	}
}

func testR1SecondClaimant(t *testing.T, s Store) {
	seed(t, s)
	saveAccount(t, s, "example", account("alice"))
	composed, decomposed := "ren\u00e9", "rene\u0301"
	rene := account("rene")
	rene.Login = composed
	saveAccount(t, s, "example", rene)
	saveAccount(t, s, "example", account("bob"))
	saveAccount(t, s, "example", account("kim"))

	for name, change := range map[string]func(*issuer.Account){
		"the primary address":                  func(a *issuer.Account) { a.Addresses = []string{"alice@example.com"} },
		"another address":                      func(a *issuer.Account) { a.Addresses = []string{"mallory@example.com", "alice@example.net"} },
		"an address in other case":             func(a *issuer.Account) { a.Addresses = []string{"ALICE@Example.COM"} },
		"the login name":                       func(a *issuer.Account) { a.Login = "alice" },
		"the login name in other case":         func(a *issuer.Account) { a.Login = "aLiCe" },
		"an address as login name":             func(a *issuer.Account) { a.Login = "alice@example.com" },
		"a login name as address":              func(a *issuer.Account) { a.Addresses = []string{"free@example.com", "Alice"} },
		"a letter that folds to another":       func(a *issuer.Account) { a.Login = "\u212Aim" },
		"an accented letter in another form":   func(a *issuer.Account) { a.Login = decomposed },
		"an accented capital in another form":  func(a *issuer.Account) { a.Login = "RENE\u0301" },
		"one free name and one that is taken":  func(a *issuer.Account) { a.Login, a.Addresses = "free", []string{"alice@example.net"} },
		"one taken name and one that is free":  func(a *issuer.Account) { a.Login, a.Addresses = "alice", []string{"free@example.com"} },
		"a name of each of two other accounts": func(a *issuer.Account) { a.Login, a.Addresses = "alice", []string{"free@example.com", composed} },
	} {
		mallory, bob := account("mallory"), account("bob")
		bob.LastSignInAt = start.Add(time.Hour)
		for _, claimant := range []issuer.Account{mallory, bob} {
			change(&claimant)
			if _, err := s.SaveAccount(t.Context(), "example", claimant); !errors.Is(err, issuer.ErrTaken) {
				t.Errorf("%s: SaveAccount = %v, want ErrTaken", name, err)
			}
		}
		if _, err := s.Account(t.Context(), "example", mallory.ID); !errors.Is(err, issuer.ErrNotFound) {
			t.Errorf("%s: the refused sign-in made an account: %v", name, err)
		}
		if got, err := s.Account(t.Context(), "example", bob.ID); err != nil || !reflect.DeepEqual(got, account("bob")) {
			t.Errorf("%s: the refused sign-in changed its account to %+v, %v", name, got, err)
		}
	}
	// Nothing of the refused claims is held: the free names still are.
	free := account("carol")
	free.Login, free.Addresses = "free", []string{"free@example.com"}
	saveAccount(t, s, "example", free)
	// Another tenant is another namespace.
	saveAccount(t, s, "other", account("alice"))
	// Whoever holds a name may hold it twice, and claim it again.
	own := account("alice")
	own.Login = "Alice@Example.com"
	saveAccount(t, s, "example", own)
	saveAccount(t, s, "example", own)
}

func testR1NameGivenUp(t *testing.T, s Store) {
	seed(t, s)
	saveAccount(t, s, "example", account("alice"))
	moved := account("alice")
	moved.Addresses, moved.Login = []string{"alice.new@example.com"}, "alice.new"
	saveAccount(t, s, "example", moved)

	heir := account("heir")
	heir.Addresses, heir.Login = []string{"alice@example.com"}, "alice"
	saveAccount(t, s, "example", heir)
	if _, err := s.SaveAccount(t.Context(), "example", account("alice")); !errors.Is(err, issuer.ErrTaken) {
		t.Errorf("taking a name back that has a new owner = %v, want ErrTaken", err)
	}
	got, err := s.Account(t.Context(), "example", moved.ID)
	if err != nil || !reflect.DeepEqual(got, moved) {
		t.Errorf("Account = %+v, %v\nwant it as it was before the refusal: %+v", got, err, moved)
	}
}

func testR1RacingClaimants(t *testing.T, s Store) {
	seed(t, s)
	var won, lost atomic.Int32
	race(t, s, func(racer int, engine Engine) {
		a := account(fmt.Sprintf("racer-%d", racer))
		a.Addresses = []string{a.Addresses[0], "postmaster@example.com"}
		_, err := engine.SaveAccount(t.Context(), "example", a)
		switch {
		case err == nil:
			won.Add(1)
		case errors.Is(err, issuer.ErrTaken):
			lost.Add(1)
		default:
			t.Errorf("SaveAccount by racer %d: %v", racer, err)
		}
	})
	if won.Load() != 1 || lost.Load() != racers-1 {
		t.Errorf("%d claimants won and %d got ErrTaken, want 1 and %d", won.Load(), lost.Load(), racers-1)
	}
	if rows := s.Rows(t, "SELECT id FROM accounts"); len(rows) != 1 {
		t.Errorf("there are %d accounts, want the winner's alone", len(rows))
	}
}

func testR1RacingSignIns(t *testing.T, s Store) {
	seed(t, s)
	ids := make([]string, racers)
	race(t, s, func(racer int, engine Engine) {
		a := account("alice")
		a.ID = fmt.Sprintf("proposed-%d", racer)
		saved, err := engine.SaveAccount(t.Context(), "example", a)
		if err != nil {
			t.Errorf("SaveAccount by racer %d: %v", racer, err)
		}
		ids[racer] = saved.ID
	})
	for racer, id := range ids {
		if id != ids[0] {
			t.Errorf("racer %d got account %q and racer 0 %q, want one account", racer, id, ids[0])
		}
	}
}

// What is declared when the account is saved decides who may have a name: the
// identity provider that speaks for its domain, and no account of any other.
func testR1NameGoesToWhoIsSpokenFor(t *testing.T, s Store) {
	seed(t, s)
	old := createGrant(t, s, "example") // alice's, by staff
	bystander := saveAccount(t, s, "example", account("bob"))
	bobs := grant(bystander, "bob's code")
	bobs.ID = "bobs-grant"
	if err := s.CreateGrant(t.Context(), "example", bobs, nil); err != nil {
		t.Fatalf("CreateGrant: %v", err)
	}
	heir := account("alice")
	heir.ID, heir.UpstreamIssuer = "heir", "https://new.example.com"
	if _, err := s.SaveAccount(t.Context(), "example", heir); !errors.Is(err, issuer.ErrUnvouched) {
		t.Errorf("an account of a provider that is not declared = %v, want ErrUnvouched", err)
	}

	both := exampleTenant()
	both.IdentityProviders = append(both.IdentityProviders, directory.IdentityProvider{
		Name: "new", Title: "New", Issuer: heir.UpstreamIssuer, ClientID: "signpost", Scopes: []string{"openid"},
		Domains: []string{"example.com", "example.net"}, AddressTrust: directory.TrustEmailVerified,
	})
	base := save(t, s, revision(t, s), both)
	if _, err := s.SaveAccount(t.Context(), "example", heir); !errors.Is(err, issuer.ErrTaken) {
		t.Errorf("taking the names of an account that is spoken for = %v, want ErrTaken", err)
	}

	// The domains move to the new provider; the old one stays for another.
	both.IdentityProviders[0].Domains = []string{"example.biz"}
	save(t, s, base, both)
	if _, err := s.SaveAccount(t.Context(), "example", heir); err != nil {
		t.Fatalf("taking the names of an account that nobody speaks for: %v", err)
	}
	mustBeEnded(t, s, "example", old.ID, "replaced")
	mustLive(t, s, "example", bobs.ID)
	was, err := s.Account(t.Context(), "example", account("alice").ID)
	if err != nil || len(was.Addresses) > 0 || was.Login != "" {
		t.Errorf("the old account = %+v, %v, want it without addresses and login name", was, err)
	}
	if got, err := s.Account(t.Context(), "example", bystander.ID); err != nil || !reflect.DeepEqual(got, bystander) {
		t.Errorf("an account that had none of the names = %+v, %v, want %+v", got, err, bystander)
	}

	// Who was still signing in at the old provider comes too late, and changes nothing.
	if _, err := s.SaveAccount(t.Context(), "example", account("alice")); !errors.Is(err, issuer.ErrUnvouched) {
		t.Errorf("a sign-in that the old provider ends now = %v, want ErrUnvouched", err)
	}
	if got, err := s.Account(t.Context(), "example", heir.ID); err != nil || !reflect.DeepEqual(got.Addresses, heir.Addresses) {
		t.Errorf("the new account = %+v, %v, want its addresses kept", got, err)
	}
}
