package exchange_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
)

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {oidc.GrantTypeRefreshToken}, "client_id": {"open"}, "refresh_token": {token}}
}

// answers sends a form and compares the error code, empty for success.
func (r *rig) answers(t *testing.T, when string, f url.Values, code string) issuer.TokenResponse {
	t.Helper()
	a, err := r.Token(t.Context(), r.realm, issuer.Call{Form: f, Method: "POST", URL: r.realm.URL("/token")})
	if got := oidc.CodeOf(err); got != code || (err == nil) != (code == "") || (a.AccessToken == "") != (code != "") {
		t.Fatalf("%s: %s is answered %q (%v), want %q", when, f.Get("grant_type"), got, err, code)
	}
	return a
}

func (r *rig) grantOf(t *testing.T, token string) string {
	t.Helper()
	claims, err := r.Keys.Verify("example", base, token)
	if err != nil {
		t.Fatal(err)
	}
	return claims.GrantID
}

// TestR26ExchangeWithoutDatabase closes the database under the service. The tokens of a
// known grant are exchanged and open the configuration for five minutes more; whatever
// would change something is refused with "try again"; nobody's grant ends.
func TestR26ExchangeWithoutDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	known, strange := r.signedIn(t, r.realm, all), r.signedIn(t, r.realm, all)
	code := r.code(t, r.realm, all)
	used := codeForm(r.code(t, r.realm, all))
	r.answers(t, "with a database", used, "")
	r.answers(t, "with a database", form(known.AccessToken, nil), "")
	revision, err := r.db.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Known.Looked(t.Context(), r.now, revision); err != nil {
		t.Fatal(err)
	}
	r.answers(t, "with a database", form(known.AccessToken, nil), "") // the first look forgets what was known before
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}

	gone := r.now
	for _, after := range []time.Duration{0, 5 * time.Second, time.Minute, 4 * time.Minute, maxStale} {
		r.now = gone.Add(after)
		when := after.String() + " without a database"
		a := r.answers(t, when, form(known.AccessToken, nil), "")
		if _, err := r.Keys.Verify("example", base, a.AccessToken); err != nil {
			t.Errorf("%s: the token that was made: %v", when, err)
		}
		if _, err := r.Authenticate(t.Context(), r.realm, issuer.Presented{Scheme: oidc.Bearer, Token: known.AccessToken}, oidc.ScopeOpenID); err != nil {
			t.Errorf("%s: the configuration: %v", when, err)
		}
		r.answers(t, when, form("x", nil), oidc.CodeInvalidRequest)
		r.answers(t, when, form(strange.AccessToken, nil), oidc.CodeTemporarilyUnavailable)
		r.answers(t, when, codeForm(code), oidc.CodeTemporarilyUnavailable)
		r.answers(t, when, used, oidc.CodeTemporarilyUnavailable)
		r.answers(t, when, refreshForm(known.RefreshToken), oidc.CodeTemporarilyUnavailable)
	}
	r.now = gone.Add(maxStale + time.Millisecond)
	r.answers(t, "after five minutes", form(known.AccessToken, nil), oidc.CodeTemporarilyUnavailable)
	if _, err := r.Authenticate(t.Context(), r.realm, issuer.Presented{Scheme: oidc.Bearer, Token: known.AccessToken}, oidc.ScopeOpenID); oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable {
		t.Errorf("after five minutes: the configuration: %v, want temporarily_unavailable", err)
	}

	// The database is back: everything that was refused goes on where it was.
	db := r.reopen()
	r.Store, r.Known = db, issuer.NewKnown(db, noFeed{}, maxStale, func() time.Time { return r.now })
	for name, in := range map[string]issuer.TokenResponse{"known": known, "strange": strange} {
		g, err := db.Grant(t.Context(), "example", r.grantOf(t, in.AccessToken))
		if err != nil || !g.EndedAt.IsZero() {
			t.Errorf("grant of the %s token: ended at %v for %q, %v, want it to live", name, g.EndedAt, g.EndedReason, err)
		}
		r.answers(t, "with the database back", form(in.AccessToken, nil), "")
		r.answers(t, "with the database back", refreshForm(in.RefreshToken), "")
	}
	r.answers(t, "with the database back", codeForm(code), "")
}

// countedKeys counts what the keys ask of the database.
type countedKeys struct {
	keys.Store
	asked int
}

func (c *countedKeys) Keys(ctx context.Context, tenant string) ([]keys.Stored, error) {
	c.asked++
	return c.Store.Keys(ctx, tenant)
}

// countedHolders counts what Known asks of the database.
type countedHolders struct {
	issuer.Holders
	asked int
}

func (c *countedHolders) Grant(ctx context.Context, tenant, id string) (issuer.Grant, error) {
	c.asked++
	return c.Holders.Grant(ctx, tenant, id)
}

// untouched is a Store that is never asked: every method panics.
type untouched struct{ issuer.Store }

