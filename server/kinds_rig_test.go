package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/keys"
)

// assertionType is the one of RFC 7523, section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// kindsRig is a server with somebody who has one of everything.
type kindsRig struct {
	t         testing.TB
	s         *servertest.Server
	key       *ecdsa.PrivateKey // of the client "keyed" and of the resource server "files-server": that one key tells them apart is not to be relied on
	prover    *prover
	narrow    string // what files-server asks about
	opaque    string // a broad token of the time when the tenant's were opaque
	bystander answer // a sign-in that nothing is done with
	far       answer // one at the other tenant
	entered   int    // user codes
}

func newKindsRig(t testing.TB) *kindsRig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public := mustJSON(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public()}}})
	s := servertest.Start(t)
	declaration := inExample(s.Declaration(), fmt.Sprintf(`    clients:
      device: "on"
      fixed:
        - {id: signer, name: Signer, redirect_uris: [%[1]q], id_token_algorithm: ES256}
        - {id: keyed, name: Keyed, redirect_uris: [%[1]q], authentication: private_key_jwt, jwks: '%[2]s'}
    token_profiles:
      - {name: own, based_on: rfc9068, typ: JWT, azp: true, aud: array, nbf: true, backdate: 5s, user_claim: login}
    resource_servers:
      - {name: mail-server, audiences: [imap.example.test], secret: %[3]s}
      - {name: dav-server, audiences: ["https://dav.example.test/calendars/", "https://dav.example.test/contacts/"], secret: %[4]s}
      - {name: files-server, audiences: ["https://files.example.test/dav/", "https://chat.example.test/"], authentication: private_key_jwt, jwks: '%[2]s'}
`, redirectURI, public, secretMail, secretDav))
	// A service for each form of tokens; mail takes passwords.
	declaration = strings.Replace(declaration, "in_broad: false}\n", "in_broad: false, app_passwords: true}\n", 1)
	declaration = strings.Replace(declaration, "      - {id: submission,", `      - {id: contacts, protocol: carddav, title: Contacts, endpoints: [{url: "https://dav.example.test/contacts/"}], scopes: ["urn:ietf:params:oauth:scope:calendars"], profile: opaque, in_broad: false}
      - {id: chat, protocol: https, title: Chat, endpoints: [{url: "https://chat.example.test/"}], scopes: ["urn:signpost:scope:files"], profile: own}
      - {id: cyrus, protocol: imap, title: Archive, endpoints: [{host: cyrus.example.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted, in_broad: false}
      - {id: submission,`, 1)
	opaque := strings.Replace(declaration, "    token_profiles:\n", "    broad_token: opaque\n    token_profiles:\n", 1)
	declare(t, s, strings.Replace(opaque, `{id: calendar, `, `{id: calendar, in_broad: false, `, 1), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.BroadToken == oidc.ProfileOpaque
	})
	broadOpaque := signedIn(t, s.URL, nil).AccessToken
	// The calendar looks at keys, so that bound tokens are good at a resource server too.
	calendar := `scopes: ["urn:ietf:params:oauth:scope:calendars"]}`
	declare(t, s, strings.Replace(declaration, calendar, strings.TrimSuffix(calendar, "}")+", dpop: accepts}", 1), dpopDeclared)
	return &kindsRig{
		t: t, s: s, key: key, opaque: broadOpaque, prover: newProver(t, s), bystander: signedIn(t, s.URL, nil),
		far: signedIn(t, s.OtherURL(), set("scope", "openid offline_access "+mailScope)),
	}
}

// kinds makes one value of every kind. What can be revoked comes from a sign-in of its own.
func (r *kindsRig) kinds() map[string]string {
	r.t.Helper()
	t, s := r.t, r.s
	in, calendar, gone := signedIn(t, s.URL, nil), "https://dav.example.test/calendars/", signedIn(t, s.URL, nil)
	isRevoked(t, revoked(t, s.URL, giveBack(gone.RefreshToken)))
	narrow := func(audience string) string {
		return token(t, s.URL, exchangeForm(r.bystander.AccessToken, audience)).AccessToken
	}
	dovecot := narrow("imap.example.test")
	r.narrow = narrow("https://files.example.test/dav/")
	device, b := newDevice(t, s.URL), newBrowser(t)
	ticket, _ := b.toDeviceConsent(device)
	b.allows(device, ticket, "allow").endsWith(t, "allowed")
	_, requestURI := push(t, s.URL, authorizeForm(nil))
	upstreamID, upstreamAccess := r.upstream()
	const program = `{"redirect_uris":["` + redirectURI + `"]}`
	kinds := map[string]string{
		"id:rs256": r.bystander.IDToken, "id:es256": r.signer().IDToken,
		"broad": in.AccessToken, "broad:expired": r.expired(in.AccessToken), "broad:ended": gone.AccessToken,
		"broad:opaque": r.opaque, "narrow:opaque": narrow("https://dav.example.test/contacts/"), "narrow:own": narrow("https://chat.example.test/"),
		"narrow:cyrus": narrow("cyrus.example.test"), "app-password": r.appPassword(),
		"narrow": narrow(calendar), "narrow:dovecot": dovecot, "narrow:rs256": r.narrow,
		"refresh": signedIn(t, s.URL, nil).RefreshToken, "code": newCode(t, s.URL, nil),
		"device-code": device.DeviceCode, "user-code": newDevice(t, s.URL).UserCode,
		"request-uri": requestURI, "registered-id": registered(t, s.URL+"/register", program),
		"signed-answer":    introspected(t, s.URL, dovecot, asMail, header("Accept", "application/token-introspection+jwt")).body,
		"client-assertion": r.assertionOf("keyed"), "server-assertion": r.assertionOf("files-server"),
		"upstream:id": upstreamID, "upstream:access": upstreamAccess,
		"far:id": r.far.IDToken, "far:broad": r.far.AccessToken, "far:refresh": r.far.RefreshToken,
		"far:narrow":        token(t, s.OtherURL(), exchangeForm(r.far.AccessToken, "imap.other.test")).AccessToken,
		"far:registered-id": registered(t, s.OtherURL()+"/register", program),
		"broad:bound":       r.prover.signedIn(s.URL, nil).AccessToken,
		"proof":             "", // below: its nonce came with the sign-in above
	}
	kinds["proof"] = r.prover.proof(http.MethodPost, s.URL+"/token", "")
	for name, value := range kinds {
		if value == "" {
			t.Fatalf("there is no %s", name)
		}
	}
	for name, algorithm := range map[string]string{"id:rs256": "RS256", "id:es256": "ES256", "narrow": "ES256", "narrow:rs256": "RS256"} {
		if header, _ := claims(t, kinds[name]); header["alg"] != algorithm {
			t.Fatalf("%s is signed by %v, want %s", name, header["alg"], algorithm)
		}
	}
	return kinds
}

