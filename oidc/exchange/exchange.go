// Package exchange is the token exchange grant (RFC 8693): a broad token in, a
// narrow token of one service out. Public clients may use it because it can only
// narrow: person, client, tenant, scope, audience and end of the new token lie
// within those of the presented one, which oidc/policy decides.
package exchange

import (
	"context"
	"errors"

	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/policy"
)

// Grant is the grant type urn:ietf:params:oauth:grant-type:token-exchange.
// Register it with the issuer.
type Grant struct {
	Issuer *issuer.Issuer
}

// Basis reads the subject token and finds what it came from. The answers to a bad
// subject token are always invalid_request (RFC 8693, section 2.2.2), with one text
// whenever the signature fails (R24).
func (g Grant) Basis(ctx context.Context, t issuer.TokenRequest) (issuer.Basis, error) {
	if err := parameters(t); err != nil {
		return issuer.Basis{}, err
	}
	token := t.Form.Get("subject_token")
	claims, err := g.Issuer.Keys.Verify(t.Realm.Name, t.Realm.Issuer, token)
	switch {
	case errors.Is(err, keys.ErrExpired):
		return issuer.Basis{}, oidc.E(oidc.CodeInvalidRequest, "the subject token has expired; refresh it")
	case errors.Is(err, keys.ErrInvalid):
		return issuer.Basis{}, notOurs()
	case err != nil:
		return issuer.Basis{}, err
	}
	account, grant, err := g.Issuer.Holder(ctx, t.Realm, claims)
	if errors.Is(err, issuer.ErrNotFound) {
		return issuer.Basis{}, notOurs()
	}
	if err != nil {
		return issuer.Basis{}, err
	}
	request, err := g.Issuer.PolicyRequest(t.Realm, account, grant)
	if err != nil {
		return issuer.Basis{}, err
	}
	request.Way = policy.Exchange
	if request.Subject, err = policy.SubjectOf(claims); err != nil {
		return issuer.Basis{}, notOurs()
	}
	return issuer.Basis{Request: request, SubjectToken: token, IssuedTokenType: oidc.TokenTypeAccessToken}, nil
}

// notOurs is said of every subject token that this issuer cannot vouch for.
func notOurs() error {
	return oidc.E(oidc.CodeInvalidRequest, "the subject token is not valid here; send an access token of this issuer, whole and as received")
}

// parameters checks what RFC 8693, section 2.1 asks of a request.
func parameters(t issuer.TokenRequest) error {
	switch {
	case t.Form.Get("subject_token") == "":
		return oidc.E(oidc.CodeInvalidRequest, "subject_token is missing")
	case t.Form.Get("subject_token_type") != oidc.TokenTypeAccessToken:
		return oidc.E(oidc.CodeInvalidRequest, "subject_token_type must be "+oidc.TokenTypeAccessToken)
	case t.Form.Has("actor_token") || t.Form.Has("actor_token_type"):
		return oidc.E(oidc.CodeInvalidRequest, "actor tokens are not supported")
	case t.Form.Has("requested_token_type") && t.Form.Get("requested_token_type") != oidc.TokenTypeAccessToken:
		return oidc.E(oidc.CodeInvalidRequest, "requested_token_type must be "+oidc.TokenTypeAccessToken)
	}
	return nil
}
