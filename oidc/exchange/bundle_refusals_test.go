package exchange_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
)

const webmailSecret = "a-secret-that-is-long-and-random-enough"

// declared is the first tenant of a declaration that differs in one place.
func declared(t testing.TB, was, is string) *directory.Realm {
	t.Helper()
	text := strings.Replace(declaration, was, is, 1)
	if text == declaration {
		t.Fatalf("%q is not declared", was)
	}
	tenants, err := directory.Parse("tenants.yaml", []byte(text), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := directory.Compile(base, tenants, 2)
	if err != nil {
		t.Fatal(err)
	}
	realm, _ := snapshot.Realm("example")
	return realm
}

// ended ends the grant of a token.
func (r *rig) ended(t *testing.T, token string) {
	t.Helper()
	if err := r.Store.EndGrant(t.Context(), "example", r.grantOf(t, token), "revoked", r.now); err != nil {
		t.Fatal(err)
	}
}

// TestR24RefusalsOfGenuineTokensAreRecorded, one for each request, in an exchange and in a bundle alike: who has
// stolen a token and tries it leaves a trace. What is not genuine leaves none.
func TestR24RefusalsOfGenuineTokensAreRecorded(t *testing.T) {
	t.Parallel()
	signedIn := func(t *testing.T, r *rig) string { return r.signedIn(t, r.realm, all).AccessToken }
	bound := func(t *testing.T, r *rig) string {
		t.Helper()
		p := newProver(t, r)
		a, _, _ := r.redeemed(t, p.proved(t, codeForm(r.code(t, r.realm, all))))
		return a.AccessToken
	}
	webmail := func(t *testing.T, r *rig) string {
		t.Helper()
		f := as("webmail", r.codeFor(t, r.realm, "webmail", r.alice(), all))
		f.Set("client_secret", webmailSecret)
		a, _, _ := r.redeemed(t, r.call(f))
		return a.AccessToken
	}
	for name, c := range map[string]struct {
		token    func(t *testing.T, r *rig) string
		realm    func(t *testing.T) *directory.Realm
		when     func(t *testing.T, r *rig, token string)
		form     url.Values // of the bundle
		client   string     // that is recorded; "open" if empty
		rule     string     // of the bundle
		exchange string     // of an exchange by the open client; as of the bundle if empty, "-" for none
	}{
		"ended": {token: signedIn, when: func(t *testing.T, r *rig, token string) { t.Helper(); r.ended(t, token) }, rule: "exchange/grant"},
		"gone": {token: signedIn, when: func(t *testing.T, r *rig, _ string) {
			t.Helper()
			r.Known = nil
			r.Store = forgetful{r.Store}
		}, rule: "exchange/grant"},
		"expired":                {token: signedIn, when: func(_ *testing.T, r *rig, _ string) { r.now = r.now.Add(time.Hour) }, rule: "exchange/expired"},
		"bound, without its key": {token: bound, rule: "exchange/binding"},
		"of another client":      {token: signedIn, form: url.Values{"client_id": {"webmail"}, "client_secret": {webmailSecret}}, client: "webmail", rule: "exchange/client", exchange: "exchange/allow-narrow"},
		"an unknown client":      {token: signedIn, form: url.Values{"client_id": {"nobody"}}, rule: "exchange/client", exchange: "exchange/allow-narrow"},
		"without credentials":    {token: webmail, client: "webmail", rule: "exchange/client"},
		"with a wrong secret":    {token: webmail, form: url.Values{"client_secret": {"x"}}, client: "webmail", rule: "exchange/client"},
		"a condition of clients": {token: signedIn, realm: func(t *testing.T) *directory.Realm {
			return declared(t, "    clients:\n", "    clients:\n      condition: 'claims.acr == \"gold\"'\n")
		}, rule: "exchange/client-condition"},
		"the client switched off": {token: signedIn, realm: func(t *testing.T) *directory.Realm {
			return declared(t, "    clients:\n", "    clients:\n      open: false\n")
		}, rule: "exchange/client", exchange: "-"},
		"without openid": {token: func(t *testing.T, r *rig) string {
			return r.signedIn(t, r.realm, "offline_access urn:ietf:params:oauth:scope:mail").AccessToken
		}, rule: "exchange/scope", exchange: "exchange/allow-narrow"},
		"narrow": {token: func(t *testing.T, r *rig) string {
			return r.answers(t, "narrow", form(r.signedIn(t, r.realm, all).AccessToken, with("audience", calendar)), "").AccessToken
		}, rule: "exchange/broad"},
		"not ours":               {token: func(*testing.T, *rig) string { return "a.b.c" }, rule: "-"},
		"of the other tenant":    {token: func(t *testing.T, r *rig) string { return r.signedIn(t, r.other, all).AccessToken }, rule: "-"},
		"with another signature": {token: func(t *testing.T, r *rig) string { return signedIn(t, r) + "A" }, rule: "-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			token := c.token(t, r)
			realm := r.realm
			if c.realm != nil {
				realm = c.realm(t)
			}
			account, grant := "", ""
			if c.rule != "-" {
				claims, err := r.Keys.Verify("example", base, token)
				if err != nil {
					t.Fatal(err)
				}
				account, grant = claims.Subject, claims.GrantID
			}
			if c.when != nil {
				c.when(t, r, token)
			}
			check := func(what, client, rule string, ask func() error) {
				t.Helper()
				before := len(r.audit.events)
				err := ask()
				got := r.audit.events[before:]
				if rule == "-" {
					if err == nil || len(got) != 0 {
						t.Errorf("%s: %v, recorded %+v, want a refusal and no event", what, err, got)
					}
					return
				}
				refused := !strings.HasPrefix(rule, "exchange/allow-")
				if (err != nil) != refused || len(got) != 1 {
					t.Fatalf("%s: %v, recorded %+v, want refused %v and one event", what, err, got, refused)
				}
				e := got[0]
				sum := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
				want := audit.Event{
					At: r.now, Kind: audit.KindToken, Tenant: "example", Account: account, Grant: grant, Client: client, Rule: rule, Outcome: audit.Refused,
					SubjectHash: hex.EncodeToString(sum[:]),
				}
				if !refused {
					want.Outcome = audit.Allowed
				}
				e.Service, e.Scope, e.Asked = "", "", ""
				if e != want {
					t.Errorf("%s: recorded %+v, want %+v", what, e, want)
				}
				// What is not recorded does not happen, and is not told.
				r.audit.err = errors.New("full")
				if err := ask(); oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable {
					t.Errorf("%s: %v, want temporarily_unavailable without the record", what, err)
				}
				r.audit.err = nil
			}
			client := c.client
			if client == "" {
				client = "open"
			}
			check("bundle", client, c.rule, func() error {
				_, err := r.bundle(t, realm, token, c.form)
				return err
			})
			rule := c.exchange
			if rule == "" {
				rule = c.rule
			}
			check("exchange", "open", rule, func() error {
				_, err := r.Token(t.Context(), realm, r.call(form(token, nil)))
				return err
			})
		})
	}
}

