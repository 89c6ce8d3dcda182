package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
)

// prover is a program with a key of its own (RFC 9449, section 1).
type prover struct {
	t     testing.TB
	s     *servertest.Server
	key   *ecdsa.PrivateKey
	nonce string // the last that the server gave
}

func newProver(t testing.TB, s *servertest.Server) *prover {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return &prover{t: t, s: s, key: key}
}

func (p *prover) jwk() jose.JSONWebKey { return jose.JSONWebKey{Key: p.key.Public()} }

// thumbprint is what a bound token names.
func (p *prover) thumbprint() string {
	p.t.Helper()
	jwk := p.jwk()
	sum, err := jwk.Thumbprint(crypto.SHA256)
	must(p.t, err)
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proof is one for a request; without an access token it has no ath.
func (p *prover) proof(method, rawURL, accessToken string) string {
	p.t.Helper()
	c := jwt.MapClaims{"jti": rand.Text(), "htm": method, "htu": rawURL, "iat": p.s.Clock.Now().Unix()}
	if p.nonce != "" {
		c["nonce"] = p.nonce
	}
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		c["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	signed, err := (&jwt.Token{
		Header: object{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk()}, Claims: c, Method: jwt.SigningMethodES256,
	}).SignedString(p.key)
	must(p.t, err)
	return signed
}

// learn asks for a nonce in the way of RFC 9449, section 8, and keeps it.
func (p *prover) learn(issuer string) {
	p.t.Helper()
	a := p.sent(issuer, refreshForm("spr_x"), p.proof(http.MethodPost, issuer+"/token", ""))
	if p.nonce = a.Header.Get("DPoP-Nonce"); a.Error != oidc.CodeUseDPoPNonce || p.nonce == "" {
		p.t.Fatalf("a proof without a nonce: %d %s, nonce %q; want use_dpop_nonce with one", a.Status, a.Error, p.nonce)
	}
}

// sent sends a form with headers DPoP as they are.
func (p *prover) sent(issuer string, form url.Values, proofs ...string) answer {
	p.t.Helper()
	return tokenRaw(p.t, issuer, form.Encode(), "application/x-www-form-urlencoded", http.Header{"Dpop": proofs})
}

// token sends a form with a good proof.
func (p *prover) token(issuer string, form url.Values) answer {
	p.t.Helper()
	if p.nonce == "" {
		p.learn(issuer)
	}
	return p.sent(issuer, form, p.proof(http.MethodPost, issuer+"/token", ""))
}

// signedIn redeems a code with a proof.
func (p *prover) signedIn(issuer string, edit func(url.Values)) answer {
	p.t.Helper()
	a := p.token(issuer, codeForm(newCode(p.t, issuer, edit)))
	if a.Status != http.StatusOK {
		p.t.Fatalf("redeem with a proof: %d %s %s", a.Status, a.Error, a.Description)
	}
	return a
}

// boundTo is the key that a token is bound to; empty for a bearer token.
func boundTo(t testing.TB, accessToken string) any {
	t.Helper()
	_, payload := claims(t, accessToken)
	cnf, ok := payload["cnf"].(object)
	if !ok {
		return ""
	}
	return cnf["jkt"]
}

// TestRFC9449Section5TokensAreBound to the key that was proved, say so, and name it.
func TestRFC9449Section5TokensAreBound(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := newProver(t, s)
	first := p.signedIn(s.URL, nil)
	next := p.token(s.URL, refreshForm(first.RefreshToken))
	for what, a := range map[string]answer{"code": first, "refresh": next} {
		if got := boundTo(t, a.AccessToken); a.TokenType != "DPoP" || got != p.thumbprint() {
			t.Errorf("%s: %d %s, token_type %s bound to %v; want DPoP bound to %s", what, a.Status, a.Error, a.TokenType, got, p.thumbprint())
		}
		if _, payload := claims(t, a.AccessToken); payload["aud"] != s.URL {
			t.Errorf("%s: audience %v, want the issuer alone: the calendar looks at no keys (R11)", what, payload["aud"])
		}
		if a.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s: no nonce for the next proof (RFC 9449, section 8.2)", what)
		}
	}
	if a := signedIn(t, s.URL, nil); a.TokenType != "Bearer" || boundTo(t, a.AccessToken) != "" {
		t.Errorf("without a proof: %s bound to %v, want a bearer token", a.TokenType, boundTo(t, a.AccessToken))
	}
}

