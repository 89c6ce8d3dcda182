package issuer

import (
	"context"
	"errors"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/dpop"
	"signpost/oidc/keys"
)

// reasonRevoked is why a grant ended whose client gave it back.
const reasonRevoked = "revoked"

// Revoke ends the sign-in that a client's token belongs to, with everything made from it (RFC 7009,
// section 2). A refresh token names its grant also after it was replaced. A token that means nothing here
// is no error (RFC 7009, section 2.2). Failures are *oidc.Error, but for missing keys: those of
// the client's credentials, invalid_grant for a token of another client,
// unsupported_token_type for a token that services have too, invalid_dpop_proof for a bound one
// without its key, temporarily_unavailable.
func (i *Issuer) Revoke(ctx context.Context, r *directory.Realm, call Call) error {
	// Who hangs up wanted it ended all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenPatience)
	defer cancel()
	if err := once(call.Form); err != nil {
		return err
	}
	c, err := i.Clients.Authenticate(ctx, r, call.credentials())
	if err != nil {
		return err
	}
	presented := call.Form.Get("token")
	if presented == "" {
		return oidc.E(oidc.CodeInvalidRequest, "token is missing")
	}
	g, err := i.grantOf(ctx, r, call, presented)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case g.ClientID != c.ID: // RFC 7009, section 2.1
		return oidc.E(oidc.CodeInvalidGrant, "the token was issued to another client; nothing was revoked")
	case !g.EndedAt.IsZero():
		return nil
	}
	return i.end(ctx, r, g, reasonRevoked)
}

// grantOf finds the grant that a token speaks for: a refresh token, or an access token for the
// issuer alone. ErrNotFound for what is neither, or not any more.
func (i *Issuer) grantOf(ctx context.Context, r *directory.Realm, call Call, presented string) (Grant, error) {
	stored, err := i.Store.Refresh(ctx, r.Name, digest(presented))
	if err == nil {
		return stored.Grant, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return Grant{}, busy("load refresh token", err)
	}
	token, err := i.VerifyToken(ctx, r, presented)
	if errors.Is(err, keys.ErrInvalid) || errors.Is(err, keys.ErrExpired) {
		return Grant{}, ErrNotFound
	}
	if err != nil {
		return Grant{}, err
	}
	if !token.Broad() || len(token.Audience) > 1 {
		// Its services have it too, and must not be able to end the person's sign-in.
		return Grant{}, oidc.E(oidc.CodeUnsupportedTokenType, "a token that services take cannot be revoked; revoke the refresh token, or a token for the issuer alone")
	}
	key, err := i.Proofs.Check(ctx, r.Name, dpop.Request{Headers: call.DPoP, Method: call.Method, URL: call.URL})
	if err != nil {
		return Grant{}, err
	}
	if token.Key != "" && token.Key != key { // who has the token without the key has stolen it
		return Grant{}, oidc.E(oidc.CodeInvalidDPoPProof, "the token is bound to a key; send a proof of it")
	}
	_, g, err := i.Holder(ctx, r, token)
	return g, err
}

// end ends a grant for who may: SQL, then what this process knows, then the record (R26).
func (i *Issuer) end(ctx context.Context, r *directory.Realm, g Grant, reason string) error {
	now := i.Now()
	err := i.Store.EndGrant(ctx, r.Name, g.ID, reason, now)
	if errors.Is(err, ErrNotFound) {
		return nil // its tenant was removed, and the grant with it
	}
	if err != nil {
		return busy("end grant", err)
	}
	i.Known.End(r.Name, g.ID)
	return i.record(ctx, audit.Event{
		At: now, Kind: audit.KindGrantEnded, Tenant: r.Name, Account: g.AccountID, Client: g.ClientID, Grant: g.ID,
		Rule: reason, Outcome: audit.Allowed,
	})
}
