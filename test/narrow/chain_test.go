package narrow_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/test/narrow/oracle"
)

// steps is the most that one chain has.
const steps = 8

// poolSize is how many tokens of earlier chains can be stolen.
const poolSize = 40

// noKey stands for a request without a proof.
const noKey = -1

// grant is a sign-in as its person and program know it.
type grant struct {
	tenant   int
	artefact oracle.Artefact
	key      int      // with which it was redeemed
	code     string   // that it was made from
	refresh  []string // newest last
}

// Kinds of what is held.
const (
	access  = "access token"
	idToken = "ID token"
	secret  = "app password"
)

// held is a token that somebody holds.
type held struct {
	kind  string
	text  string
	grant *grant
	says  oracle.Artefact
}

// chain is one story: somebody signs in, and asks for one thing after the other.
type chain struct {
	*world
	held    []*held
	history []string
	counts  tally
}

// run goes at most steps ways.
func (w *world) run(counts tally) {
	c := &chain{world: w, counts: counts}
	w.grants = nil
	c.signIn()
	for range 1 + w.random.IntN(steps-1) {
		switch n := w.random.IntN(100); {
		case n < 8:
			c.signIn()
		case n < 28:
			c.refresh()
		case n < 34:
			c.wait()
		case n < 37:
			c.end()
		case n < 39:
			c.replay()
		case n < 50:
			c.bundle()
		case n < 64:
			c.password()
		default:
			c.exchange()
		}
	}
	for _, h := range c.held {
		if len(w.pool) < poolSize {
			w.pool = append(w.pool, h)
		} else if w.once(4) {
			w.pool[w.random.IntN(poolSize)] = h
		}
	}
}

// verifier is a code_verifier (RFC 7636, section 4.1).
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// signIn signs somebody in with some program, and redeems the code.
func (c *chain) signIn() {
	c.t.Helper()
	at := c.random.IntN(len(c.tenants))
	t, person := c.tenants[at], c.random.IntN(len(people))
	client := pick(c.random, oidc.ClientOpen, oidc.ClientOpen, "webmail", "careful", "mobile")
	words := c.some(vocabulary, 5, 1)
	words = append(words, c.some([]string{oidc.ScopeOpenID, oidc.ScopeOfflineAccess, oidc.ScopeAppPassword}, 3, 1)...)
	var resources []string
	if c.once(5) {
		resources = c.audiences(at, 1+c.random.IntN(3))
	}
	code, ok := c.code(at, person, client, words, resources)
	if !ok {
		return
	}
	key := c.keyOf(client, noKey)
	g := &grant{tenant: at, key: key, code: code, artefact: oracle.Artefact{
		Kind: oracle.Grant, Issuer: t.realm.Issuer, Person: t.subjects[person], Client: client, Scope: words, Audience: resources,
	}}
	if client != "webmail" && key != noKey { // who has a secret shows it at every refresh, others the key
		g.artefact.Key = c.keys[key].thumbprint
	}
	c.redeem(g)
}

// code is an authorization code that a person allowed; none if what is asked means nothing here.
func (c *chain) code(at, person int, client string, words, resources []string) (string, bool) {
	c.t.Helper()
	ctx, r := c.t.Context(), c.tenants[at].realm
	asked, err := c.Check(ctx, r, url.Values{
		"client_id": {client}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {strings.Join(words, " ")},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "resource": resources,
	})
	if err != nil {
		c.counts.add("authorize", code(err), false)
		return "", false
	}
	begun, err := c.Begin(ctx, r, asked, "browser")
	must(c.t, err)
	_, signIn, err := c.Choose(ctx, r, begun, "staff", "browser")
	must(c.t, err)
	next, err := c.SignedIn(ctx, r, signIn, c.person(at, person))
	must(c.t, err)
	location := next.Location // where consent was remembered
	if next.Ticket != "" {
		location, err = c.Answer(ctx, r, next.Ticket, "browser", true)
		must(c.t, err)
	}
	u, err := url.Parse(location)
	must(c.t, err)
	return u.Query().Get("code"), true
}

// person is what the identity provider says of somebody.
func (c *chain) person(at, n int) oidc.Person {
	p, domain := people[n], c.tenants[at].realm.Domains[0].Name
	return oidc.Person{
		Provider: "staff", Issuer: "https://login." + domain, Subject: p.local, Addresses: []string{p.local + "@" + domain}, Login: p.login,
		AuthTime: c.now.Add(-time.Minute), Claims: claimsOf(p.groups),
	}
}