// TestRFC9449Section5RefreshNeedsItsKey and who has the token without the key changes nothing by trying
// (R18), not even with one that was used before.
func TestRFC9449Section5RefreshNeedsItsKey(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	owner, thief := newProver(t, s), newProver(t, s)
	thief.learn(s.URL)
	r0 := owner.signedIn(s.URL, nil).RefreshToken
	stolen := func(refresh, when string) {
		t.Helper()
		for what, a := range map[string]answer{
			"no proof": token(t, s.URL, refreshForm(refresh)), "another key": thief.token(s.URL, refreshForm(refresh)),
		} {
			if a.Status != http.StatusBadRequest || a.Error != oidc.CodeInvalidDPoPProof {
				t.Errorf("%s, %s: %d %s, want invalid_dpop_proof", when, what, a.Status, a.Error)
			}
		}
	}
	stolen(r0, "unused")
	r1 := owner.token(s.URL, refreshForm(r0)).RefreshToken
	stolen(r0, "used")
	again := owner.token(s.URL, refreshForm(r0))
	if again.RefreshToken != r1 || r1 == "" {
		t.Errorf("repeated by its owner: %d %s, the same successor %v; want it", again.Status, again.Error, again.RefreshToken == r1)
	}
	if a := owner.token(s.URL, refreshForm(r1)); a.Status != http.StatusOK {
		t.Fatalf("successor: %d %s", a.Status, a.Error)
	}
	stolen(r0, "used, as its successor was")
	if a := owner.token(s.URL, refreshForm(r0)); a.Error != oidc.CodeInvalidGrant {
		t.Errorf("used again by its owner: %d %s, want invalid_grant: the family ends", a.Status, a.Error)
	}
}

// TestRFC9449Section8Nonce: everybody needs one, it is told, and asking for it uses nothing up.
func TestRFC9449Section8Nonce(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := newProver(t, s)
	form := codeForm(newCode(t, s.URL, nil))
	first := p.sent(s.URL, form, p.proof(http.MethodPost, s.URL+"/token", ""))
	if first.Status != http.StatusBadRequest || first.Error != oidc.CodeUseDPoPNonce {
		t.Fatalf("without a nonce: %d %s, want use_dpop_nonce", first.Status, first.Error)
	}
	if first.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("an answer with a nonce may be stored: %v (RFC 9449, section 8.1)", first.Header)
	}
	p.nonce = first.Header.Get("DPoP-Nonce")
	a := p.token(s.URL, form)
	if a.Status != http.StatusOK {
		t.Fatalf("with the nonce: %d %s %s", a.Status, a.Error, a.Description)
	}
	s.Clock.Advance(11 * time.Minute)
	old := p.token(s.URL, refreshForm(a.RefreshToken))
	if fresh := old.Header.Get("DPoP-Nonce"); old.Error != oidc.CodeUseDPoPNonce || fresh == p.nonce || fresh == "" {
		t.Errorf("after 11 minutes: %d %s, nonce %q after %q; want use_dpop_nonce with another", old.Status, old.Error, fresh, p.nonce)
	}
	p.nonce = old.Header.Get("DPoP-Nonce")
	if a := p.token(s.URL, refreshForm(a.RefreshToken)); a.Status != http.StatusOK {
		t.Errorf("with the new nonce: %d %s", a.Status, a.Error)
	}
}

