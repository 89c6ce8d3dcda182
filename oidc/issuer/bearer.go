package issuer

import (
	"context"
	"errors"

	"signpost/directory"
	"signpost/internal/audit"
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
	return i.HolderOf(ctx, r, c.GrantID)
}

// HolderOf is Holder by the grant's id.
func (i *Issuer) HolderOf(ctx context.Context, r *directory.Realm, grantID string) (Account, Grant, error) {
	if i.Known != nil {
		return i.Known.Holder(ctx, r.Name, grantID)
	}
	account, grant, err := readHolder(ctx, i.Store, r.Name, grantID)
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

// Patience bounds a request in which tokens are made, wherever it comes in.
const Patience = tokenPatience

// Refused is a refusal of a token that is genuine: whose it is, and the rule of the policy by which
// it is refused. It wraps the *oidc.Error.
type Refused struct {
	error
	Account, Client, Grant string // their ids; no client if neither the token nor the request names one
	Rule                   string
}

// Refuse refuses what a genuine token that is about an account, and comes from a grant, was presented for.
func Refuse(account, client, grant, rule string, why error) *Refused {
	return &Refused{why, account, client, grant, rule}
}

// Unwrap returns the refusal.
func (r *Refused) Unwrap() error { return r.error }

// RecordRefusal keeps for the owner that an exchange of a genuine token was refused before there was
// anything for the policy to judge. Failures are temporarily_unavailable.
func (i *Issuer) RecordRefusal(ctx context.Context, r *directory.Realm, token string, refused *Refused) error {
	return i.record(ctx, audit.Event{
		At: i.Now(), Kind: audit.KindToken, Tenant: r.Name, Account: refused.Account, Client: refused.Client, Grant: refused.Grant,
		Rule: string(policy.Exchange) + "/" + refused.Rule, Outcome: audit.Refused, SubjectHash: subjectHash(token),
	})
}

// Authenticate checks a token that is presented to one of the issuer's own resources:
// genuine, broad, alive, with the needed scope word (RFC 6750, section 3.1), and with a proof of
// its key if and only if it is bound to one (RFC 9449, section 7). Failures are *oidc.Error:
// invalid_token, insufficient_scope, invalid_dpop_proof, use_dpop_nonce, temporarily_unavailable. Those
// of a genuine token are a *Refused around it, unless nothing is amiss but the moment.
func (i *Issuer) Authenticate(ctx context.Context, r *directory.Realm, p Presented, need string) (Bearer, error) {
	claims, err := i.VerifyToken(ctx, r, p.Token)
	no := func(rule string, err error) (Bearer, error) {
		return Bearer{}, Refuse(claims.Subject, claims.ClientID, claims.GrantID, rule, err)
	}
	switch {
	case errors.Is(err, keys.ErrExpired):
		return no(policy.RuleExpired, invalidToken(err))
	case errors.Is(err, keys.ErrInvalid):
		return Bearer{}, invalidToken(err)
	case err != nil:
		return Bearer{}, err
	}
	key, err := i.proved(ctx, r, p, claims)
	if code := oidc.CodeOf(err); code == oidc.CodeInvalidToken || code == oidc.CodeInvalidDPoPProof {
		return no(policy.RuleBinding, err)
	}
	if err != nil {
		return Bearer{}, err
	}
	account, grant, err := i.Holder(ctx, r, claims)
	if errors.Is(err, ErrNotFound) {
		return no(policy.RuleGrant, invalidToken(err))
	}
	if err != nil {
		return Bearer{}, err
	}
	request, err := i.PolicyRequest(r, account, grant)
	if err != nil {
		return Bearer{}, err
	}
	if request.Subject, err = policy.SubjectOf(claims); err != nil {
		return Bearer{}, invalidToken(err)
	}
	request.ClientID, request.Key = claims.ClientID, key
	if err := i.AskedByGrant(ctx, &request, r); err != nil {
		return no(policy.RuleClient, invalidToken(err)) // switched off
	}
	a := policy.Admit(request)
	if a.Refusal != nil {
		return no(a.Rule, invalidToken(errors.New(a.Rule)))
	}
	if !a.Scope.Has(need) {
		return no(policy.RuleScope, oidc.E(oidc.CodeInsufficientScope, "the token lacks the scope "+need))
	}
	return Bearer{Account: account, Standing: StandingOf(r, account), Scope: a.Scope, Request: request}, nil
}

// invalidToken is said of every token that is good for nothing here, whatever is wrong with it.
func invalidToken(cause error) *oidc.Error {
	return oidc.E(oidc.CodeInvalidToken, "the token is not a valid broad token of this issuer; refresh it or sign in again").Because(cause)
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
