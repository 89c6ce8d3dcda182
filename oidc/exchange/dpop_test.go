package exchange_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/policy"
)

// prover is a program that holds a key.
type prover struct {
	*rig
	key *ecdsa.PrivateKey
}

func newProver(t testing.TB, r *rig) prover {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return prover{r, key}
}

func (p prover) thumbprint(t testing.TB) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: p.key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proved is a call to the token endpoint with a new proof.
func (p prover) proved(t testing.TB, form url.Values) issuer.Call {
	t.Helper()
	call := p.call(form)
	signed, err := (&jwt.Token{
		Header: map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jose.JSONWebKey{Key: p.key.Public()}},
		Claims: jwt.MapClaims{"jti": rand.Text(), "htm": call.Method, "htu": call.URL, "iat": p.now.Unix(), "nonce": p.Proofs.Nonce("example")},
		Method: jwt.SigningMethodES256,
	}).SignedString(p.key)
	if err != nil {
		t.Fatal(err)
	}
	call.DPoP = []string{signed}
	return call
}

// alice is somebody of whom the identity provider says how she signed in.
func (r *rig) alice() oidc.Person {
	return oidc.Person{
		Provider: "staff", Issuer: "https://login.example.test", Subject: "a1", Addresses: []string{"alice@example.test"}, Login: "alice",
		AuthTime: r.now.Add(-time.Minute), ACR: "silver", AMR: []string{"pwd", "otp"},
	}
}

// as is a code form of another client.
func as(client, code string) url.Values {
	f := codeForm(code)
	f.Set("client_id", client)
	return f
}

func (r *rig) redeemed(t testing.TB, call issuer.Call) (issuer.TokenResponse, oidc.Claims, issuer.Grant) {
	t.Helper()
	a, err := r.Token(t.Context(), r.realm, call)
	if err != nil {
		t.Fatalf("redeem: %v", err)
	}
	claims, err := r.Keys.Verify("example", base, a.AccessToken)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	grant, err := r.db.Grant(t.Context(), "example", claims.GrantID)
	if err != nil {
		t.Fatalf("grant: %v", err)
	}
	return a, claims, grant
}

// TestRFC9449Section5RefreshTokensOfPublicClientsAreBound, and those of clients with
// credentials are not: these show who they are without the key.
func TestRFC9449Section5RefreshTokensOfPublicClientsAreBound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p, other := newProver(t, r), newProver(t, r)
	_, claims, grant := r.redeemed(t, p.proved(t, as("open", r.codeOf(t, r.realm, r.alice(), all))))
	if key := p.thumbprint(t); grant.Key != key || claims.Key != key {
		t.Errorf("public client: grant bound to %q, token to %q, want %q", grant.Key, claims.Key, key)
	}
	secret := func(f url.Values) url.Values {
		f.Set("client_id", "webmail")
		f.Set("client_secret", "a-secret-that-is-long-and-random-enough")
		return f
	}
	a, claims, grant := r.redeemed(t, p.proved(t, secret(codeForm(r.codeFor(t, r.realm, "webmail", r.alice(), all)))))
	if key := p.thumbprint(t); grant.Key != "" || claims.Key != key {
		t.Errorf("confidential client: grant bound to %q, token to %q, want none and %q", grant.Key, claims.Key, key)
	}
	_, claims, _ = r.redeemed(t, other.proved(t, secret(refreshForm(a.RefreshToken))))
	if want := other.thumbprint(t); claims.Key != want {
		t.Errorf("refreshed with another key: bound to %q, want %q", claims.Key, want)
	}
}

// TestRFC9449Section5_2ClientsThatWantBoundTokens get no other, and asking for one uses
// nothing up.
func TestRFC9449Section5_2ClientsThatWantBoundTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := newProver(t, r)
	f := as("careful", r.codeFor(t, r.realm, "careful", r.alice(), all))
	if a, err := r.Token(t.Context(), r.realm, r.call(f)); oidc.CodeOf(err) != oidc.CodeInvalidDPoPProof {
		t.Errorf("without a proof: %+v, %v; want invalid_dpop_proof", a, err)
	}
	a, claims, _ := r.redeemed(t, p.proved(t, f))
	if a.TokenType != oidc.DPoP || claims.Key != p.thumbprint(t) {
		t.Errorf("with a proof: %s bound to %q, want a bound token", a.TokenType, claims.Key)
	}
	narrow := form(a.AccessToken, with("client_id", "careful"))
	if a, err := r.Token(t.Context(), r.realm, p.proved(t, narrow)); oidc.CodeOf(err) != oidc.CodeInvalidTarget {
		t.Errorf("exchange for a service that looks at no keys: %+v, %v; want invalid_target (R11)", a, err)
	}
	if last, want := r.audit.last(), "exchange/"+policy.RuleUnbound; last.Rule != want {
		t.Errorf("the record says %q, want %q", last.Rule, want)
	}
}

// TestRFC9449Section5Order: first who asks, then the proof, then what is presented.
func TestRFC9449Section5Order(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := newProver(t, r)
	code := r.code(t, r.realm, all)
	for name, c := range map[string]struct {
		edit func(call *issuer.Call)
		want string
	}{
		"a parameter twice":  {func(c *issuer.Call) { c.Form["x"] = []string{"1", "2"}; c.DPoP = []string{"x"} }, oidc.CodeInvalidRequest},
		"unknown client":     {func(c *issuer.Call) { c.Form.Set("client_id", "nobody"); c.DPoP = []string{"x"} }, oidc.CodeInvalidClient},
		"bad proof":          {func(c *issuer.Call) { c.Form.Set("code_verifier", "x"); c.DPoP = []string{"x"} }, oidc.CodeInvalidDPoPProof},
		"unknown grant type": {func(c *issuer.Call) { c.Form.Set("grant_type", "x") }, oidc.CodeUnsupportedGrantType},
	} {
		call := p.proved(t, codeForm(code))
		c.edit(&call)
		if _, err := r.Token(t.Context(), r.realm, call); oidc.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := r.Token(t.Context(), r.realm, p.proved(t, codeForm(code))); err != nil {
		t.Errorf("the right one afterwards: %v; want nothing used up", err)
	}
}

// TestR17GrantsKeepHowThePersonSignedIn, so that a refreshed ID token says the same.
func TestR17GrantsKeepHowThePersonSignedIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := newProver(t, r)
	alice := r.alice()
	a, _, grant := r.redeemed(t, p.proved(t, as("careful", r.codeFor(t, r.realm, "careful", alice, all))))
	if !grant.AuthTime.Equal(alice.AuthTime) || grant.ACR != "silver" || !slices.Equal(grant.AMR, alice.AMR) {
		t.Errorf("grant keeps %v, %q, %v; want what the identity provider said", grant.AuthTime, grant.ACR, grant.AMR)
	}
	r.now = r.now.Add(time.Hour)
	next := refreshForm(a.RefreshToken)
	next.Set("client_id", "careful")
	b, _, _ := r.redeemed(t, p.proved(t, next))
	for what, token := range map[string]string{"first": a.IDToken, "refreshed": b.IDToken} {
		parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatalf("%s ID token: %v", what, err)
		}
		id := parsed.Claims.(jwt.MapClaims)
		if id["auth_time"] != float64(alice.AuthTime.Unix()) || id["acr"] != "silver" || parsed.Header["alg"] != "ES256" || (id["nonce"] != nil) != (what == "first") {
			t.Errorf("%s ID token: %v %v, want how she signed in, by ES256, and a nonce at first only", what, parsed.Header, id)
		}
	}
}
