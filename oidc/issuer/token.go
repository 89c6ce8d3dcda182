package issuer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/keys"
	"signpost/oidc/policy"
	"signpost/oidc/tokens"
	"signpost/scopes"
)

// Grantor is what a grant type adds to the token endpoint. It only fills in the
// parts that are its own and cannot forget a shared step.
type Grantor interface {
	// Basis reads what the request presents and returns what the policy shall judge.
	// It changes nothing that a refusal would leave changed, but for what ends
	// because it was presented wrongly. Failures are *oidc.Error.
	Basis(ctx context.Context, t TokenRequest) (Basis, error)
}

// Call is a request of a program, taken apart by the server.
type Call struct {
	Form          url.Values
	Authorization []string // values of the header
	DPoP          []string // values of the header (RFC 9449, section 4.1)
	Method        string
	URL           string // published URL of the endpoint, without a query
}

// credentials are what of a call says who sent it.
func (c Call) credentials() clients.Credentials {
	return clients.Credentials{Form: c.Form, Authorization: c.Authorization, Endpoint: c.URL}
}

// TokenRequest is a request to the token endpoint whose client is known.
type TokenRequest struct {
	Realm  *directory.Realm
	Client clients.Client
	Form   url.Values
	Key    string // thumbprint of the key that the caller proved to hold; empty for none
}

// Basis is what a grant type presents to the policy, and what it does when the
// policy has allowed it.
type Basis struct {
	Request policy.Request
	// Commit makes the grant's own changes after the policy allowed the token and
	// before it is signed, and returns the refresh token of the answer, if any.
	// It may be nil.
	Commit func(ctx context.Context, d policy.Decision) (refresh string, err error)
	// ID is the ID token to be sent along; nil for none.
	ID *keys.IDClaims
	// SubjectToken is the token that was exchanged; only its digest is recorded.
	SubjectToken string
	// Make makes what the policy allowed, in the place of a token of this server's own. It
	// is called after the record was kept. It may be nil.
	Make func(ctx context.Context, d policy.Decision) (TokenResponse, error)
}

// TokenResponse is a successful answer (RFC 6749, section 5.1; RFC 8693, section 2.2.1).
type TokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in,omitempty"` // seconds; never zero for a token, and left out of what does not end
	Scope           string `json:"scope"`
	RefreshToken    string `json:"refresh_token,omitempty"`
	IDToken         string `json:"id_token,omitempty"`
}

// Register adds a grant type. Call it before the first request.
func (i *Issuer) Register(grantType string, g Grantor) {
	if i.grants == nil {
		i.grants = map[string]Grantor{
			oidc.GrantTypeAuthorizationCode: codeGrant{i},
			oidc.GrantTypeRefreshToken:      refreshGrant{i},
			oidc.GrantTypeDeviceCode:        deviceGrant{i},
		}
	}
	i.grants[grantType] = g
}

// tokenPatience bounds one request to the token endpoint.
const tokenPatience = 15 * time.Second