// TestR26KnownGrantIsExchangedWithoutSQL counts: for a known grant the only thing that
// an exchange writes is the event, and nothing is read.
func TestR26KnownGrantIsExchangedWithoutSQL(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	clock := func() time.Time { return r.now }
	counted := &countedHolders{Holders: r.db}
	r.Known = issuer.NewKnown(counted, noFeed{}, maxStale, clock)
	r.Store = untouched{}
	r.answers(t, "the first time", form(in.AccessToken, nil), "")
	for range 10 {
		r.answers(t, "again", form(in.AccessToken, nil), "")
		r.answers(t, "refused by the policy", form(in.AccessToken, with("audience", "elsewhere.test")), oidc.CodeInvalidTarget)
		if _, err := r.Authenticate(t.Context(), r.realm, issuer.Presented{Scheme: oidc.Bearer, Token: in.AccessToken}, oidc.ScopeOpenID); err != nil {
			t.Errorf("the configuration: %v", err)
		}
	}
	if counted.asked != 1 {
		t.Errorf("the grant was read %d times, want once", counted.asked)
	}
}

// TestVerifyAsksNoDatabase: tokens that were made up, with whatever "kid", cost no SQL.
func TestVerifyAsksNoDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in, far := r.signedIn(t, r.realm, all), r.signedIn(t, r.other, "openid")
	box := r.Sealer.(keys.Sealer)
	counted := &countedKeys{Store: r.db}
	ring := keys.New(counted, box, func() time.Time { return r.now }, nil)
	if err := ring.Ensure(t.Context(), "example"); err != nil {
		t.Fatal(err)
	}
	if counted.asked != 1 {
		t.Fatalf("Ensure read the keys %d times, want once", counted.asked)
	}
	r.Keys, r.Store, r.Known = ring, untouched{}, issuer.NewKnown(untouched{}, noFeed{}, maxStale, time.Now)
	for name, subject := range map[string]string{
		"text": "x", "a key of another tenant": far.AccessToken, "a signature that is wrong": in.AccessToken + "A", "an ID token": in.IDToken,
	} {
		if _, err := r.Token(t.Context(), r.realm, issuer.Call{Form: form(subject, nil), Method: "POST", URL: r.realm.URL("/token")}); oidc.CodeOf(err) != oidc.CodeInvalidRequest {
			t.Errorf("%s: %v, want invalid_request", name, err)
		}
	}
	if _, err := ring.Sign("example", oidc.BuiltInProfiles()[0], keys.ES256, oidc.Claims{}); err != nil {
		t.Errorf("Sign: %v", err)
	}
	if counted.asked != 1 {
		t.Errorf("the keys were read %d times, want once", counted.asked)
	}
}

// TestR26EndsOfThisProcess ends a known grant in each way in which a client's request can,
// with a feed that tells nothing: the next exchange is refused.
func TestR26EndsOfThisProcess(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, r *rig, used url.Values, in issuer.TokenResponse){
		"the code comes again": func(t *testing.T, r *rig, used url.Values, _ issuer.TokenResponse) {
			r.answers(t, "replay", used, oidc.CodeInvalidGrant)
		},
		"the refresh token comes again": func(t *testing.T, r *rig, _ url.Values, in issuer.TokenResponse) {
			next := r.answers(t, "refresh", refreshForm(in.RefreshToken), "")
			r.answers(t, "refresh with the successor", refreshForm(next.RefreshToken), "")
			r.answers(t, "reuse", refreshForm(in.RefreshToken), oidc.CodeInvalidGrant)
		},
		"the client revokes it": func(t *testing.T, r *rig, _ url.Values, in issuer.TokenResponse) {
			f := url.Values{"client_id": {"open"}, "token": {in.RefreshToken}}
			if err := r.Revoke(t.Context(), r.realm, issuer.Call{Form: f, Method: "POST", URL: r.realm.URL("/revoke")}); err != nil {
				t.Fatal(err)
			}
			if e := r.audit.last(); e.Kind != audit.KindGrantEnded || e.Rule != "revoked" || e.Grant != r.grantOf(t, in.AccessToken) || e.Account == "" || e.Client != "open" {
				t.Errorf("audited as %+v", e)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			used := codeForm(r.code(t, r.realm, all))
			in := r.answers(t, "redeem", used, "")
			other := r.signedIn(t, r.realm, all)
			for _, a := range []issuer.TokenResponse{in, other} {
				r.answers(t, "before", form(a.AccessToken, nil), "")
			}
			end(t, r, used, in)
			r.answers(t, "after", form(in.AccessToken, nil), oidc.CodeInvalidRequest)
			if e := r.audit.last(); e.Rule != "exchange/grant" || e.Outcome != audit.Refused || e.Account == "" {
				t.Errorf("audited as %+v", e)
			}
			r.answers(t, "another grant of the person", form(other.AccessToken, nil), "")
		})
	}
}

// keepsCodes is a cache that lost the word that a code was used.
type keepsCodes struct{ issuer.Cache }

func (keepsCodes) Delete(context.Context, string) error { return nil }

// A code that the cache still has is refused by the database, and ends its grant too (R19).
func TestR26EndByACodeThatTheCacheStillHas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Cache = keepsCodes{r.Cache}
	used := codeForm(r.code(t, r.realm, all))
	in := r.answers(t, "redeem", used, "")
	r.answers(t, "before", form(in.AccessToken, nil), "")
	r.answers(t, "replay", used, oidc.CodeInvalidGrant)
	r.answers(t, "after", form(in.AccessToken, nil), oidc.CodeInvalidRequest)
}

