package issuer

import (
	"context"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/keys"
	"signpost/oidc/policy"
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
	// IssuedTokenType is sent with exchanged tokens (RFC 8693, section 2.2.1).
	IssuedTokenType string
}

// TokenResponse is a successful answer (RFC 6749, section 5.1; RFC 8693, section 2.2.1).
type TokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"` // seconds
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
	basis.Request.ClientID, basis.Request.ClientBound, basis.Request.Key = c.ID, c.DPoPBound, key
	basis.Request.Targets = append(append([]string(nil), form["resource"]...), form["audience"]...)
	if form.Has("scope") {
		asked, err := scopes.Parse(form.Get("scope"))
		if err != nil {
			return TokenResponse{}, oidc.E(oidc.CodeInvalidScope, "scope is not a list of words with one space between them")
		}
		basis.Request.Scope = &asked
	}
	// 6. The policy decides.
	d := policy.Decide(basis.Request)
	if !d.Allowed() {
		if err := i.recordToken(ctx, r, basis, d); err != nil {
			return TokenResponse{}, err
		}
		return TokenResponse{}, d.Refusal
	}
	// 7. What the grant type changes, then the record, then the signature.
	var refresh string
	if basis.Commit != nil {
		if refresh, err = basis.Commit(ctx, d); err != nil {
			return TokenResponse{}, err
		}
	}
	if err := i.recordToken(ctx, r, basis, d); err != nil {
		return TokenResponse{}, err
	}
	return i.mint(r, basis, d, refresh)
}

// once refuses repeated parameters (RFC 6749, section 3.2) except those that say
// where the token is for, whose number is the policy's matter.
func once(form url.Values) error {
	for name, values := range form {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return oidc.E(oidc.CodeInvalidRequest, "a parameter is repeated")
		}
	}
	return nil
}

// mint signs what the policy allowed.
func (i *Issuer) mint(r *directory.Realm, b Basis, d policy.Decision, refresh string) (TokenResponse, error) {
	token, err := i.Keys.Sign(r.Name, d.Profile, d.Algorithm, d.Claims)
	if err != nil {
		return TokenResponse{}, err
	}
	answer := TokenResponse{
		AccessToken: token, IssuedTokenType: b.IssuedTokenType, TokenType: oidc.Bearer,
		ExpiresIn: d.Claims.ExpiresAt.Unix() - d.Claims.IssuedAt.Unix(),
		Scope:     d.Scope.String(), RefreshToken: refresh,
	}
	if d.Claims.Key != "" {
		answer.TokenType = oidc.DPoP
	}
	if b.ID != nil {
		id := *b.ID
		id.AccessToken = token
		if answer.IDToken, err = i.Keys.SignID(r.Name, id); err != nil {
			return TokenResponse{}, err
		}
	}
	return answer, nil
}

// recordToken keeps a decision for the owner.
func (i *Issuer) recordToken(ctx context.Context, r *directory.Realm, b Basis, d policy.Decision) error {
	e := audit.Event{
		At: b.Request.Now, Kind: audit.KindToken, Tenant: r.Name, Account: b.Request.Account.ID, Client: b.Request.ClientID,
		Grant: b.Request.Grant.ID, Rule: string(b.Request.Way) + "/" + d.Rule, Outcome: audit.Allowed, Scope: d.Scope.String(),
	}
	if !d.Allowed() {
		e.Outcome = audit.Refused
		e.Scope = asked(b.Request)
	}
	if s, ok := oneTarget(b.Request); ok {
		e.Service = s.Audience // a declared name: what a caller typed is not recorded
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

func oneTarget(r policy.Request) (policy.Service, bool) {
	if len(r.Targets) != 1 {
		return policy.Service{}, false
	}
	return policy.Resolve(r.Services, r.Targets[0])
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
