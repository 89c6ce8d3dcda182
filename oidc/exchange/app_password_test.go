package exchange_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/scopes"
)

// mayMakePasswords is a token for the issuer alone of somebody who signed in just now and let the
// program make passwords.
func mayMakePasswords(t testing.TB, r *rig) string {
	t.Helper()
	f := codeForm(r.codeOf(t, r.realm, r.alice(), all+" "+oidc.ScopeAppPassword))
	f.Set("resource", base)
	a, err := r.Token(t.Context(), r.realm, r.call(f))
	if err != nil {
		t.Fatalf("redeem: %v", err)
	}
	return a.AccessToken
}

func passwordForm(subject string, audiences ...string) url.Values {
	return form(subject, func(f url.Values) {
		f.Set("requested_token_type", oidc.TokenTypeAppPassword)
		f["audience"] = audiences
	})
}

// TestR21AppPasswordByExchange: the answer is that of RFC 8693, section 2.2.1 for what is no
// access token: "token_type" is "N_A", and there is no end.
func TestR21AppPasswordByExchange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	subject := mayMakePasswords(t, r)
	a, err := r.Token(t.Context(), r.realm, r.call(passwordForm(subject, "imap.example.test", calendar)))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"access_token": a.AccessToken, "issued_token_type": oidc.TokenTypeAppPassword, "token_type": "N_A", "scope": scopes.Mail + " " + scopes.Calendars,
	}
	if !reflect.DeepEqual(got, want) || a.AccessToken == "" {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
	var told bool
	for _, e := range r.audit.events {
		if e.Rule == "app-password/allow-app-password" && e.Service == "imap.example.test "+calendar && e.Scope == a.Scope && e.SubjectHash != "" {
			told = true
		}
		if strings.Contains(e.Service+e.Scope+e.Rule, a.AccessToken) {
			t.Errorf("the record has the password: %+v", e)
		}
	}
	if !told {
		t.Errorf("no event of the password in %+v", r.audit.events)
	}
	if again, err := r.Token(t.Context(), r.realm, r.call(passwordForm(subject, "imap.example.test", calendar))); err != nil || again.AccessToken == a.AccessToken {
		t.Errorf("again: %v, want another password", err)
	}
	// A password is no token.
	r.answers(t, "a password as subject", form(a.AccessToken, nil), oidc.CodeInvalidRequest)
	r.answers(t, "a token, with two audiences", form(subject, with("audience", "imap.example.test", calendar)), oidc.CodeInvalidTarget)
}

// TestR21AppPasswordRefused: each of its conditions is needed, and nothing is made.
func TestR21AppPasswordRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(t *testing.T, r *rig, f url.Values)
		code string
	}{
		"not asked for at the sign-in": {func(t *testing.T, r *rig, f url.Values) {
			t.Helper()
			code := codeForm(r.codeOf(t, r.realm, r.alice(), all))
			code.Set("resource", base)
			f.Set("subject_token", r.answers(t, "redeem", code, "").AccessToken)
		}, oidc.CodeInvalidScope},
		"a token of services too": {func(t *testing.T, r *rig, f url.Values) {
			t.Helper()
			f.Set("subject_token", r.answers(t, "redeem", codeForm(r.codeOf(t, r.realm, r.alice(), all+" "+oidc.ScopeAppPassword)), "").AccessToken)
		}, oidc.CodeInvalidRequest},
		"signed in long ago":           {func(_ *testing.T, r *rig, _ url.Values) { r.now = r.now.Add(10 * time.Minute) }, oidc.CodeInvalidRequest},
		"no target":                    {func(_ *testing.T, _ *rig, f url.Values) { f.Del("audience") }, oidc.CodeInvalidTarget},
		"a service that takes none":    {func(_ *testing.T, _ *rig, f url.Values) { f.Set("audience", "https://files.example.test/dav/") }, oidc.CodeInvalidTarget},
		"one of two that is elsewhere": {func(_ *testing.T, _ *rig, f url.Values) { f.Add("audience", "imap.other.test") }, oidc.CodeInvalidTarget},
		"a scope beyond":               {func(_ *testing.T, _ *rig, f url.Values) { f.Set("scope", scopes.Files) }, oidc.CodeInvalidScope},
		"the record is full":           {func(_ *testing.T, r *rig, _ url.Values) { r.audit.err = errors.New("full") }, oidc.CodeTemporarilyUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			f := passwordForm(mayMakePasswords(t, r), "imap.example.test")
			c.edit(t, r, f)
			a, err := r.Token(t.Context(), r.realm, r.call(f))
			if oidc.CodeOf(err) != c.code || a.AccessToken != "" {
				t.Errorf("%+v, %v, want %s", a, err, c.code)
			}
			account, err := r.db.AccountByName(t.Context(), "example", "alice@example.test")
			if err != nil {
				t.Fatal(err)
			}
			if kept, err := r.db.AppPasswords(t.Context(), "example", account.ID); err != nil || len(kept) != 0 {
				t.Errorf("%d passwords were made, %v", len(kept), err)
			}
		})
	}
}
