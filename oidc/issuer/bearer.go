package issuer

import (
	"context"
	"errors"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/dpop"
	"signpost/oidc/keys"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// Holder returns the account and the grant that an access token came from,
// ErrNotFound if either is gone. The grant may have ended: the policy says so. What
// it returns is shared: do not change the slices.
func (i *Issuer) Holder(ctx context.Context, r *directory.Realm, c oidc.Claims) (Account, Grant, error) {
	if i.Known != nil {
		return i.Known.Holder(ctx, r.Name, c.GrantID)
	}
	account, grant, err := readHolder(ctx, i.Store, r.Name, c.GrantID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		err = busy("load grant", err)
	}
	return account, grant, err
}

// Bearer is who presents a broad token at one of the issuer's own resources.
type Bearer struct {
	Account  Account
	Standing Standing
	Scope    scopes.Set // what the token carries, within the grant
	// Request is what the policy judged of the token, and may judge again of what is asked for with it.
	Request policy.Request
}

// Presented is an access token as it came to one of the issuer's own resources.
type Presented struct {
	Scheme string // oidc.Bearer or oidc.DPoP
	Token  string
	Call   Call // for the proof
}

// Authenticate checks a token that is presented to one of the issuer's own resources:
// genuine, broad, alive, with the needed scope word (RFC 6750, section 3.1), and with a proof of
// its key if and only if it is bound to one (RFC 9449, section 7). Failures are *oidc.Error:
// invalid_token, insufficient_scope, invalid_dpop_proof, use_dpop_nonce, temporarily_unavailable.
func (i *Issuer) Authenticate(ctx context.Context, r *directory.Realm, p Presented, need string) (Bearer, error) {
	invalid := oidc.E(oidc.CodeInvalidToken, "the token is not a valid broad token of this issuer; refresh it or sign in again")
	claims, err := i.VerifyToken(ctx, r, p.Token)
	if errors.Is(err, keys.ErrInvalid) || errors.Is(err, keys.ErrExpired) {
		return Bearer{}, invalid.Because(err)
	}
	if err != nil {
		return Bearer{}, err
	}
	key, err := i.proved(ctx, r, p, claims)
	if err != nil {
		return Bearer{}, err
	}
	account, grant, err := i.Holder(ctx, r, claims)
	if errors.Is(err, ErrNotFound) {
		return Bearer{}, invalid.Because(err)
	}
	if err != nil {
		return Bearer{}, err
	}
	request, err := i.PolicyRequest(r, account, grant)
	if err != nil {
		return Bearer{}, err
	}
	if request.Subject, err = policy.SubjectOf(claims); err != nil {
		return Bearer{}, invalid.Because(err)
	}
	request.ClientID, request.Key = claims.ClientID, key
	if err := i.AskedByGrant(ctx, &request, r); err != nil {
		return Bearer{}, invalid.Because(err) // switched off
	}
	a := policy.Admit(request)
	if a.Refusal != nil {
		return Bearer{}, invalid.Because(errors.New(a.Rule))
	}
	if !a.Scope.Has(need) {
		return Bearer{}, oidc.E(oidc.CodeInsufficientScope, "the token lacks the scope "+need)
	}
	return Bearer{Account: account, Standing: StandingOf(r, account), Scope: a.Scope, Request: request}, nil
}

// proved checks that the scheme fits the token and returns the key that was proved. A bound token
// that comes as a bearer token has perhaps been stolen (RFC 9449, section 7.2).
func (i *Issuer) proved(ctx context.Context, r *directory.Realm, p Presented, c oidc.Claims) (string, error) {
	switch {
	case c.Key == "" && p.Scheme == oidc.DPoP:
		return "", oidc.E(oidc.CodeInvalidToken, "the token is not bound to a key; send it as Authorization: Bearer")
	case c.Key == "":
		return "", nil
	case p.Scheme != oidc.DPoP:
		return "", oidc.E(oidc.CodeInvalidToken, "the token is bound to a key; send it as Authorization: DPoP, with a proof in the header DPoP")
	}
	key, err := i.Proofs.Check(ctx, r.Name, dpop.Request{
		Headers: p.Call.DPoP, Method: p.Call.Method, URL: p.Call.URL, AccessToken: p.Token,
	})
	if err != nil {
		return "", err
	}
	if key == "" {
		return "", oidc.E(oidc.CodeInvalidDPoPProof, "the token is bound to a key; send a proof in the header DPoP")
	}
	if key != c.Key {
		return "", oidc.E(oidc.CodeInvalidToken, "the token is bound to another key than that of the proof")
	}
	return key, nil
}
