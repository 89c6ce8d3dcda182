package issuer_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/keys/keystest"
	"signpost/oidc/tokens"
	"signpost/scopes"
)

// people is a store in memory of what a device's sign-in needs.
type people struct {
	issuer.Store

	mu       sync.Mutex
	accounts map[string]issuer.Account
	grants   map[string]issuer.Grant // by origin
}

func (p *people) AccountOf(_ context.Context, _, _, subject string) (issuer.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.accounts {
		if a.UpstreamSubject == subject {
			return a, nil
		}
	}
	return issuer.Account{}, issuer.ErrNotFound
}

func (p *people) SaveAccount(ctx context.Context, tenant string, a issuer.Account) (issuer.Account, error) {
	if known, err := p.AccountOf(ctx, tenant, a.UpstreamIssuer, a.UpstreamSubject); err == nil {
		return known, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts[a.ID] = a
	return a, nil
}

func (p *people) Account(_ context.Context, _, id string) (issuer.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[id]
	if !ok {
		return a, issuer.ErrNotFound
	}
	return a, nil
}

func (p *people) CreateGrant(_ context.Context, _ string, g issuer.Grant, _ []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	origin := hex.EncodeToString(g.OriginHash)
	if first, known := p.grants[origin]; known {
		first.EndedReason = "replay"
		p.grants[origin] = first
		return issuer.ErrReplayed
	}
	p.grants[origin] = g
	return nil
}

func (p *people) EndReplayed(_ context.Context, _ string, originHash []byte, since, now time.Time) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, known := p.grants[hex.EncodeToString(originHash)]
	if !known || g.CreatedAt.Before(since) || g.EndedReason != "" {
		return false, nil
	}
	g.EndedReason, g.EndedAt = "replay", now
	p.grants[hex.EncodeToString(originHash)] = g
	return true, nil
}

// made returns all grants.
func (p *people) made() (all []issuer.Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.grants {
		all = append(all, g)
	}
	return all
}

// ring is a store of keys in memory.
type ring struct {
	keys.Store
	mu   sync.Mutex
	kept []keys.Stored
}

func (r *ring) Keys(context.Context, string) ([]keys.Stored, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]keys.Stored(nil), r.kept...), nil
}

func (r *ring) AddKey(_ context.Context, _ string, k keys.Stored) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, k)
	return true, nil
}

type silent struct{}

func (silent) Record(context.Context, audit.Event) error { return nil }

// deviceRig is an authorization server with a device flow, and what a device and its person do.
type deviceRig struct {
	t testing.TB
	*issuer.Issuer
	realm       *directory.Realm
	people      *people
	kept, begun *cache.Memory
}

const deviceClients = `
    clients:
      device: %s
      fixed:
        - {id: tv, name: Example TV, redirect_uris: ["http://127.0.0.1/cb"]}
        - {id: frame, name: Example Frame, redirect_uris: ["http://127.0.0.1/cb"]}
`

// deviceRealm is the tenant with a policy for devices; "" declares none.
func deviceRealm(t testing.TB, policy string) *directory.Realm {
	t.Helper()
	text := strings.Replace(deviceClients, "%s", policy, 1)
	if policy == "" {
		text = strings.Replace(deviceClients, "      device: %s\n", "", 1)
	}
	tenants, err := directory.Parse("tenants.yaml", []byte(strings.Replace(declaration, "    identity_providers:", text[1:]+"    identity_providers:", 1)), os.LookupEnv, os.ReadFile)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	snapshot, err := directory.Compile("https://id.example.test", tenants, 1)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	r, ok := snapshot.Realm("example")
	if !ok {
		t.Fatal("no such tenant")
	}
	return r
}