// forgetful is a store that has no grants any more.
type forgetful struct{ issuer.Store }

func (forgetful) Grant(context.Context, string, string) (issuer.Grant, error) {
	return issuer.Grant{}, issuer.ErrNotFound
}

// interrupted does something before the first event is recorded: between the parts of a bundle.
type interrupted struct {
	*recorder
	with func(ctx context.Context)
}

func (i *interrupted) Record(ctx context.Context, e audit.Event) error {
	if with := i.with; with != nil {
		i.with = nil
		with(ctx)
	}
	return i.recorder.Record(ctx, e)
}

// TestR26BundleLooksAnewForEachPart: what ends, or is over, while a bundle is answered gets no further token.
func TestR26BundleLooksAnewForEachPart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, r *rig, token string)
		rule      string
	}{
		"nothing happens": {func(*testing.T, *rig, string) {}, ""},
		"the sign-in ends": {func(t *testing.T, r *rig, token string) {
			t.Helper()
			if err := r.Revoke(t.Context(), r.realm, issuer.Call{Form: url.Values{"client_id": {"open"}, "token": {token}}}); err != nil {
				t.Fatal(err)
			}
		}, "exchange/grant"},
		"the grant is gone": {func(_ *testing.T, r *rig, _ string) { r.Known, r.Store = nil, forgetful{r.Store} }, "exchange/grant"},
		"the token ends":    {func(_ *testing.T, r *rig, _ string) { r.now = r.now.Add(time.Hour) }, "exchange/expired"},
		"time passes":       {func(_ *testing.T, r *rig, _ string) { r.now = r.now.Add(10 * time.Second) }, ""},
	} {
		r := newRig(t)
		in := r.signedIn(t, r.realm, all)
		r.Audit = &interrupted{r.audit, func(context.Context) { c.meanwhile(t, r, in.RefreshToken) }}
		before := len(r.audit.events)
		d, err := r.bundle(t, r.realm, in.AccessToken, nil)
		if err != nil || len(d.Services()) != 2 {
			t.Fatalf("%s: %+v, %v, want two services", name, d, err)
		}
		first, second := d.Incoming[0], d.Calendars[0]
		if first.Token == nil {
			t.Errorf("%s: %+v, want a token for what was decided before", name, first.Refusal)
		}
		if (second.Token == nil) != (c.rule != "") || c.rule != "" && second.Refusal.Error != oidc.CodeInvalidRequest {
			t.Errorf("%s: token %v, refusal %+v; want refused %v", name, second.Token != nil, second.Refusal, c.rule != "")
		}
		last := r.audit.last()
		if c.rule != "" && last.Rule != c.rule || !last.At.Equal(r.now) {
			t.Errorf("%s: recorded %+v, want %q at %v", name, last, c.rule, r.now)
		}
		if second.Token != nil {
			claims, err := r.Keys.Verify("example", base, second.Token.AccessToken)
			if err != nil || !claims.IssuedAt.Equal(r.now) || second.Token.ExpiresIn != 300 {
				t.Errorf("%s: made at %v (%v) for %d s, want %v, and 300 s", name, claims.IssuedAt, err, second.Token.ExpiresIn, r.now)
			}
		}
		if n := len(r.audit.events) - before; n < 2 {
			t.Errorf("%s: %d events, want one for each service at least", name, n)
		}
	}
}