// TestRFC9449Section4_3AtTheTokenEndpoint: proofs that were made for something else, or used.
func TestRFC9449Section4_3AtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := newProver(t, s)
	p.learn(s.URL)
	form := codeForm(newCode(t, s.URL, nil))
	far := newProver(t, s)
	far.learn(s.OtherURL())
	for what, proofs := range map[string][]string{
		"for the configuration":      {p.proof(http.MethodPost, s.URL+"/configuration", "")},
		"for another tenant":         {p.proof(http.MethodPost, s.OtherURL()+"/token", "")},
		"for another server":         {p.proof(http.MethodPost, "https://evil.example/token", "")},
		"for another method":         {p.proof(http.MethodGet, s.URL+"/token", "")},
		"two of them":                {p.proof(http.MethodPost, s.URL+"/token", ""), p.proof(http.MethodPost, s.URL+"/token", "")},
		"nonsense":                   {"x"},
		"an access token":            {signedIn(t, s.URL, nil).AccessToken},
		"an empty header":            {""},
		"of another key's signature": {changed(p.proof(http.MethodPost, s.URL+"/token", ""))},
	} {
		if a := p.sent(s.URL, form, proofs...); a.Status != http.StatusBadRequest || a.Error != oidc.CodeInvalidDPoPProof {
			t.Errorf("a proof %s: %d %s, want invalid_dpop_proof", what, a.Status, a.Error)
		}
	}
	if a := p.sent(s.URL, form, far.proof(http.MethodPost, s.URL+"/token", "")); a.Error != oidc.CodeUseDPoPNonce {
		t.Errorf("a proof with another tenant's nonce: %d %s, want use_dpop_nonce", a.Status, a.Error)
	}
	once := p.proof(http.MethodPost, s.URL+"/token", "")
	a := p.sent(s.URL, form, once)
	if a.Status != http.StatusOK {
		t.Fatalf("the right one: %d %s %s; want 200: nothing was used up", a.Status, a.Error, a.Description)
	}
	if replayed := p.sent(s.URL, refreshForm(a.RefreshToken), once); replayed.Error != oidc.CodeInvalidDPoPProof {
		t.Errorf("replayed: %d %s, want invalid_dpop_proof", replayed.Status, replayed.Error)
	}
	if a := p.token(s.URL, refreshForm(a.RefreshToken)); a.Status != http.StatusOK {
		t.Errorf("with a new one: %d %s, want 200: the replay ended nothing", a.Status, a.Error)
	}
}

// changed is a JWT with another signature.
func changed(token string) string {
	i := strings.LastIndexByte(token, '.') + 1
	if token[i] == 'A' {
		return token[:i] + "B" + token[i+1:]
	}
	return token[:i] + "A" + token[i+1:]
}

// TestRFC9449Section10CodeBoundToItsKey: dpop_jkt of the authorization request names the key
// that redeems the code.
func TestRFC9449Section10CodeBoundToItsKey(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	owner, thief := newProver(t, s), newProver(t, s)
	owner.learn(s.URL)
	thief.learn(s.URL)
	named := set("dpop_jkt", owner.thumbprint())
	if a := token(t, s.URL, codeForm(newCode(t, s.URL, named))); a.Error != oidc.CodeInvalidGrant {
		t.Errorf("without a proof: %d %s, want invalid_grant", a.Status, a.Error)
	}
	if a := thief.token(s.URL, codeForm(newCode(t, s.URL, named))); a.Error != oidc.CodeInvalidGrant {
		t.Errorf("with another key: %d %s, want invalid_grant", a.Status, a.Error)
	}
	if a := owner.token(s.URL, codeForm(newCode(t, s.URL, named))); a.Status != http.StatusOK || a.TokenType != "DPoP" {
		t.Errorf("with the key: %d %s %s, want a bound token", a.Status, a.Error, a.TokenType)
	}
}

// at is a request to the configuration with a token and, if there is one, a proof.
func at(t testing.TB, issuer, scheme, accessToken string, proofs ...string) page {
	t.Helper()
	edits := []edit{header("Authorization", scheme+" "+accessToken)}
	for _, proof := range proofs {
		edits = append(edits, header("DPoP", proof))
	}
	return ask(t, http.MethodGet, issuer+"/configuration", edits...)
}