func newDeviceRig(t testing.TB, policy string) *deviceRig {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	r := &deviceRig{
		t: t, realm: deviceRealm(t, policy), people: &people{accounts: map[string]issuer.Account{}, grants: map[string]issuer.Grant{}},
		kept: cache.NewMemory(8 << 20), begun: cache.NewMemory(8 << 20),
	}
	t.Cleanup(r.kept.Close)
	t.Cleanup(r.begun.Close)
	signing := keys.New(&ring{}, box, time.Now, keystest.Generator())
	if err := signing.Ensure(t.Context(), r.realm.Name); err != nil {
		t.Fatal(err)
	}
	r.Issuer = &issuer.Issuer{
		Store: r.people, Cache: r.kept, Begun: r.begun, Keys: signing, Tokens: tokens.New(signing, r.kept, box, time.Now), Clients: &clients.Clients{Now: time.Now},
		Proofs: &dpop.Checker{Namer: box, Marks: r.begun, Now: time.Now},
		Limits: r.begun, Sealer: box, Audit: silent{}, Now: time.Now,
	}
	r.Register(oidc.GrantTypeTokenExchange, nil)
	return r
}

// asked is a device that has asked.
func (r *deviceRig) asked(client string) issuer.DeviceAuthorization {
	r.t.Helper()
	d, err := r.ask(url.Values{"client_id": {client}, "scope": {"offline_access " + scopes.Calendars}})
	if err != nil {
		r.t.Fatalf("device authorization: %v", err)
	}
	return d
}

func (r *deviceRig) ask(form url.Values) (issuer.DeviceAuthorization, error) {
	return r.AuthorizeDevice(r.t.Context(), r.realm, issuer.Call{Form: form, Method: "POST", URL: r.realm.URL("/device_authorization")}, "192.0.2.7")
}

// poll asks for the token.
func (r *deviceRig) poll(client, deviceCode string) (issuer.TokenResponse, error) {
	form := url.Values{"grant_type": {oidc.GrantTypeDeviceCode}, "client_id": {client}, "device_code": {deviceCode}}
	return r.Token(r.t.Context(), r.realm, issuer.Call{Form: form, Method: "POST", URL: r.realm.URL("/token")})
}

// wants polls and compares the error; "" is none.
func (r *deviceRig) wants(client, deviceCode, code string) issuer.TokenResponse {
	r.t.Helper()
	a, err := r.poll(client, deviceCode)
	if got := oidc.CodeOf(err); got != code || (err == nil) != (code == "") {
		r.t.Errorf("poll of %s: %v, want %q", client, err, code)
	}
	return a
}

func typed(code, browser string) issuer.Typed {
	return issuer.Typed{Code: code, Browser: browser, From: "198.51.100.1"}
}

// signIn goes from the code to the consent page and returns its ticket.
func (r *deviceRig) signIn(code, browser, subject string) (ticket string) {
	r.t.Helper()
	ctx := r.t.Context()
	a, err := r.BeginDevice(ctx, r.realm, typed(code, browser))
	if err != nil {
		r.t.Fatalf("BeginDevice: %v", err)
	}
	begun, err := r.Begin(ctx, r.realm, a, browser)
	if err != nil {
		r.t.Fatalf("Begin: %v", err)
	}
	_, s, err := r.Choose(ctx, r.realm, begun, "staff", browser)
	if err != nil {
		r.t.Fatalf("Choose: %v", err)
	}
	p, err := issuer.Provider(r.realm, "staff")
	if err != nil {
		r.t.Fatal(err)
	}
	next, err := r.SignedIn(ctx, r.realm, s, oidc.Person{
		Provider: "staff", Issuer: p.Issuer, Subject: subject, Addresses: []string{subject + "@example.test"}, AuthTime: time.Now(),
	})
	if err != nil || next.Ticket == "" {
		r.t.Fatalf("SignedIn = %+v, %v; want the consent page", next, err)
	}
	return next.Ticket
}

// answers says yes or no on the consent page and returns the result that the page at the end shows.
func (r *deviceRig) answers(ticket, browser string, allow bool) string {
	r.t.Helper()
	location, err := r.Answer(r.t.Context(), r.realm, ticket, browser, allow)
	if err != nil {
		r.t.Fatalf("Answer: %v", err)
	}
	result, ok := strings.CutPrefix(location, "https://id.example.test/device?result=")
	if !ok {
		r.t.Fatalf("the answer leads to %q", location)
	}
	return result
}