// deletesNothing is a cache that goes away between the read and the deletion of a code.
type deletesNothing struct{ issuer.Cache }

func (deletesNothing) Delete(context.Context, string) error { return errors.New("the cache is away") }

// TestRedeemedAlthoughTheCacheFails: the database has made the grant. "Try again" would make
// the program come with the code once more, which ends it.
func TestRedeemedAlthoughTheCacheFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code := codeForm(r.code(t, r.realm, all))
	r.Cache = deletesNothing{r.Cache}
	in := r.answers(t, "redeem without the cache", code, "")
	r.answers(t, "exchange", form(in.AccessToken, nil), "")
}

// TestR1SignInChangesWhatIsKnown: an address that a sign-in in this process took from an
// account, or gave to it, counts in the next token.
func TestR1SignInChangesWhatIsKnown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	login := func() string {
		t.Helper()
		claims, err := r.Keys.Verify("example", base, r.answers(t, "exchange", form(in.AccessToken, nil), "").AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		return claims.Username
	}
	before := login()
	moved := oidc.Person{Provider: "staff", Issuer: "https://login.example.test", Subject: "a1", Addresses: []string{"alicia@example.test"}}
	r.codeOf(t, r.realm, moved, all)
	if got := login(); before != "alice@example.test" || got != "alicia@example.test" {
		t.Errorf("login name %q, then %q, want alice's and then alicia's", before, got)
	}

	// Somebody else gets the name that she gave up.
	bob := oidc.Person{Provider: "staff", Issuer: "https://login.example.test", Subject: "b2", Addresses: []string{"alice@example.test"}}
	r.codeOf(t, r.realm, bob, all)
	if got := login(); got != "alicia@example.test" {
		t.Errorf("login name %q after somebody else got the old one, want alicia's", got)
	}
}

// TestR26EventsAreQueuedWithoutDatabase: what is exchanged while the database is away is in
// the record when it is back, and when no more can be taken, nothing is exchanged.
func TestR26EventsAreQueuedWithoutDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	var kept []audit.Event
	back := make(chan struct{})
	queue := audit.NewQueue(func(ctx context.Context, events []audit.Event) error {
		select {
		case <-back:
			kept = append(kept, events...)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, slog.New(slog.DiscardHandler))
	r.Audit = queue
	for range 3 {
		r.answers(t, "without a database", form(in.AccessToken, nil), "")
	}
	close(back)
	if err := queue.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(kept, []string{"exchange/allow-narrow", "exchange/allow-narrow", "exchange/allow-narrow"},
		func(e audit.Event, rule string) bool { return e.Rule == rule }) {
		t.Errorf("kept %+v, want the three exchanges", kept)
	}
	r.answers(t, "with a queue that takes nothing", form(in.AccessToken, nil), oidc.CodeTemporarilyUnavailable)
}

// TestR26EndOfAnotherProcess: what another process ends in the database is refused here
// after the next look, and what it does not end goes on without SQL.
func TestR26EndOfAnotherProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Known = issuer.NewKnown(r.db, r.db, maxStale, func() time.Time { return r.now })
	look := func() {
		t.Helper()
		revision, err := r.db.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Known.Looked(t.Context(), r.now, revision); err != nil {
			t.Fatal(err)
		}
	}
	look()
	ended, living := r.signedIn(t, r.realm, all), r.signedIn(t, r.realm, all)
	for _, in := range []issuer.TokenResponse{ended, living} {
		r.answers(t, "before", form(in.AccessToken, nil), "")
	}
	elsewhere := r.reopen()
	if err := elsewhere.EndGrant(t.Context(), "example", r.grantOf(t, ended.AccessToken), "revoked", r.now); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(500 * time.Millisecond)
	look()
	r.answers(t, "after the look", form(ended.AccessToken, nil), oidc.CodeInvalidRequest)
	r.Store = untouched{}
	r.answers(t, "after the look", form(living.AccessToken, nil), "")

	// Also when the database is gone.
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(maxStale)
	r.answers(t, "without a database", form(ended.AccessToken, nil), oidc.CodeInvalidRequest)
	r.answers(t, "without a database", form(living.AccessToken, nil), "")
}

// TestR26DeclarationsCountForKnownGrants: what was joined of a grant for its last request is
// joined anew when something else is declared.
func TestR26DeclarationsCountForKnownGrants(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	known := r.signedIn(t, r.realm, all)
	r.answers(t, "as declared", form(known.AccessToken, nil), "")
	r.answers(t, "once more", form(known.AccessToken, nil), "")
	before := r.realm
	r.realm = changed(before, "imap", func(s *directory.Service) { s.DPoP = directory.DPoPRequires; s.Profile = oidc.ProfileRFC9068 })
	r.answers(t, "for bound tokens alone", form(known.AccessToken, nil), oidc.CodeInvalidDPoPProof)
	r.realm = before
	r.answers(t, "as before", form(known.AccessToken, nil), "")
}