// redeem redeems the code of a sign-in that is just made.
func (c *chain) redeem(g *grant) {
	c.t.Helper()
	a := ask{label: "code", way: oracle.ByGrant, tenant: g.tenant, client: g.artefact.Client, key: g.key, grant: g, form: url.Values{
		"grant_type": {oidc.GrantTypeAuthorizationCode}, "code": {g.code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}}
	if c.once(60) {
		a.form.Set("code_verifier", strings.Repeat("x", 43))
		a.stolen = true
	}
	if c.once(30) {
		a.client = c.anyClient()
	}
	c.narrowing(&a)
	if !c.send(a) {
		return
	}
	c.grants = append(c.grants, g)
}

// replay presents a code once more.
func (c *chain) replay() {
	c.t.Helper()
	if g, ok := c.anyGrant(); ok {
		c.send(ask{label: "code", way: oracle.ByGrant, tenant: g.tenant, client: g.artefact.Client, key: g.key, grant: g, stolen: true, form: url.Values{
			"grant_type": {oidc.GrantTypeAuthorizationCode}, "code": {g.code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
		}})
	}
}

// refresh presents a refresh token, mostly the newest.
func (c *chain) refresh() {
	c.t.Helper()
	g, ok := c.anyGrant()
	if !ok || len(g.refresh) == 0 {
		c.exchange()
		return
	}
	token := g.refresh[len(g.refresh)-1]
	if c.once(25) {
		token = g.refresh[0]
	}
	a := ask{label: "refresh", way: oracle.ByGrant, tenant: g.tenant, client: g.artefact.Client, key: c.keyOf(g.artefact.Client, g.key), grant: g}
	a.form = url.Values{"grant_type": {oidc.GrantTypeRefreshToken}, "refresh_token": {token}}
	c.mistake(&a)
	c.narrowing(&a)
	c.send(a)
}

// narrowing asks a sign-in for less than everything, and sometimes for more.
func (c *chain) narrowing(a *ask) {
	if slices.Contains(a.grant.artefact.Scope, oidc.ScopeAppPassword) && !c.once(2) {
		a.form["resource"] = []string{a.grant.artefact.Issuer} // for passwords
		return
	}
	if c.once(4) {
		a.form["resource"] = c.targets(a.tenant, a.grant.artefact)
	}
	if c.once(3) {
		c.scope(a, a.grant.artefact.Scope)
	}
}

// wait lets time pass: some of it, or all that a token has.
func (c *chain) wait() {
	c.pass(pick(c.random, time.Second, time.Minute, 14*time.Minute, 50*time.Minute, 70*time.Minute))
}

func (c *chain) pass(d time.Duration) {
	c.now = c.now.Add(d)
	c.look()
	c.history = append(c.history, fmt.Sprintf("it is %s", c.now.Format(time.TimeOnly)))
}

// end ends a sign-in: its program gives it back, or an administrator ends it.
func (c *chain) end() {
	c.t.Helper()
	g, ok := c.anyGrant()
	if !ok {
		return
	}
	c.history = append(c.history, "sign-in "+g.artefact.Grant+" ends")
	g.artefact.Ended = true
	if len(g.refresh) == 0 || c.once(2) {
		must(c.t, c.db.EndGrant(c.t.Context(), c.tenants[g.tenant].realm.Name, g.artefact.Grant, "administrator", c.now))
		c.look()
		return
	}
	form := url.Values{"client_id": {g.artefact.Client}, "token": {g.refresh[len(g.refresh)-1]}}
	if g.artefact.Client == "webmail" {
		form.Set("client_secret", clientSecret)
	}
	r := c.tenants[g.tenant].realm
	must(c.t, c.Revoke(c.t.Context(), r, issuer.Call{Form: form, Method: "POST", URL: r.URL("/revoke")}))
}

func (c *chain) anyGrant() (*grant, bool) {
	if len(c.grants) == 0 {
		return nil, false
	}
	return pick(c.random, c.grants...), true
}

func (c *chain) anyClient() string {
	return pick(c.random, oidc.ClientOpen, "webmail", "careful", "mobile", "nobody")
}

// keyOf is the key that a program proves: the one that it has used, or one as it likes.
func (c *chain) keyOf(client string, used int) int {
	switch {
	case used != noKey && !c.once(10):
		return used
	case client == "careful" && !c.once(12), c.once(3):
		return c.random.IntN(len(c.keys))
	}
	return noKey
}

// audiences are some of a tenant's.
func (c *chain) audiences(at, n int) (list []string) {
	for range n {
		s := pick(c.random, c.tenants[at].realm.Services...)
		if !slices.Contains(list, s.Audience) {
			list = append(list, s.Audience)
		}
	}
	return list
}
