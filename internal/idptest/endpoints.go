package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// authorizeParameters must all be there (RFC 6749, section 4.1.1; RFC 7636,
// section 4.3). The fake insists on state and nonce too: relying parties shall send both.
var authorizeParameters = [...]string{"state", "nonce", "code_challenge"}

func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathDiscovery, p.discovery)
	mux.HandleFunc("GET "+PathAuthorize, p.authorize)
	mux.HandleFunc("POST "+PathToken, p.token)
	mux.HandleFunc("GET "+PathJWKS, p.jwks)
	mux.HandleFunc("GET "+PathUserinfo, p.userinfo)
	return p.faulty(mux)
}

// discovery answers the metadata
// (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata).
func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) {
	faults := p.currentFaults()
	issuer, tokenEndpoint := p.Issuer, p.Issuer+PathToken
	if faults.DiscoveryIssuer {
		issuer = otherURL
	}
	if faults.DiscoveryHTTPEndpoint {
		tokenEndpoint = "http://other.example" + PathToken
	}
	algorithms := []string{string(jose.ES256)}
	if faults.AlgNone {
		algorithms = append(algorithms, "none")
	}
	if faults.AlgHS256 {
		algorithms = append(algorithms, string(jose.HS256))
	}
	p.answer(w, r, http.StatusOK, map[string]any{
		"issuer":                                         issuer,
		"authorization_endpoint":                         p.Issuer + PathAuthorize,
		"token_endpoint":                                 tokenEndpoint,
		"jwks_uri":                                       p.Issuer + PathJWKS,
		"userinfo_endpoint":                              p.Issuer + PathUserinfo,
		"scopes_supported":                               []string{"openid", "profile", "email"},
		"response_types_supported":                       []string{"code"},
		"grant_types_supported":                          []string{"authorization_code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          algorithms,
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	})
}

// authorize sends the browser back at once, with a code or an error (RFC 6749,
// section 4.1.2). An unknown client or a redirect URI that is none gets 400
// instead: the browser must not be sent there.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if q.Get("client_id") != p.ClientID || err != nil || !redirect.IsAbs() || redirect.Fragment != "" {
		http.Error(w, "unknown client or broken redirect_uri", http.StatusBadRequest)
		return
	}
	back := redirect.Query()
	back.Set("state", q.Get("state"))
	faults := p.currentFaults()
	switch {
	case faults.ResponseIssuer:
		back.Set("iss", otherURL)
	case !faults.NoResponseIssuer:
		back.Set("iss", p.Issuer)
	}
	code, errorCode := p.decide(q)
	if errorCode != "" {
		back.Set("error", errorCode)
	} else {
		back.Set("code", code)
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// decide remembers an authorization request and returns a code or an error code.
func (p *Provider) decide(q url.Values) (code, errorCode string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = q
	if p.denial != "" {
		return "", p.denial
	}
	if !wellFormed(q) {
		return "", "invalid_request"
	}
	subject := p.current
	if p.selected != "" && q.Get("prompt") == "select_account" {
		subject = p.selected
	}
	person, known := p.people[subject]
	if !known {
		return "", "login_required"
	}
	code = rand.Text()
	p.codes[code] = authorization{
		person:      person,
		redirectURI: q.Get("redirect_uri"),
		challenge:   q.Get("code_challenge"),
		nonce:       q.Get("nonce"),
		scope:       q.Get("scope"),
	}
	p.signIns++
	return code, ""
}

func wellFormed(q url.Values) bool {
	for _, name := range authorizeParameters {
		if q.Get(name) == "" {
			return false
		}
	}
	for _, values := range q { // RFC 6749, section 3.1: not more than once
		if len(values) != 1 {
			return false
		}
	}
	return q.Get("response_type") == "code" && q.Get("code_challenge_method") == "S256" && hasScope(q.Get("scope"), "openid")
}

func hasScope(scope, word string) bool { return slices.Contains(strings.Fields(scope), word) }

// token redeems a code, once (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if !p.isClient(r) {
		p.refuse(w, r, http.StatusUnauthorized, "invalid_client")
		return
	}
	if r.PostFormValue("grant_type") != "authorization_code" {
		p.refuse(w, r, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	granted, ok := p.redeem(r.PostFormValue("code"))
	if !ok || granted.redirectURI != r.PostFormValue("redirect_uri") || granted.challenge != challengeOf(r.PostFormValue("code_verifier")) {
		p.refuse(w, r, http.StatusBadRequest, "invalid_grant")
		return
	}
	accessToken := rand.Text()
	p.mu.Lock()
	p.access[accessToken] = granted
	p.mu.Unlock()
	body := map[string]any{"access_token": accessToken, "token_type": "Bearer", "expires_in": 300, "scope": granted.scope}
	if faults := p.currentFaults(); !faults.NoIDToken {
		idToken, err := p.idToken(granted, accessToken, faults)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body["id_token"] = idToken
	}
	p.answer(w, r, http.StatusOK, body)
}

// isClient checks the client's secret, in the header or in the body (RFC 6749, section 2.3.1).
func (p *Provider) isClient(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	if ok {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	return id == p.ClientID && subtle.ConstantTimeCompare([]byte(secret), []byte(p.ClientSecret)) == 1
}

func (p *Provider) redeem(code string) (authorization, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	granted, ok := p.codes[code]
	delete(p.codes, code)
	return granted, ok
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// jwks answers the public key (RFC 7517, section 5).
func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) {
	p.answer(w, r, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: p.key.Public(), KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig",
	}}})
}

// userinfo answers the claims of the granted scopes
// (https://openid.net/specs/openid-connect-core-1_0.html#ScopeClaims).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	granted, ok := p.access[token]
	p.mu.Unlock()
	if !bearer || !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		p.refuse(w, r, http.StatusUnauthorized, "invalid_token")
		return
	}
	faults := p.currentFaults()
	claims := map[string]any{"sub": granted.person.Subject}
	if faults.OtherSubject {
		claims["sub"] = "other-" + granted.person.Subject
	}
	if hasScope(granted.scope, "profile") {
		setUnlessEmpty(claims, "name", granted.person.Name)
		setUnlessEmpty(claims, "preferred_username", granted.person.Login)
	}
	if hasScope(granted.scope, "email") && granted.person.Email != "" {
		claims["email"] = granted.person.Email
		claims["email_verified"] = granted.person.EmailVerified && !faults.EmailNotVerified
	}
	p.answer(w, r, http.StatusOK, claims)
}

func setUnlessEmpty(claims map[string]any, name, value string) {
	if value != "" {
		claims[name] = value
	}
}

// refuse answers an error (RFC 6749, section 5.2). The description repeats what
// the client sent, as some providers do: it must not find its way into a log.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	p.answer(w, r, status, map[string]any{
		"error":             code,
		"error_description": "refused code " + r.PostFormValue("code") + " with verifier " + r.PostFormValue("code_verifier"),
	})
}

func (p *Provider) answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if p.currentFaults().HugeAt == r.URL.Path {
		body = append([]byte(strings.Repeat(" ", 1<<20)), body...)
	}
	_, _ = w.Write(body) // whoever asked may be gone
}
