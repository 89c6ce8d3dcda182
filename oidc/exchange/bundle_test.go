package exchange_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
	"signpost/oidc/tokens"
)

func (r *rig) bundle(t testing.TB, realm *directory.Realm, token string, form url.Values) (configdoc.Document, error) {
	t.Helper()
	return exchange.Grant{Issuer: r.Issuer}.Bundle(t.Context(), realm, issuer.Presented{
		Scheme: oidc.Bearer, Token: token, Call: issuer.Call{Form: form, Method: "POST", URL: realm.URL(oidc.ConfigurationPath)},
	})
}

// TestR24BundleFailsAsAWhole where nothing can be decided or kept, and where the declaration is at fault: that is no
// matter of one service.
func TestR24BundleFailsAsAWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		when func(r *rig) *directory.Realm
		code string
	}{
		"the record is full": {func(r *rig) *directory.Realm {
			r.audit.err = errors.New("full")
			return r.realm
		}, oidc.CodeTemporarilyUnavailable},
		"a source that is not there": {func(r *rig) *directory.Realm {
			return changed(r.realm, "calendar", func(s *directory.Service) { s.Source = "elsewhere" })
		}, oidc.CodeServerError},
		"a profile that is not there": {func(r *rig) *directory.Realm {
			return changed(r.realm, "calendar", func(s *directory.Service) { s.Profile = "elsewhere" })
		}, ""},
	} {
		r := newRig(t)
		in := r.signedIn(t, r.realm, all)
		d, err := r.bundle(t, c.when(r), in.AccessToken, nil)
		if err == nil || oidc.CodeOf(err) != c.code || d.Issuer != "" {
			t.Errorf("%s: %+v, %v, want %q and no document", name, d, err, c.code)
		}
	}
}

// TestR24BundleWithoutTheCache: only the services whose tokens are kept there have to wait.
func TestR24BundleWithoutTheCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	r.Tokens = tokens.New(r.Keys, away{}, r.Sealer, func() time.Time { return r.now })
	opaque := changed(r.realm, "imap", func(s *directory.Service) { s.Profile = oidc.ProfileOpaque })
	d, err := r.bundle(t, opaque, in.AccessToken, nil)
	if err != nil || len(d.Incoming) != 1 || len(d.Calendars) != 1 {
		t.Fatalf("%+v, %v, want two services", d, err)
	}
	if imap := d.Incoming[0]; imap.Token != nil || imap.Refusal == nil || imap.Refusal.Error != oidc.CodeTemporarilyUnavailable {
		t.Errorf("imap: %+v, want it temporarily_unavailable", imap)
	}
	if d.Calendars[0].Token == nil {
		t.Errorf("calendar: %+v, want a token", d.Calendars[0].Refusal)
	}
}

// TestR6BundleAndExchangeShareTokens: what one made the other hands out again, and each is in the record.
func TestR6BundleAndExchangeShareTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	exchanged := r.answers(t, "exchange", form(in.AccessToken, nil), "")
	before := len(r.audit.events)
	r.now = r.now.Add(time.Minute)
	d, err := r.bundle(t, r.realm, in.AccessToken, url.Values{"service": {"imap"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Incoming[0].Token; got == nil || got.AccessToken != exchanged.AccessToken || got.ExpiresIn != 840 {
		t.Errorf("imap: %+v, want the token of the exchange, a minute later", got)
	}
	if d.Calendars[0].Token != nil {
		t.Error("a token for a service that was not named")
	}
	if got := r.audit.events[before:]; len(got) != 1 || got[0].Rule != "exchange/allow-narrow" || got[0].Service != "imap.example.test" || got[0].SubjectHash == "" {
		t.Errorf("recorded %+v, want the exchange", got)
	}
}
