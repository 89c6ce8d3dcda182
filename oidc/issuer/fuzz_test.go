package issuer_test

import (
	"context"
	"crypto"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/oidc/clients"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/scopes"
)

// noRegistrations is a store of clients that holds none.
type noRegistrations struct{}

func (noRegistrations) Registration(context.Context, string, []byte) ([]byte, bool, error) {
	return nil, false, nil
}

// keyless is a store without signing keys: every hint is refused.
type keyless struct{ keys.Store }

func (keyless) Keys(context.Context, string) ([]keys.Stored, error) { return nil, nil }

// asked is an issuer that checks requests and keeps pushed ones, and reads no network.
func asked(t testing.TB) (*issuer.Issuer, *directory.Realm) {
	t.Helper()
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	memory := cache.NewMemory(1 << 20)
	t.Cleanup(memory.Close)
	r := *realm(t, "example")
	r.Clients.URLsOff = true
	none := func(string) (crypto.Signer, error) { return nil, errors.New("no keys are made here") }
	return &issuer.Issuer{
		Clients: &clients.Clients{Store: noRegistrations{}, Sealer: box, Marks: memory, Now: time.Now},
		Keys:    keys.New(keyless{}, box, time.Now, none), Begun: memory, Now: time.Now,
	}, &r
}

// FuzzCheck: whatever is asked, an answer goes only to a redirect URI that the client
// may use, what is taken can be granted, and a pushed request is its client's and is
// what was pushed.
func FuzzCheck(f *testing.F) {
	i, r := asked(f)
	pushed, err := i.Push(f.Context(), r, issuer.Call{Form: with("ui_locales", "de")})
	if err != nil {
		f.Fatal(err)
	}
	for _, q := range []url.Values{
		ask(nil), with("redirect_uri", "http://127.0.0.1:80@evil.test/"), with("scope", "openid openid"), with("resource", "imap.example.test", "https://dav.example.test/calendars/x"),
		with("state", "\r\nx"), with("prompt", "none"), with("max_age", "9223372036854775807"), with("client_id", "open", "open"), with("request", "x"),
		with("request_uri", pushed.RequestURI), with("id_token_hint", "e30.e30."), with("dpop_jkt", challenge), with("acr_values", "a b"), with("ui_locales", "de-CH en"),
		{"client_id": {"open"}, "request_uri": {pushed.RequestURI}}, {"client_id": {"thunderbird"}, "request_uri": {pushed.RequestURI}},
		ask(func(q url.Values) { q.Set("client_id", "thunderbird"); q.Set("redirect_uri", "http://localhost:1/") }),
		ask(func(q url.Values) {
			q.Set("client_id", "OpenCloudAndroid")
			q.Set("redirect_uri", "oc://android.opencloud.eu")
		}),
	} {
		f.Add(q.Encode())
	}
	f.Add("client_id=open&redirect_uri=http://127.0.0.1/&redirect_uri=https://evil.test/&;")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		a, err := i.Check(t.Context(), r, q)
		if denied, ok := errors.AsType[*issuer.Denied](err); ok {
			wantSent(t, q, denied)
			return
		}
		if _, ok := errors.AsType[*issuer.Unproven](err); ok {
			return
		}
		if err != nil {
			t.Fatalf("neither a page nor an answer: %v", err)
		}
		wantTaken(t, i, r, a)
		if a.Pushed == "" && q.Get("redirect_uri") != a.RedirectURI {
			t.Errorf("redirect URI %q is taken for %q", a.RedirectURI, q.Get("redirect_uri"))
		}
		if a.Pushed != "" && (q.Get("request_uri") != pushed.RequestURI || q.Get("client_id") != "open" || a.State != "s-1" || a.UILocales != "de") {
			t.Errorf("the pushed request %+v is taken for %v", a, q)
		}
	})
}

// wantTaken checks what holds for every request that is taken.
func wantTaken(t *testing.T, i *issuer.Issuer, r *directory.Realm, a issuer.Ask) {
	t.Helper()
	c, err := i.Clients.Find(t.Context(), r, a.ClientID)
	if err != nil || !c.RedirectAllowed(a.RedirectURI) || strings.Contains(a.RedirectURI, "#") || len(a.Challenge) != 43 {
		t.Errorf("taken: %+v (%v)", a, err)
	}
	if granted, err := scopes.Parse(a.Scope); err != nil || granted.Len() == 0 || !r.Catalogue.Cover(r.Supported(), granted) {
		t.Errorf("scope %q is taken (%v), the tenant grants %q", a.Scope, err, r.Supported())
	}
	for _, audience := range a.Resources {
		if _, ok := r.Service(audience); !ok {
			t.Errorf("resource %q is taken", audience)
		}
	}
	if a.MaxAge != nil && *a.MaxAge < 0 {
		t.Errorf("max_age %d is taken", *a.MaxAge)
	}
	if a.Silent() && (a.AskAgain || !c.Remembers(a.RedirectURI)) {
		t.Errorf("prompt=none is taken of a client that is asked for consent each time: %+v", a)
	}
	if a.Key != "" && len(a.Key) != 43 || a.Subject != "" || a.Device != "" {
		t.Errorf("key %q, subject %q, device %q are taken", a.Key, a.Subject, a.Device)
	}
	if len(a.ACRValues) > 320 || len(a.UILocales) > 320 || strings.ContainsAny(a.ACRValues+a.UILocales, "\r\n\x00") {
		t.Errorf("acr_values %q and ui_locales %q are taken", a.ACRValues, a.UILocales)
	}
}
