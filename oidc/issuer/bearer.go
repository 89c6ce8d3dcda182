package issuer

import (
	"context"
	"errors"

	"signpost/directory"
	"signpost/oidc"
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
}

// Authenticate checks a bearer token for the issuer's own resources: genuine,
// broad, alive, and with the needed scope word (RFC 6750, section 3.1). Failures are *oidc.Error:
// invalid_token, insufficient_scope, temporarily_unavailable.
func (i *Issuer) Authenticate(ctx context.Context, r *directory.Realm, token, need string) (Bearer, error) {
	invalid := oidc.E(oidc.CodeInvalidToken, "the token is not a valid broad token of this issuer; refresh it or sign in again")
	claims, err := i.Keys.Verify(r.Name, r.Issuer, token)
	if errors.Is(err, keys.ErrInvalid) || errors.Is(err, keys.ErrExpired) {
		return Bearer{}, invalid.Because(err)
	}
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
	request.ClientID = claims.ClientID
	a := policy.Admit(request)
	if a.Refusal != nil {
		return Bearer{}, invalid.Because(errors.New(a.Rule))
	}
	if !a.Scope.Has(need) {
		return Bearer{}, oidc.E(oidc.CodeInsufficientScope, "the token lacks the scope "+need)
	}
	return Bearer{Account: account, Standing: StandingOf(r, account), Scope: a.Scope}, nil
}
