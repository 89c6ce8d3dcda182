package issuer

import (
	"context"
	"errors"
	"time"

	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/policy"
)

// What a repeated refresh token is allowed (R18).
const (
	repeatWindow = 30 * time.Second
	repeatLimit  = 10
	// successorPurpose separates sealed successors from everything else that is sealed.
	successorPurpose = "refresh-successor"
)

func newRefreshToken() string { return secret("spr_") }

// refreshGrant rotates refresh tokens (RFC 6749, section 6; RFC 9700, section 2.2.2). A token that
// comes again because its answer was lost gets the same successor, so that a bad
// line signs nobody out; one that comes again after its successor was used has
// been copied, and the whole family ends.
type refreshGrant struct{ *Issuer }

// Basis finds the refresh token and its grant.
func (g refreshGrant) Basis(ctx context.Context, t TokenRequest) (Basis, error) {
	presented := t.Form.Get("refresh_token")
	if presented == "" {
		return Basis{}, oidc.E(oidc.CodeInvalidRequest, "refresh_token is missing")
	}
	stored, err := g.Store.Refresh(ctx, t.Realm.Name, digest(presented))
	if err != nil {
		return Basis{}, refusal("load refresh token", err)
	}
	if stored.Grant.ClientID != t.Client.ID {
		return Basis{}, oidc.E(oidc.CodeInvalidGrant, "the refresh token was issued to another client")
	}
	account, err := g.Store.Account(ctx, t.Realm.Name, stored.Grant.AccountID)
	if err != nil {
		return Basis{}, refusal("load account", err)
	}
	var successor string
	rotate := func(ctx context.Context) (err error) {
		successor, err = g.rotate(ctx, t, stored.Grant, presented)
		return err
	}
	// A token that was used before is judged at once: reuse must not hide behind a
	// request that the policy refuses for another reason. Who does not hold its key
	// is refused by the policy and ends nothing (R18).
	if !stored.UsedAt.IsZero() && (stored.Grant.Key == "" || stored.Grant.Key == t.Key) {
		if err := rotate(ctx); err != nil {
			return Basis{}, err
		}
	}
	request, err := g.PolicyRequest(t.Realm, account, stored.Grant)
	if err != nil {
		return Basis{}, err
	}
	request.Way = policy.Refresh
	return Basis{Request: request, ID: g.idClaims(t, stored.Grant), Commit: func(ctx context.Context, _ policy.Decision) (string, error) {
		if successor == "" {
			if err := rotate(ctx); err != nil {
				return "", err
			}
		}
		return successor, nil
	}}, nil
}

// rotate replaces the presented token and returns its successor.
func (g refreshGrant) rotate(ctx context.Context, t TokenRequest, grant Grant, presented string) (string, error) {
	candidate := newRefreshToken()
	sealed, err := g.Sealer.SealWith(successorPurpose, []byte(presented), []byte(candidate))
	if err != nil {
		return "", err
	}
	kept, err := g.Store.Rotate(ctx, t.Realm.Name, Rotation{
		Presented: digest(presented), Successor: digest(candidate), Sealed: sealed,
		Now: g.Now(), Window: repeatWindow, Repeats: repeatLimit,
	})
	if errors.Is(err, ErrReused) {
		g.Known.End(t.Realm.Name, grant.ID)
		if err := g.record(ctx, audit.Event{
			At: g.Now(), Kind: audit.KindGrantEnded, Tenant: t.Realm.Name, Account: grant.AccountID,
			Client: t.Client.ID, Grant: grant.ID, Rule: "reuse", Outcome: audit.Refused,
		}); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", refusal("rotate refresh token", err)
	}
	successor, err := g.Sealer.OpenWith(successorPurpose, []byte(presented), kept)
	if err != nil {
		// Nothing is ended: the server key may have been replaced, and can be put back.
		return "", busy("open successor", err)
	}
	return string(successor), nil
}
