package service

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/store"
	"signpost/oidc/issuer"
	"signpost/oidc/policy"
	"signpost/scopes"
)

const explainable = `
tenants:
  - name: example
    issuer: base
    title: Example Organisation
    domains: [example.test]
    identity_providers:
      - {name: staff, title: Staff, issuer: https://login.example.test, client_id: signpost, client_secret: x, scopes: [openid, email], address_trust: email_verified, keep_claims: [groups]}
    clients:
      fixed:
        - {id: webmail, name: Webmail, redirect_uris: ["https://webmail.example.test/cb"], condition: '"staff" in claims.groups'}
        - {id: strict, name: Strict, redirect_uris: ["https://strict.example.test/cb"], dpop_bound_access_tokens: true}
    services:
      - {id: mail, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}], app_passwords: true}
      - {id: cloud, protocol: webdav, title: Files, endpoints: [{url: https://files.example.test/dav/}], condition: 'claims.groups.exists(g, g == "cloud")'}
  - name: other
    issuer: path
    title: Other Organisation
    domains: [other.test]
    identity_providers:
      - {name: members, title: Members, issuer: https://login.other.test, client_id: signpost, client_secret: x, scopes: [openid, email], address_trust: email_verified}
`

// explaining has a database with a person who is signed in with the client "open".
func explaining(t *testing.T) Config {
	t.Helper()
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir()}
	if _, err := Apply(t.Context(), c, parsed(t, explainable), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	people(t, c, func(db *store.Store) error {
		at := time.Now().Add(-time.Hour)
		_, err := db.SaveAccount(t.Context(), "example", issuer.Account{
			ID: "alice-id", UpstreamIssuer: "https://login.example.test", UpstreamSubject: "1", Addresses: []string{"alice@example.test"},
			Login: "alice", Claims: map[string]any{"groups": []any{"guests"}}, LastSignInAt: at,
		})
		return errors.Join(err, db.CreateGrant(t.Context(), "example", issuer.Grant{
			ID: "grant-1", AccountID: "alice-id", ClientID: "open", Scopes: "openid " + scopes.Mail + " " + scopes.Files,
			OriginHash: make([]byte, 32), CreatedAt: at, AuthTime: at,
		}, nil))
	})
	return c
}

