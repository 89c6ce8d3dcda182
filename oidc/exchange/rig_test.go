package exchange_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/internal/store"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
	"signpost/scopes"
)

// maxStale is how long known grants count without the database.
const maxStale = 5 * time.Minute

const (
	base        = "https://id.example.test"
	redirectURI = "http://127.0.0.1:49152/cb"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	all         = "openid offline_access " + scopes.Mail + " " + scopes.Calendars
)

const declaration = `
tenants:
  - name: example
    issuer: base
    title: Example Organisation
    domains: [example.test]
    clients:
      fixed:
        - {id: webmail, name: Webmail, redirect_uris: ["http://127.0.0.1/cb"], authentication: client_secret_post, secret: "a-secret-that-is-long-and-random-enough"}
        - {id: careful, name: Careful, redirect_uris: ["http://127.0.0.1/cb"], dpop_bound_access_tokens: true, id_token_algorithm: ES256}
    identity_providers:
      - {name: staff, title: Staff, issuer: "https://login.example.test", client_id: x, scopes: [openid], address_trust: email_verified}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false, app_passwords: true}
      - {id: calendar, protocol: caldav, title: Calendar, endpoints: [{url: "https://dav.example.test/calendars/"}], scopes: ["urn:ietf:params:oauth:scope:calendars"], lifetime: 5m, app_passwords: true}
      - {id: files, protocol: webdav, title: Files, endpoints: [{url: "https://files.example.test/dav/"}], scopes: ["urn:signpost:scope:files"]}
  - name: other
    issuer: path
    title: Other Organisation
    domains: [other.test]
    identity_providers:
      - {name: staff, title: Staff, issuer: "https://login.other.test", client_id: x, scopes: [openid], address_trust: email_verified}
    services:
      - {id: mail, protocol: imap, title: Mail, endpoints: [{host: imap.other.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false}
`

// recorder is an audit.Log.
type recorder struct {
	mu     sync.Mutex
	events []audit.Event
	err    error // what it answers, if not nil
}

func (l *recorder) Record(_ context.Context, e audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return l.err
}

func (l *recorder) last() audit.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[len(l.events)-1]
}

// rig is the authorization server of two tenants over the real store and cache.
type rig struct {
	*issuer.Issuer
	realm, other *directory.Realm
	audit        *recorder
	now          time.Time
	db           *store.Store
	reopen       func() *store.Store // the database once more, after it was closed
}

// noFeed tells of no end, so that what a test finds ended it has not heard there.
type noFeed struct{}

