package exchange_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/tokens"
	"signpost/scopes"
)

// changed returns a realm that differs in a service.
func changed(r *directory.Realm, id string, edit func(*directory.Service)) *directory.Realm {
	other := *r
	other.Services = slices.Clone(r.Services)
	edit(&other.Services[slices.IndexFunc(other.Services, func(s directory.Service) bool { return s.ID == id })])
	return &other
}

// away is a cache that is not there.
type away struct{}

func (away) Get(context.Context, string) ([]byte, bool, error) {
	return nil, false, errors.New("the cache is away")
}

func (away) Set(context.Context, string, []byte, time.Duration) error {
	return errors.New("the cache is away")
}

// TestR24Answers: what is said of everything that can be wrong with an exchange. A bad
// subject token is always invalid_request, in one text as long as its signature is not good; then it
// may say more.
func TestR24Answers(t *testing.T) {
	t.Parallel()
	const (
		notOurs = "not valid here"
		signIn  = "sign in again"
	)
	for name, c := range map[string]struct {
		realm   func(r *directory.Realm) *directory.Realm // what is declared
		edit    func(f url.Values)
		subject func(t *testing.T, r *rig, in issuer.TokenResponse) string
		when    func(t *testing.T, r *rig, in issuer.TokenResponse)
		code    string
		says    string
	}{
		"no token":                {edit: with("subject_token", "x"), code: oidc.CodeInvalidRequest, says: notOurs},
		"an unknown opaque token": {edit: with("subject_token", "spt_"+strings.Repeat("A", 43)), code: oidc.CodeInvalidRequest, says: notOurs},
		"signature":               {edit: func(f url.Values) { f.Set("subject_token", f.Get("subject_token")+"A") }, code: oidc.CodeInvalidRequest, says: notOurs},
		"expired":                 {when: func(_ *testing.T, r *rig, _ issuer.TokenResponse) { r.now = r.now.Add(2 * time.Hour) }, code: oidc.CodeInvalidRequest, says: "expired"},
		"not broad": {subject: func(t *testing.T, r *rig, in issuer.TokenResponse) string {
			t.Helper()
			return r.answers(t, "narrow", form(in.AccessToken, with("audience", calendar)), "").AccessToken
		}, code: oidc.CodeInvalidRequest, says: "not broad"},
		"another client": {edit: with("client_id", "thunderbird"), code: oidc.CodeInvalidRequest, says: "another client"},
		"ended": {when: func(t *testing.T, r *rig, in issuer.TokenResponse) {
			t.Helper()
			if err := r.Store.EndGrant(t.Context(), "example", r.grantOf(t, in.AccessToken), "revoked", r.now); err != nil {
				t.Fatal(err)
			}
		}, code: oidc.CodeInvalidRequest, says: signIn},
		"nobody speaks for the account": {realm: func(r *directory.Realm) *directory.Realm {
			other := *r
			other.IdentityProviders = nil
			return &other
		}, code: oidc.CodeInvalidRequest, says: signIn},
		"unknown client":  {edit: with("client_id", "nobody"), code: oidc.CodeInvalidClient},
		"target absent":   {edit: with("audience"), code: oidc.CodeInvalidTarget, says: "exactly one target"},
		"target repeated": {edit: with("audience", "imap.example.test", "imap.example.test"), code: oidc.CodeInvalidTarget, says: "exactly one target"},
		"target foreign":  {edit: with("audience", "imap.other.test"), code: oidc.CodeInvalidTarget, says: "not a service of this account"},
		"no login name there": {realm: func(r *directory.Realm) *directory.Realm {
			return changed(r, "imap", func(s *directory.Service) { s.Username = "{local}@elsewhere.test" })
		}, code: oidc.CodeInvalidTarget, says: "not a service of this account"},
		"scope": {edit: with("scope", scopes.Files), code: oidc.CodeInvalidScope},
		"a service that demands a key": {realm: func(r *directory.Realm) *directory.Realm {
			return changed(r, "calendar", func(s *directory.Service) { s.DPoP = directory.DPoPRequires })
		}, edit: with("audience", calendar), code: oidc.CodeInvalidDPoPProof},
		"a password for a token of services": {edit: with("requested_token_type", oidc.TokenTypeAppPassword), code: oidc.CodeInvalidRequest, says: "resource={issuer}"},
		"tokens of a source that is not there": {realm: func(r *directory.Realm) *directory.Realm {
			return changed(r, "imap", func(s *directory.Service) { s.Source = "elsewhere" })
		}, code: oidc.CodeServerError},
		"opaque tokens without the cache": {realm: func(r *directory.Realm) *directory.Realm {
			return changed(r, "imap", func(s *directory.Service) { s.Profile = oidc.ProfileOpaque })
		}, when: func(_ *testing.T, r *rig, _ issuer.TokenResponse) {
			r.Tokens = tokens.New(r.Keys, away{}, r.Sealer, func() time.Time { return r.now })
		}, code: oidc.CodeTemporarilyUnavailable},
		"an opaque subject without the cache": {when: func(_ *testing.T, r *rig, _ issuer.TokenResponse) {
			r.Tokens = tokens.New(r.Keys, away{}, r.Sealer, func() time.Time { return r.now })
		}, edit: with("subject_token", "spt_"+strings.Repeat("A", 43)), code: oidc.CodeTemporarilyUnavailable},
		"record": {when: func(_ *testing.T, r *rig, _ issuer.TokenResponse) { r.audit.err = errors.New("full") }, code: oidc.CodeTemporarilyUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			in := r.signedIn(t, r.realm, all)
			realm := r.realm
			if c.realm != nil {
				realm = c.realm(realm)
			}
			if c.when != nil {
				c.when(t, r, in)
			}
			if c.subject != nil {
				in.AccessToken = c.subject(t, r, in)
			}
			f := form(in.AccessToken, c.edit)
			a, err := r.Token(t.Context(), realm, r.call(f))
			if got := oidc.CodeOf(err); got != c.code || a != (issuer.TokenResponse{}) {
				t.Fatalf("answer %+v, %v, want %q", a, err, c.code)
			}
			if e, ok := errors.AsType[*oidc.Error](err); ok && (!strings.Contains(e.Description, c.says) || strings.Contains(e.Error(), f.Get("subject_token")) && len(f.Get("subject_token")) > 1) {
				t.Errorf("says %q, want %q in it and no token", e.Description, c.says)
			}
		})
	}
}

