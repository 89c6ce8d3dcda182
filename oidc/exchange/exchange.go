// Package exchange is the token exchange grant (RFC 8693): a broad token in, a
// narrow token of one service out. Public clients may use it because it can only
// narrow: person, client, tenant, scope, audience and end of the new token lie
// within those of the presented one, which oidc/policy decides. The same grant makes
// passwords for programs that know no OAuth (R21), and a bundle is as many exchanges
// in one request.
package exchange

import (
	"context"
	"errors"
	"net/url"

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
	if err := parameters(t.Form); err != nil {
		return issuer.Basis{}, err
	}
	token := t.Form.Get("subject_token")
	request, err := g.presented(ctx, t, token)
	if err != nil {
		return issuer.Basis{}, err
	}
	if t.Form.Get("requested_token_type") == oidc.TokenTypeAppPassword {
		request.Way = policy.AppPassword
		return issuer.Basis{Request: request, SubjectToken: token, Make: g.appPassword(t)}, nil
	}
	request.Way = policy.Exchange
	return issuer.Basis{Request: request, SubjectToken: token, Make: func(ctx context.Context, d policy.Decision) (issuer.TokenResponse, error) {
		answer, _, err := g.narrow(ctx, t.Realm, token, d)
		return answer, err
	}}, nil
}

// presented checks a subject token and joins what the policy must know of it.
func (g Grant) presented(ctx context.Context, t issuer.TokenRequest, token string) (policy.Request, error) {
	claims, err := g.Issuer.VerifyToken(ctx, t.Realm, token)
	switch {
	case errors.Is(err, keys.ErrExpired):
		return policy.Request{}, g.refused(ctx, t, token, claims, policy.RuleExpired, oidc.E(oidc.CodeInvalidRequest, "the subject token has expired; refresh it"))
	case errors.Is(err, keys.ErrInvalid):
		return policy.Request{}, notOurs()
	case err != nil:
		return policy.Request{}, err
	}
	account, grant, err := g.Issuer.Holder(ctx, t.Realm, claims)
	if errors.Is(err, issuer.ErrNotFound) {
		return policy.Request{}, g.refused(ctx, t, token, claims, policy.RuleGrant, notOurs())
	}
	if err != nil {
		return policy.Request{}, err
	}
	request, err := g.Issuer.PolicyRequest(t.Realm, account, grant)
	if err != nil {
		return policy.Request{}, err
	}
	if request.Subject, err = policy.SubjectOf(claims); err != nil {
		return policy.Request{}, notOurs()
	}
	return request, nil
}

// refused records that a genuine subject token was refused before the policy had anything to judge,
// under the client that asks, and returns why.
func (g Grant) refused(ctx context.Context, t issuer.TokenRequest, token string, c oidc.Claims, rule string, why error) error {
	if err := g.Issuer.RecordRefusal(ctx, t.Realm, token, issuer.Refuse(c.Subject, t.Client.ID, c.GrantID, rule, why)); err != nil {
		return err
	}
	return why
}

// notOurs is said of every subject token that this issuer cannot vouch for.
func notOurs() error {
	return oidc.E(oidc.CodeInvalidRequest, "the subject token is not valid here; send an access token of this issuer, whole and as received")
}

// parameters checks what RFC 8693, section 2.1 asks of a request.
func parameters(form url.Values) error {
	switch {
	case form.Get("subject_token") == "":
		return oidc.E(oidc.CodeInvalidRequest, "subject_token is missing")
	case form.Get("subject_token_type") != oidc.TokenTypeAccessToken:
		return oidc.E(oidc.CodeInvalidRequest, "subject_token_type must be "+oidc.TokenTypeAccessToken)
	case form.Has("actor_token") || form.Has("actor_token_type"):
		return oidc.E(oidc.CodeInvalidRequest, "actor tokens are not supported")
	}
	switch form.Get("requested_token_type") {
	case oidc.TokenTypeAccessToken, oidc.TokenTypeAppPassword:
		return nil
	}
	if form.Has("requested_token_type") {
		return oidc.E(oidc.CodeInvalidRequest, "requested_token_type must be "+oidc.TokenTypeAccessToken+" or "+oidc.TokenTypeAppPassword)
	}
	return nil
}

// appPassword makes a password in the place of a token (RFC 8693, section 2.2.1: "access_token"
// holds whatever was issued). The person finds it under the program's name.
func (g Grant) appPassword(t issuer.TokenRequest) func(context.Context, policy.Decision) (issuer.TokenResponse, error) {
	return func(ctx context.Context, d policy.Decision) (issuer.TokenResponse, error) {
		label := t.Client.Name
		if label == "" {
			label = t.Client.ID
		}
		password, err := g.Issuer.MakeAppPassword(ctx, t.Realm, d, label)
		if err != nil {
			return issuer.TokenResponse{}, err
		}
		return issuer.TokenResponse{
			AccessToken: password, IssuedTokenType: oidc.TokenTypeAppPassword, TokenType: oidc.NotAToken, Scope: d.Scope.String(),
		}, nil
	}
}