func (noFeed) Ended(context.Context, int64) ([]issuer.EndedGrant, int64, error) {
	return nil, 0, errors.New("there is no feed")
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{audit: &recorder{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return r.now }
	box, err := seal.New(bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "signpost.db")
	r.reopen = func() *store.Store {
		db, err := store.OpenSQLite(t.Context(), file, box)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("close the store: %v", err)
			}
		})
		return db
	}
	db := r.reopen()
	memory := cache.NewMemory(8 << 20)
	t.Cleanup(memory.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	tenants, err := directory.Parse("tenants.yaml", []byte(declaration), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	_, revision, err := db.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SaveTenants(t.Context(), revision, tenants, nil); err != nil {
		t.Fatal(err)
	}
	snapshot, err := directory.Compile(base, tenants, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.realm, _ = snapshot.Realm("example")
	r.other, _ = snapshot.Realm("other")
	signing := keys.New(db, box, clock, generate())
	for _, tenant := range tenants {
		if err := signing.Ensure(t.Context(), tenant.Name); err != nil {
			t.Fatal(err)
		}
	}
	r.db = db
	known := issuer.NewKnown(db, noFeed{}, maxStale, clock)
	r.Issuer = &issuer.Issuer{
		Clients: &clients.Clients{}, Proofs: &dpop.Checker{Namer: box, Marks: memory, Now: clock},
		AppPasswords: &apppassword.Passwords{Store: db, Hasher: box, Limits: memory, Cache: memory, Random: rand.Reader, Now: clock},
		Store:        db, Known: known, Cache: memory, Begun: memory, Keys: signing, Tokens: tokens.New(signing, memory, box, clock), Sealer: box, Audit: r.audit, Now: clock,
	}
	r.Register(oidc.GrantTypeTokenExchange, exchange.Grant{Issuer: r.Issuer})
	return r
}

// rsaKeys are made once: making them is most of the time of these tests.
var rsaKeys = sync.OnceValues(func() (made [4]crypto.Signer, err error) {
	for i := range made {
		if made[i], err = keys.Generate(keys.RS256); err != nil {
			return made, err
		}
	}
	return made, nil
})

func generate() func(algorithm string) (crypto.Signer, error) {
	used := 0
	return func(algorithm string) (crypto.Signer, error) {
		if algorithm != keys.RS256 {
			return keys.Generate(algorithm)
		}
		made, err := rsaKeys()
		used++
		return made[used-1], err
	}
}

// code signs somebody in and allows, and returns the code.
func (r *rig) code(t testing.TB, realm *directory.Realm, scope string, resources ...string) string {
	t.Helper()
	domain := realm.Domains[0].Name
	return r.codeOf(t, realm, oidc.Person{
		Provider: "staff", Issuer: "https://login." + domain, Subject: "a1", Addresses: []string{"alice@" + domain}, Login: "alice",
	}, scope, resources...)
}

// codeOf is code for somebody in particular.
func (r *rig) codeOf(t testing.TB, realm *directory.Realm, p oidc.Person, scope string, resources ...string) string {
	t.Helper()
	return r.codeFor(t, realm, "open", p, scope, resources...)
}

// codeFor is codeOf for another client than the open one.
func (r *rig) codeFor(t testing.TB, realm *directory.Realm, client string, p oidc.Person, scope string, resources ...string) string {
	t.Helper()
	q := url.Values{
		"client_id": {client}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {scope}, "nonce": {"n-1"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "resource": resources,
	}
	asked, err := r.Check(t.Context(), realm, q)
	if err != nil {
		t.Fatal(err)
	}
	begun, err := r.Begin(t.Context(), realm, asked, "browser")
	if err != nil {
		t.Fatal(err)
	}
	_, signIn, err := r.Choose(t.Context(), realm, begun, "staff", "browser")
	if err != nil {
		t.Fatal(err)
	}
	next, err := r.SignedIn(t.Context(), realm, signIn, p)
	if err != nil {
		t.Fatal(err)
	}
	location, err := r.Answer(t.Context(), realm, next.Ticket, "browser", true)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(location)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("answer %q: %v", location, err)
	}
	return u.Query().Get("code")
}

func codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {oidc.GrantTypeAuthorizationCode}, "client_id": {"open"}, "redirect_uri": {redirectURI}, "code": {code}, "code_verifier": {verifier},
	}
}

// signedIn signs in and redeems the code.
func (r *rig) signedIn(t testing.TB, realm *directory.Realm, scope string, resources ...string) issuer.TokenResponse {
	t.Helper()
	a, err := r.Token(t.Context(), realm, issuer.Call{Form: codeForm(r.code(t, realm, scope, resources...)), Method: "POST", URL: realm.URL("/token")})
	if err != nil {
		t.Fatalf("redeem: %v", err)
	}
	return a
}

// form is a good exchange of a subject token for the IMAP server's; edit changes it.
func form(subject string, edit func(f url.Values)) url.Values {
	f := url.Values{
		"grant_type": {oidc.GrantTypeTokenExchange}, "client_id": {"open"}, "subject_token": {subject},
		"subject_token_type": {oidc.TokenTypeAccessToken}, "audience": {"imap.example.test"},
	}
	if edit != nil {
		edit(f)
	}
	return f
}

// call is a request to the first tenant's token endpoint, from a program without a key.
func (r *rig) call(form url.Values) issuer.Call {
	return issuer.Call{Form: form, Method: "POST", URL: r.realm.URL("/token")}
}