// people changes the database past the service.
func people(t *testing.T, c Config, change func(*store.Store) error) {
	t.Helper()
	_, db, err := openExisting(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(change(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestExplainSaysWhichRuleDecides(t *testing.T) {
	t.Parallel()
	c := explaining(t)
	for name, want := range map[string]struct {
		options  ExplainOptions
		rule     string
		grant    string
		noClient bool
		says     string // in what would have to change, or what is supposed
	}{
		"allowed":                  {ExplainOptions{Client: "open", Service: "mail"}, policy.AllowNarrow, "grant-1", false, "for the issuer alone"},
		"by audience":              {ExplainOptions{Client: "open", Service: "imap.example.test"}, policy.AllowNarrow, "grant-1", false, ""},
		"by URL":                   {ExplainOptions{Client: "webmail", Service: "https://files.example.test/dav/alice"}, policy.RuleClientCondition, "", false, "of client webmail"},
		"by refresh":               {ExplainOptions{Client: "open", Service: "mail", Way: "refresh"}, policy.AllowNarrow, "grant-1", false, ""},
		"condition of the service": {ExplainOptions{Client: "open", Service: "cloud"}, policy.RuleCondition, "grant-1", false, "of service cloud"},
		"condition of the client":  {ExplainOptions{Client: "webmail", Service: "mail"}, policy.RuleClientCondition, "", false, "no sign-in with this client lives"},
		"no sign-in":               {ExplainOptions{Client: "thunderbird", Service: "mail"}, policy.AllowNarrow, "", false, "no sign-in with this client lives"},
		"bound":                    {ExplainOptions{Client: "strict", Service: "mail"}, policy.RuleUnbound, "", false, "DPoP"},
		"unknown service":          {ExplainOptions{Client: "open", Service: "pop.example.test"}, policy.RuleTarget, "grant-1", false, "imap.example.test"},
		"scope not granted":        {ExplainOptions{Client: "open", Service: "mail", Scope: scopes.Chat}, policy.RuleScope, "grant-1", false, "ask for less"},
		"password without scope":   {ExplainOptions{Client: "open", Service: "mail", Way: "app-password"}, policy.RuleAppPassword, "grant-1", false, "asks for that scope"},
		"password, supposed":       {ExplainOptions{Client: "thunderbird", Service: "mail", Way: "app-password"}, policy.AllowAppPassword, "", false, ""},
		"unknown client":           {ExplainOptions{Client: "nobody", Service: "mail"}, policy.AllowNarrow, "", true, ""},
		"client at a URL":          {ExplainOptions{Client: "https://app.example.org/client.json", Service: "mail"}, policy.AllowNarrow, "", false, "was not read"},
	} {
		o := want.options
		for _, o.Account = range []string{"alice@example.test", "Alice", "alice-id"} {
			e, err := Explain(t.Context(), c, o)
			if err != nil {
				t.Errorf("%s, of %s: %v", name, o.Account, err)
				continue
			}
			if e.Decision.Rule != want.rule || e.Grant != want.grant || e.NoClient != want.noClient || e.Tenant != "example" || e.Account != "alice-id" {
				t.Errorf("%s, of %s: %s, grant %q, no client %v, tenant %s, account %s; want %s, %q, %v", name, o.Account, e.Decision.Rule, e.Grant, e.NoClient, e.Tenant, e.Account, want.rule, want.grant, want.noClient)
			}
			if said := e.Change + "\n" + strings.Join(e.Supposed, "\n"); !strings.Contains(said, want.says) {
				t.Errorf("%s: says %q, want something about %q", name, said, want.says)
			}
			if allowed := strings.HasPrefix(want.rule, "allow-") && !want.noClient; e.Allowed() != allowed {
				t.Errorf("%s: allowed %v, want %v", name, e.Allowed(), allowed)
			}
		}
	}
}

func TestExplainTakesTheNewestSignInThatLives(t *testing.T) {
	t.Parallel()
	c := explaining(t)
	people(t, c, func(db *store.Store) error {
		g := issuer.Grant{ID: "grant-2", AccountID: "alice-id", ClientID: "open", Scopes: "openid", OriginHash: slices.Repeat([]byte{1}, 32), CreatedAt: time.Now()}
		return db.CreateGrant(t.Context(), "example", g, nil)
	})
	o := ExplainOptions{Account: "alice@example.test", Client: "open", Service: "mail"}
	if e, err := Explain(t.Context(), c, o); err != nil || e.Grant != "grant-2" || e.Decision.Rule != policy.RuleScope {
		t.Errorf("grant %q by %s, %v; want the newest, which opens nothing", e.Grant, e.Decision.Rule, err)
	}
	people(t, c, func(db *store.Store) error {
		_, err := db.EndGrants(t.Context(), "example", "alice-id", "", "revoked", time.Now())
		return err
	})
	if e, err := Explain(t.Context(), c, o); err != nil || e.Grant != "" || !e.Allowed() {
		t.Errorf("grant %q by %s, %v; want one that is supposed", e.Grant, e.Decision.Rule, err)
	}
}

func TestExplainFindsTheTenant(t *testing.T) {
	t.Parallel()
	c := explaining(t)
	o := ExplainOptions{Account: "alice", Client: "open", Service: "mail"}
	people(t, c, func(db *store.Store) error {
		_, err := db.SaveAccount(t.Context(), "other", issuer.Account{
			ID: "other-id", UpstreamIssuer: "https://login.other.test", UpstreamSubject: "1", Addresses: []string{"alice@other.test"}, Login: "alice", LastSignInAt: time.Now(),
		})
		return err
	})
	for name, want := range map[string]struct {
		edit func(o *ExplainOptions)
		err  error
	}{
		"two tenants":     {func(*ExplainOptions) {}, ErrSeveralAccounts},
		"nobody":          {func(o *ExplainOptions) { o.Account = "bob" }, ErrNoAccount},
		"nobody there":    {func(o *ExplainOptions) { o.Tenant, o.Account = "other", "alice-id" }, ErrNoAccount},
		"no such tenant":  {func(o *ExplainOptions) { o.Tenant = "nowhere" }, ErrNoTenant},
		"no such way":     {func(o *ExplainOptions) { o.Way = "code" }, ErrWay},
		"no scope":        {func(o *ExplainOptions) { o.Scope = "a  b" }, ErrScope},
		"the one named":   {func(o *ExplainOptions) { o.Tenant = "example" }, nil},
		"by its address":  {func(o *ExplainOptions) { o.Account = "alice@example.test" }, nil},
		"by its id alone": {func(o *ExplainOptions) { o.Account = "alice-id" }, nil},
	} {
		o := o
		want.edit(&o)
		e, err := Explain(t.Context(), c, o)
		if !errors.Is(err, want.err) || err == nil && e.Tenant != "example" {
			t.Errorf("%s: tenant %q, %v; want %v", name, e.Tenant, err, want.err)
		}
		if err != nil && strings.Contains(err.Error(), o.Account) {
			t.Errorf("%s: the error repeats the account: %v", name, err)
		}
	}
}