// TestR23UnknownSource: a service whose tokens come from elsewhere gets none of ours, by
// whatever way.
func TestR23UnknownSource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	realm := changed(r.realm, "imap", func(s *directory.Service) { s.Source = "exchange" })
	byCode := codeForm(r.code(t, r.realm, all))
	byCode.Set("resource", "imap.example.test")
	in := r.signedIn(t, r.realm, all)
	byRefresh := refreshForm(in.RefreshToken)
	byRefresh.Set("resource", "imap.example.test")
	for name, f := range map[string]url.Values{"code": byCode, "refresh": byRefresh, "exchange": form(in.AccessToken, nil)} {
		a, err := r.Token(t.Context(), realm, r.call(f))
		if err == nil || a != (issuer.TokenResponse{}) {
			t.Errorf("%s: %+v, %v, want no token", name, a, err)
		}
		if code := oidc.CodeOf(err); code != "" && code != oidc.CodeServerError {
			t.Errorf("%s: %s, want a fault of this server", name, code)
		}
	}
	if _, err := r.Token(t.Context(), realm, r.call(form(in.AccessToken, with("audience", calendar)))); err != nil {
		t.Errorf("another service: %v, want a token", err)
	}
	local := changed(r.realm, "imap", func(s *directory.Service) { s.Source = directory.SourceLocal })
	if _, err := r.Token(t.Context(), local, r.call(form(in.AccessToken, nil))); err != nil {
		t.Errorf("source local: %v, want a token", err)
	}
}

// TestR6RepeatedExchange: who asks again gets the same token while half of its life is left, with
// the time that is left of it, and each answer is in the record.
func TestR6RepeatedExchange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	began := r.now
	first := r.answers(t, "first", form(in.AccessToken, nil), "")
	before := len(r.audit.events)
	for _, c := range []struct {
		after time.Duration
		same  bool
		lives int64
	}{
		{0, true, 900}, {time.Minute, true, 840}, {450 * time.Second, true, 450}, {451 * time.Second, false, 900},
	} {
		r.now = began.Add(c.after)
		a := r.answers(t, c.after.String(), form(in.AccessToken, nil), "")
		if (a.AccessToken == first.AccessToken) != c.same || a.ExpiresIn != c.lives {
			t.Errorf("after %v: the same token %v, for %d s; want %v, %d s", c.after, a.AccessToken == first.AccessToken, a.ExpiresIn, c.same, c.lives)
		}
		if claims, err := r.Keys.Verify("example", base, a.AccessToken); err != nil || claims.ExpiresAt.Sub(r.now) != time.Duration(a.ExpiresIn)*time.Second {
			t.Errorf("after %v: the token ends at %v (%v), said in %d s", c.after, claims.ExpiresAt, err, a.ExpiresIn)
		}
		if e := r.audit.last(); e.Rule != "exchange/allow-narrow" || !e.At.Equal(r.now) {
			t.Errorf("after %v: the last event is %+v, want one of this exchange", c.after, e)
		}
	}
	if got := len(r.audit.events) - before; got != 4 {
		t.Errorf("%d events for 4 exchanges", got)
	}
	// What was made for somebody is not handed to a request that the policy refuses now.
	r.Known.End("example", r.grantOf(t, in.AccessToken))
	r.answers(t, "after the sign-in ended", form(in.AccessToken, nil), oidc.CodeInvalidRequest)
}