// TestRFC9449Section7AtTheConfiguration: a bound token needs its scheme, its key and
// a proof for this request.
func TestRFC9449Section7AtTheConfiguration(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p, thief := newProver(t, s), newProver(t, s)
	bound := p.signedIn(s.URL, nil).AccessToken
	other := p.signedIn(s.URL, nil).AccessToken
	bearer := signedIn(t, s.URL, nil).AccessToken
	thief.nonce = p.nonce
	here := s.URL + "/configuration"
	for what, c := range map[string]struct {
		scheme, token string
		proofs        []string
		code          string
	}{
		"bound token as bearer token":            {"Bearer", bound, nil, oidc.CodeInvalidToken},
		"bound token as bearer token, and proof": {"Bearer", bound, []string{p.proof("GET", here, bound)}, oidc.CodeInvalidToken},
		"bearer token as bound token":            {"DPoP", bearer, []string{p.proof("GET", here, bearer)}, oidc.CodeInvalidToken},
		"no proof":                               {"DPoP", bound, nil, oidc.CodeInvalidDPoPProof},
		"another key":                            {"DPoP", bound, []string{thief.proof("GET", here, bound)}, oidc.CodeInvalidToken},
		"proof without the token":                {"DPoP", bound, []string{p.proof("GET", here, "")}, oidc.CodeInvalidDPoPProof},
		"proof for another token":                {"DPoP", bound, []string{p.proof("GET", here, other)}, oidc.CodeInvalidDPoPProof},
		"proof for the token endpoint":           {"DPoP", bound, []string{p.proof("GET", s.URL+"/token", bound)}, oidc.CodeInvalidDPoPProof},
		"proof for another method":               {"DPoP", bound, []string{p.proof("HEAD", here, bound)}, oidc.CodeInvalidDPoPProof},
		"two proofs":                             {"DPoP", bound, []string{p.proof("GET", here, bound), p.proof("GET", here, bound)}, oidc.CodeInvalidDPoPProof},
		"nonsense":                               {"DPoP", "x", []string{p.proof("GET", here, "x")}, oidc.CodeInvalidToken},
	} {
		answered := at(t, s.URL, c.scheme, c.token, c.proofs...)
		tokenError(t, what, answered, http.StatusUnauthorized, c.code)
		if got := challengeFor(answered, c.scheme); !strings.Contains(got, `error="`+c.code+`"`) || !strings.Contains(got, "resource_metadata=") {
			t.Errorf("%s: challenge %q, want error %s", what, got, c.code)
		}
		if got := challengeFor(answered, "DPoP"); !strings.Contains(got, `algs="ES256 EdDSA PS256 RS256"`) {
			t.Errorf("%s: challenge %q, want the algorithms", what, got)
		}
		if strings.Contains(answered.body, c.token) && len(c.token) > 1 {
			t.Errorf("%s: the answer repeats the token", what)
		}
	}
	once := p.proof("GET", here, bound)
	if answered := at(t, s.URL, "dpop", bound, once); answered.status != http.StatusOK || answered.header.Get("DPoP-Nonce") == "" {
		t.Errorf("with its proof: %d %s, want the configuration and a nonce", answered.status, answered.body)
	}
	if answered := at(t, s.URL, "DPoP", bound, once); answered.status != http.StatusUnauthorized {
		t.Errorf("replayed: %d, want 401", answered.status)
	}
}

// challengeFor is the challenge of a scheme, each of which has a line of its own.
func challengeFor(p page, scheme string) string {
	for _, line := range p.header.Values("WWW-Authenticate") {
		if strings.HasPrefix(line, scheme+" ") {
			return line
		}
	}
	return ""
}

// TestRFC9449Section9ResourceNonce: 401, a challenge that says so, and the nonce.
func TestRFC9449Section9ResourceNonce(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	p := newProver(t, s)
	bound := p.signedIn(s.URL, nil).AccessToken
	p.nonce = ""
	refused := at(t, s.URL, "DPoP", bound, p.proof("GET", s.URL+"/configuration", bound))
	tokenError(t, "no nonce", refused, http.StatusUnauthorized, oidc.CodeUseDPoPNonce)
	if got := challengeFor(refused, "DPoP"); !strings.Contains(got, `error="use_dpop_nonce"`) {
		t.Errorf("challenge %q, want use_dpop_nonce", got)
	}
	p.nonce = refused.header.Get("DPoP-Nonce")
	if answered := at(t, s.URL, "DPoP", bound, p.proof("GET", s.URL+"/configuration", bound)); answered.status != http.StatusOK {
		t.Errorf("with the nonce: %d %s, want 200", answered.status, answered.body)
	}
}