// TestBundleTakesNoLongerThanAnExchange: it ends like a request to the token endpoint, and not because
// somebody hung up.
func TestBundleTakesNoLongerThanAnExchange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	ask := func(ctx context.Context) error {
		d, err := exchange.Grant{Issuer: r.Issuer}.Bundle(ctx, r.realm, issuer.Presented{
			Scheme: oidc.Bearer, Token: in.AccessToken, Call: issuer.Call{Method: "POST", URL: r.realm.URL(oidc.ConfigurationPath)},
		})
		if err == nil && (d.Incoming[0].Token == nil || d.Calendars[0].Token == nil) {
			t.Errorf("%+v, want two tokens", d)
		}
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.Audit = &interrupted{r.audit, func(context.Context) { cancel() }}
	if err := ask(ctx); err != nil {
		t.Errorf("hung up half way: %v, want it all", err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r.Audit = &interrupted{r.audit, func(ctx context.Context) { <-ctx.Done() }}
		if err := ask(t.Context()); oidc.CodeOf(err) != oidc.CodeTemporarilyUnavailable {
			t.Errorf("slow: %v, want temporarily_unavailable", err)
		}
		if took := time.Since(began); took != issuer.Patience {
			t.Errorf("slow: given up after %v, want %v", took, issuer.Patience)
		}
	})
}

// TestBundleOfManyNames: a service named many times is one, and nobody has as many as a form has room for.
func TestBundleOfManyNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	for n, code := range map[int]string{1: "", 100: "", 101: oidc.CodeInvalidRequest, 1500: oidc.CodeInvalidRequest} {
		f := url.Values{}
		for range n {
			f.Add("service", "imap")
		}
		before := len(r.audit.events)
		d, err := r.bundle(t, r.realm, in.AccessToken, f)
		if oidc.CodeOf(err) != code {
			t.Errorf("%d names: %v, want %q", n, err, code)
		}
		if err == nil && (d.Incoming[0].Token == nil || d.Calendars[0].Token != nil || len(r.audit.events)-before != 1) {
			t.Errorf("%d names: %+v, %d events; want one token", n, d, len(r.audit.events)-before)
		}
	}
}

// TestR30HiddenServicesDoNotShowInExchanges: who lacks two services gets the same answers as where
// they were not declared.
func TestR30HiddenServicesDoNotShowInExchanges(t *testing.T) {
	t.Parallel()
	const archive = `      - {id: archive, protocol: imap, title: Archive, audience: archive.example.test, endpoints: [{host: imap.example.test, port: 994, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false, condition: 'claims.acr == "gold"'}` + "\n"
	const mail = `      - {id: imap, protocol: imap, title: Mail, audience: mail.example.test, `
	r := newRig(t)
	in := r.signedIn(t, r.realm, all)
	without := declared(t, "      - {id: imap, protocol: imap, title: Mail, ", mail)
	hidden := declared(t, "      - {id: imap, protocol: imap, title: Mail, ", archive+mail)
	for _, target := range []string{"imap.example.test", "mail.example.test", "archive.example.test", "nonsense.example.test"} {
		var answers []string
		for _, realm := range []*directory.Realm{without, hidden} {
			a, err := r.Token(t.Context(), realm, r.call(form(in.AccessToken, with("audience", target))))
			answers = append(answers, fmt.Sprint(a.AccessToken != "", err))
			if e := r.audit.last(); err == nil && (e.Service != "mail.example.test" || e.Outcome != audit.Allowed) {
				t.Errorf("%s: recorded %+v, want it for the mail", target, e)
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: %s, and with a hidden service %s", target, answers[0], answers[1])
		}
	}
}
