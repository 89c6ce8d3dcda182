package issuer

import (
	"context"
	"errors"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/clients"
	"signpost/oidc/keys"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// Introspection is what a resource server is told of a token: the members of RFC 7662,
// section 2.2. Whatever is not good for the server that asks is answered with Inactive alone.
type Introspection = map[string]any

// Inactive says of a token that it is good for nothing here, and not why (RFC 7662, section 2.2).
func Inactive() Introspection { return Introspection{"active": false} }

// Introspect tells a resource server what a token is worth to it now (RFC 7662, section 2),
// and returns which server asked. Failures are *oidc.Error, but for missing keys: invalid_client,
// invalid_request, and temporarily_unavailable if nobody can tell just now whether the token's grant
// lives (R26).
func (i *Issuer) Introspect(ctx context.Context, r *directory.Realm, call Call) (directory.ResourceServer, Introspection, error) {
	if err := once(call.Form); err != nil {
		return directory.ResourceServer{}, nil, err
	}
	server, err := i.Clients.ResourceServer(ctx, r, call.credentials())
	if err != nil {
		return directory.ResourceServer{}, nil, err
	}
	presented := call.Form.Get("token")
	if presented == "" {
		return server, nil, oidc.E(oidc.CodeInvalidRequest, "token is missing")
	}
	answer, err := i.worth(ctx, r, server, presented)
	return server, answer, err
}

// worth judges a token for one server. Refresh tokens and ID tokens are never active: no server
// should have them (R7).
func (i *Issuer) worth(ctx context.Context, r *directory.Realm, server directory.ResourceServer, presented string) (Introspection, error) {
	if _, ok := apppassword.Parse(presented); ok { // nothing else has this form
		return i.appPasswordWorth(ctx, r, server, presented)
	}
	token, err := i.VerifyToken(ctx, r, presented)
	if errors.Is(err, keys.ErrInvalid) || errors.Is(err, keys.ErrExpired) {
		return Inactive(), nil
	}
	if err != nil {
		return nil, err
	}
	account, grant, err := i.Holder(ctx, r, token)
	if errors.Is(err, ErrNotFound) {
		return Inactive(), nil
	}
	if err != nil {
		return nil, err
	}
	request, err := i.PolicyRequest(r, account, grant)
	if err != nil {
		return nil, err
	}
	request.Subject, err = policy.SubjectOf(token)
	if errors.Is(err, scopes.ErrSyntax) {
		return Inactive(), nil // not one of ours
	}
	if err != nil {
		return nil, err
	}
	request.Targets = server.Audiences
	err = i.AskedByGrant(ctx, &request, r)
	if errors.Is(err, clients.ErrUnknown) {
		return Inactive(), nil
	}
	if err != nil {
		return nil, err
	}
	d := policy.Alive(request)
	if !d.Allowed() {
		return Inactive(), nil
	}
	return introspection(d.Claims, token), nil
}

// introspection writes what was decided for one server. Only the token itself knows its
// number and when it was made.
func introspection(c, token oidc.Claims) Introspection {
	answer := Introspection{
		"active": true, "iss": c.Issuer, "sub": c.Subject, "aud": audience(c), "scope": c.Scope, "client_id": c.ClientID,
		"username": c.Username, "exp": c.ExpiresAt.Unix(), "jti": token.ID, "token_type": oidc.Bearer,
	}
	if !token.IssuedAt.IsZero() { // a tenant's own profile may leave it out
		answer["iat"] = token.IssuedAt.Unix()
	}
	if c.Key != "" {
		answer["token_type"], answer["cnf"] = oidc.DPoP, map[string]any{"jkt": c.Key} // RFC 9449, section 6.2
	}
	return answer
}

// audience writes one audience as in a token itself: not as a list (RFC 7519, section 4.1.3).
func audience(c oidc.Claims) any {
	if len(c.Audience) == 1 {
		return c.Audience[0]
	}
	return c.Audience
}