// TestR11ExchangeOfBoundTokens: the subject's key has to be proved; what comes is bound where the
// service looks at keys, and else a bearer token under a rule of its own.
func TestR11ExchangeOfBoundTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declare(t, s, strings.NewReplacer(
		`scopes: ["urn:ietf:params:oauth:scope:calendars"]`, `scopes: ["urn:ietf:params:oauth:scope:calendars"], dpop: accepts`,
		`algorithm: RS256`, `algorithm: RS256, dpop: requires`,
	).Replace(s.Declaration()), dpopDeclared)
	p, thief := newProver(t, s), newProver(t, s)
	thief.learn(s.URL)
	broad := p.signedIn(s.URL, nil)
	const files, calendars, imap = "https://files.example.test/dav/", "https://dav.example.test/calendars/", "imap.example.test"
	if _, payload := claims(t, broad.AccessToken); !slices.Contains(audienceOf(payload), any(calendars)) {
		t.Errorf("bound broad token is for %v, want the calendar too, which looks at keys", payload["aud"])
	}
	for _, target := range []string{files, calendars, imap} {
		for what, a := range map[string]answer{
			"no proof":    token(t, s.URL, exchangeForm(broad.AccessToken, target)),
			"another key": thief.token(s.URL, exchangeForm(broad.AccessToken, target)),
		} {
			if a.Error != oidc.CodeInvalidDPoPProof || a.AccessToken != "" {
				t.Errorf("%s for %s: %d %s, want invalid_dpop_proof", what, target, a.Status, a.Error)
			}
		}
	}
	for target, want := range map[string]struct {
		tokenType string
		key       string
	}{files: {"DPoP", p.thumbprint()}, calendars: {"DPoP", p.thumbprint()}, imap: {"Bearer", ""}} {
		a := p.token(s.URL, exchangeForm(broad.AccessToken, target))
		if a.Status != http.StatusOK || a.TokenType != want.tokenType || boundTo(t, a.AccessToken) != want.key {
			t.Errorf("%s: %d %s %s bound to %v, want %+v", target, a.Status, a.Error, a.TokenType, boundTo(t, a.AccessToken), want)
		}
	}
	bearer := signedIn(t, s.URL, nil)
	if a := token(t, s.URL, exchangeForm(bearer.AccessToken, files)); a.Error != oidc.CodeInvalidDPoPProof {
		t.Errorf("bearer token for a service that requires keys: %d %s, want invalid_dpop_proof", a.Status, a.Error)
	}
	if _, payload := claims(t, bearer.AccessToken); !slices.Contains(audienceOf(payload), any(calendars)) {
		t.Errorf("broad bearer token is for %v, want the calendar too, which accepts both", payload["aud"])
	}
	const query = `SELECT service FROM audit_events WHERE rule = 'exchange/allow-narrow-unbound' AND outcome = 'allowed'`
	if got := rows(t, s, query); !slices.Equal(got, []string{imap}) {
		t.Errorf("the record tells of dropped keys for %v, want %s", got, imap)
	}
}

// audienceOf returns those of a token.
func audienceOf(payload object) []any {
	if list, ok := payload["aud"].([]any); ok {
		return list
	}
	return []any{payload["aud"]}
}

// TestProgramsOnWebPages may read what the token endpoint and the configuration answer,
// and nothing that people see.
func TestProgramsOnWebPages(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	origin := header("Origin", "https://app.example")
	for path, methods := range map[string]string{"/token": "POST", "/configuration": "GET, HEAD, POST"} {
		for _, issuer := range []string{s.URL, s.OtherURL()} {
			p := ask(t, http.MethodOptions, issuer+path, origin, header("Access-Control-Request-Method", methods[:3]), header("Access-Control-Request-Headers", "dpop"))
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": methods,
				"Access-Control-Allow-Headers": "Authorization, DPoP, Content-Type", "Access-Control-Allow-Credentials": "",
			} {
				if got := p.header.Get(name); p.status != http.StatusNoContent || got != want {
					t.Errorf("OPTIONS %s: %d, %s %q, want %q", path, p.status, name, got, want)
				}
			}
		}
	}
	for what, p := range map[string]page{
		"token refused":         posted(t, s.URL, refreshForm("x"), origin),
		"token given":           posted(t, s.URL, codeForm(newCode(t, s.URL, nil)), origin),
		"configuration refused": ask(t, http.MethodGet, s.URL+"/configuration", origin),
	} {
		exposed := p.header.Get("Access-Control-Expose-Headers")
		if p.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(exposed, "DPoP-Nonce") || !strings.Contains(exposed, "WWW-Authenticate") {
			t.Errorf("%s: %v, want every origin to read it with its nonce", what, p.header)
		}
	}
	for _, path := range []string{"/authorize", "/consent", "/sign-in/staff", "/callback/staff", "/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			if p := ask(t, method, s.URL+path, origin); p.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s lets other origins read it", method, path)
			}
		}
	}
}