// Token answers a request to the token endpoint. Failures are *oidc.Error, but for a missing signing key.
func (i *Issuer) Token(ctx context.Context, r *directory.Realm, call Call) (TokenResponse, error) {
	form := call.Form
	// Who hangs up must not stop what was set off: a reused token ends its family all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenPatience)
	defer cancel()
	// 1. Every parameter at most once, but for targets.
	if err := once(form); err != nil {
		return TokenResponse{}, err
	}
	// 2. The client.
	c, err := i.Clients.Authenticate(ctx, r, call.credentials())
	if err != nil {
		return TokenResponse{}, err
	}
	// 3. The key that the caller holds (RFC 9449, section 5).
	key, err := i.Proofs.Check(ctx, r.Name, dpop.Request{Headers: call.DPoP, Method: call.Method, URL: call.URL})
	if err != nil {
		return TokenResponse{}, err
	}
	// 4. The grant type, and what it presents.
	g, ok := i.grants[form.Get("grant_type")]
	if !ok {
		if form.Get("grant_type") == "" {
			return TokenResponse{}, oidc.E(oidc.CodeInvalidRequest, "grant_type is missing")
		}
		return TokenResponse{}, oidc.E(oidc.CodeUnsupportedGrantType, "this grant_type is not supported; see grant_types_supported in the metadata")
	}
	basis, err := g.Basis(ctx, TokenRequest{Realm: r, Client: c, Form: form, Key: key})
	if err != nil {
		return TokenResponse{}, err
	}
	// 5. Client, key, scope and targets, the same for every grant type.
	AskedBy(&basis.Request, r, c)
	basis.Request.Key = key
	basis.Request.Targets = append(append([]string(nil), form["resource"]...), form["audience"]...)
	if form.Has("scope") {
		asked, err := scopes.Parse(form.Get("scope"))
		if err != nil {
			return TokenResponse{}, oidc.E(oidc.CodeInvalidScope, "scope is not a list of words with one space between them")
		}
		basis.Request.Scope = &asked
	}
	return i.Issue(ctx, r, basis)
}

// Issue lets the policy judge what was presented, keeps a record of what it decided, and makes
// what it allowed. A refusal is its *oidc.Error; temporarily_unavailable means that nothing
// was decided, or that nothing came of it.
func (i *Issuer) Issue(ctx context.Context, r *directory.Realm, b Basis) (TokenResponse, error) {
	b.Request.TokenID = shortID()
	// 6. The policy decides.
	d := policy.Decide(b.Request)
	if !d.Allowed() {
		if err := i.recordToken(ctx, r, b, d); err != nil {
			return TokenResponse{}, err
		}
		return TokenResponse{}, d.Refusal
	}
	// 7. What the grant type changes, then the record, then the token.
	var refresh string
	if b.Commit != nil {
		var err error
		if refresh, err = b.Commit(ctx, d); err != nil {
			return TokenResponse{}, err
		}
	}
	if err := i.recordToken(ctx, r, b, d); err != nil {
		return TokenResponse{}, err
	}
	if b.Make != nil {
		return b.Make(ctx, d)
	}
	return i.mint(ctx, r, b, d, refresh)
}

// once refuses repeated parameters except those that say where the token is for, whose
// number is the policy's matter.
func once(form url.Values) error { return Once(form, "resource", "audience") }

// Once refuses repeated parameters (RFC 6749, section 3.2), but for those that may be.
func Once(form url.Values, but ...string) error {
	for name, values := range form {
		if len(values) > 1 && !slices.Contains(but, name) {
			return oidc.E(oidc.CodeInvalidRequest, "a parameter is repeated")
		}
	}
	return nil
}

// mint makes what the policy allowed, and the ID token beside it.
func (i *Issuer) mint(ctx context.Context, r *directory.Realm, b Basis, d policy.Decision, refresh string) (TokenResponse, error) {
	made, err := i.MakeToken(ctx, r, d, "")
	if err != nil {
		return TokenResponse{}, err
	}
	answer := Answer(d, made.Token, made.ExpiresAt)
	answer.RefreshToken = refresh
	if b.ID != nil {
		id := *b.ID
		id.AccessToken = made.Token
		if answer.IDToken, err = i.Keys.SignID(r.Name, id); err != nil {
			return TokenResponse{}, err
		}
	}
	return answer, nil
}

// MakeToken makes the access token that the policy allowed; an exchange says from which
// subject. Failures are temporarily_unavailable and faults of this server.
func (i *Issuer) MakeToken(ctx context.Context, r *directory.Realm, d policy.Decision, subject string) (tokens.Made, error) {
	for _, audience := range d.Claims.Audience {
		if s, ok := r.Service(audience); ok && s.Source != "" && s.Source != directory.SourceLocal {
			return tokens.Made{}, fmt.Errorf("token for service %s: its tokens come from source %q, not from here", s.ID, s.Source)
		}
	}
	profile, ok := r.Profile(d.Profile)
	if !ok {
		return tokens.Made{}, fmt.Errorf("token for client %s: no token profile %q", d.Claims.ClientID, d.Profile)
	}
	var made tokens.Made
	var err error
	if subject == "" {
		made, err = i.Tokens.Make(ctx, r.Name, profile, d.Algorithm, d.Claims)
	} else {
		made, err = i.Tokens.MakeFrom(ctx, r.Name, profile, d.Algorithm, d.Claims, subject)
	}
	if errors.Is(err, tokens.ErrUnavailable) {
		return tokens.Made{}, busy("make token", err)
	}
	return made, err
}