// signer signs in with the client whose ID tokens are signed by ES256.
func (r *kindsRig) signer() answer {
	r.t.Helper()
	form := codeForm(newCode(r.t, r.s.URL, set("client_id", "signer")))
	form.Set("client_id", "signer")
	return token(r.t, r.s.URL, form)
}

// appPassword is one for mail, made as R21 has it: by a token for the issuer alone.
func (r *kindsRig) appPassword() string {
	r.t.Helper()
	form := codeForm(newCode(r.t, r.s.URL, set("scope", allScopes+" "+oidc.ScopeAppPassword)))
	form.Set("resource", r.s.URL)
	alone := token(r.t, r.s.URL, form)
	form = exchangeForm(alone.AccessToken, "imap.example.test")
	form.Set("requested_token_type", oidc.TokenTypeAppPassword)
	a := token(r.t, r.s.URL, form)
	if a.Status != http.StatusOK || a.TokenType != oidc.NotAToken || a.IssuedTokenType != oidc.TokenTypeAppPassword || strings.Contains(a.AccessToken, ".") {
		r.t.Fatalf("app password: %d %s %s, of type %s", a.Status, a.Error, a.Description, a.TokenType)
	}
	return a.AccessToken
}

// expired is the same token, signed by the same key, with its end in the past.
func (r *kindsRig) expired(broad string) string {
	r.t.Helper()
	c, err := r.s.Service.Keys.Verify(servertest.Tenant, r.s.URL, broad)
	must(r.t, err)
	c.IssuedAt, c.ExpiresAt = c.IssuedAt.Add(-time.Hour), c.IssuedAt.Add(-time.Minute)
	signed, err := r.s.Service.Keys.Sign(servertest.Tenant, oidc.BuiltInProfiles()[0], keys.ES256, c)
	must(r.t, err)
	return signed
}

// assertionOf is a new one, good at every endpoint.
func (r *kindsRig) assertionOf(id string) string {
	r.t.Helper()
	return assertion(r.t, jose.SigningKey{Algorithm: jose.ES256, Key: r.key}, id, r.s.URL).Get("client_assertion")
}

// upstream signs in at the identity provider as Signpost does, and returns what it gives.
func (r *kindsRig) upstream() (id, access string) {
	r.t.Helper()
	const callback = "https://callback.example.test/"
	back := r.s.IDP.Visit(r.t, r.s.IDP.Issuer+"/authorize?"+authorizeForm(func(q url.Values) {
		q.Set("client_id", r.s.IDP.ClientID)
		q.Set("redirect_uri", callback)
	}).Encode())
	form := codeForm(back.Get("code"))
	form.Del("client_id")
	form.Set("redirect_uri", callback)
	p := posted(r.t, r.s.IDP.Issuer, form, basic(r.s.IDP.ClientID, r.s.IDP.ClientSecret))
	var given answer
	p.json(r.t, &given)
	return given.IDToken, given.AccessToken
}

// state is what the database keeps that a refusal must not change.
func (r *kindsRig) state() []string {
	r.t.Helper()
	var all []string
	for _, query := range []string{
		`SELECT client_id || ' ' || scopes || ' ' || ended_reason FROM grants ORDER BY tenant, id`,
		`SELECT CAST(count(*) AS TEXT) || ' ' || CAST(count(used_at) AS TEXT) FROM refresh_tokens`,
		`SELECT CAST(count(*) AS TEXT) FROM consents`,
		`SELECT id FROM accounts ORDER BY tenant, id`,
	} {
		all = append(all, rows(r.t, r.s, query)...)
	}
	return all
}

// living counts the sign-ins of both tenants that have not ended.
func (r *kindsRig) living() int {
	r.t.Helper()
	alice, err := r.s.Grants(r.t, servertest.Tenant, "alice@example.test")
	must(r.t, err)
	carol, err := r.s.Grants(r.t, servertest.Other, "carol@other.test")
	must(r.t, err)
	return len(alice) + len(carol)
}