// TestRFC9449Section5_1Metadata: what is offered are asymmetric algorithms.
func TestRFC9449Section5_1Metadata(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	m := jsonAt(t, s.URL+"/.well-known/oauth-authorization-server")
	offered, _ := m["dpop_signing_alg_values_supported"].([]any)
	if len(offered) == 0 {
		t.Fatalf("dpop_signing_alg_values_supported is %v", m["dpop_signing_alg_values_supported"])
	}
	for _, a := range offered {
		if a == "none" || strings.HasPrefix(a.(string), "HS") {
			t.Errorf("%v is offered", a)
		}
	}
}

// TestRefreshedIDToken is as OpenID Connect Core 1.0, section 12.2 says: the same
// person and client, no nonce, and the hash of the token it came with.
func TestRefreshedIDToken(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	first := signedIn(t, s.URL, nil)
	next := token(t, s.URL, refreshForm(first.RefreshToken))
	_, before := claims(t, first.IDToken)
	_, after := claims(t, next.IDToken)
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "acr"} {
		if before[name] != after[name] {
			t.Errorf("%s was %v and is %v", name, before[name], after[name])
		}
	}
	if after["nonce"] != nil {
		t.Errorf("nonce %v after a refresh", after["nonce"])
	}
	for what, a := range map[string]answer{"first": first, "refreshed": next} {
		_, id := claims(t, a.IDToken)
		sum := sha256.Sum256([]byte(a.AccessToken))
		if want := base64.RawURLEncoding.EncodeToString(sum[:16]); id["at_hash"] != want {
			t.Errorf("%s: at_hash %v, want %s", what, id["at_hash"], want)
		}
	}
	if next := token(t, s.URL, refreshForm(signedIn(t, s.URL, set("scope", "offline_access "+mailScope)).RefreshToken)); next.IDToken != "" {
		t.Error("an ID token without openid")
	}
}

// takesProofs checks that proofs by what is advertised are taken, so far that only a nonce is
// missing, and that others are not.
func takesProofs(t *testing.T, issuer string, value any) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	tried := map[jwt.SigningMethod]crypto.Signer{
		jwt.SigningMethodES256: p256, jwt.SigningMethodRS256: rsaKey, jwt.SigningMethodPS256: rsaKey, jwt.SigningMethodEdDSA: edKey,
		jwt.SigningMethodES384: p384, jwt.SigningMethodRS384: rsaKey, jwt.SigningMethodPS512: rsaKey,
	}
	for method, key := range tried {
		proof := forged(t, object{"typ": "dpop+jwt", "alg": method.Alg(), "jwk": jose.JSONWebKey{Key: key.Public()}},
			object{"jti": rand.Text(), "htm": http.MethodPost, "htu": issuer + "/token", "iat": time.Now().Unix()}, method, key)
		a := tokenRaw(t, issuer, refreshForm("spr_x").Encode(), "application/x-www-form-urlencoded", http.Header{"Dpop": {proof}})
		want := oidc.CodeInvalidDPoPProof
		if slices.Contains(words(value), method.Alg()) {
			want = oidc.CodeUseDPoPNonce
		}
		if a.Error != want {
			t.Errorf("a proof by %s: %d %s %s, want %s", method.Alg(), a.Status, a.Error, a.Description, want)
		}
	}
	if len(words(value)) != 4 {
		t.Errorf("%v are advertised, and this test tries four", value)
	}
}

// dpopDeclared reports whether the calendar looks at keys in what is served.
func dpopDeclared(now *directory.Snapshot) bool {
	r, _ := now.Realm(servertest.Tenant)
	return slices.ContainsFunc(r.Services, func(s directory.Service) bool { return s.DPoP == directory.DPoPAccepts })
}