// VerifyToken returns the claims of an access token of this issuer: keys.ErrInvalid,
// keys.ErrExpired, temporarily_unavailable if that cannot be found out just now, and faults of
// this server.
func (i *Issuer) VerifyToken(ctx context.Context, r *directory.Realm, token string) (oidc.Claims, error) {
	claims, err := i.Tokens.Verify(ctx, r.Name, r.Issuer, token)
	if errors.Is(err, tokens.ErrUnavailable) {
		return oidc.Claims{}, busy("look up token", err)
	}
	return claims, err
}

// Answer is what is said with an access token that was made (RFC 6749, section 5.1). A token that was
// made before lives for what is left of it.
func Answer(d policy.Decision, token string, expiresAt time.Time) TokenResponse {
	answer := TokenResponse{
		AccessToken: token, TokenType: oidc.Bearer, Scope: d.Scope.String(),
		ExpiresIn: expiresAt.Unix() - d.Claims.IssuedAt.Unix(),
	}
	if d.Claims.Key != "" {
		answer.TokenType = oidc.DPoP
	}
	return answer
}

// recordToken keeps a decision for the owner.
func (i *Issuer) recordToken(ctx context.Context, r *directory.Realm, b Basis, d policy.Decision) error {
	e := audit.Event{
		At: b.Request.Now, Kind: audit.KindToken, Tenant: r.Name, Account: b.Request.Account.ID, Client: b.Request.ClientID,
		Grant: b.Request.Grant.ID, Rule: string(b.Request.Way) + "/" + d.Rule, Outcome: audit.Allowed, Asked: asked(b.Request), Scope: d.Scope.String(),
		Service: target(b.Request, d),
	}
	if !d.Allowed() {
		e.Outcome, e.Scope = audit.Refused, ""
	}
	if b.SubjectToken != "" {
		e.SubjectHash = subjectHash(b.SubjectToken)
	}
	return i.record(ctx, e)
}

// asked is what of the scope that was asked for has a name here: what a caller made
// up does not belong in a record that nobody can shorten.
func asked(r policy.Request) string {
	if r.Scope == nil {
		return ""
	}
	var known []string
	for _, word := range r.Scope.Words() {
		if _, ok := r.Catalogue.Scope(word); ok {
			known = append(known, word)
		}
	}
	return strings.Join(known, " ")
}

// subjectHash names a token in the audit. The signature is left out: with ES256
// one token has two that are valid.
func subjectHash(token string) string {
	if i := strings.LastIndexByte(token, '.'); i >= 0 {
		token = token[:i]
	}
	return hex.EncodeToString(digest(token))
}

// target names the services of a request for the record, by their declared names: what a
// caller typed is not recorded.
func target(r policy.Request, d policy.Decision) string {
	if r.Way == policy.AppPassword && d.Allowed() {
		return strings.Join(d.Claims.Audience, " ")
	}
	if len(r.Targets) != 1 {
		return ""
	}
	s, _ := r.Resolve(r.Targets[0])
	return s.Audience
}

// refusal turns an error of the store into the one answer for everything that is
// not valid any more, or into "try again".
func refusal(doing string, err error) error {
	for _, known := range []error{ErrNotFound, ErrReplayed, ErrReused, ErrEnded} {
		if errors.Is(err, known) {
			return oidc.E(oidc.CodeInvalidGrant, "it is not valid here any more; sign in again").Because(err)
		}
	}
	return busy(doing, err)
}
