package issuer

import (
	"context"
	"errors"
	"strings"
	"time"

	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/keys"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// grantMade is what a person allowed and a program redeems once, by an
// authorization code or a device code. Who calls grantBasis has checked that what is
// presented is this client's.
type grantMade struct {
	Way      policy.Way // policy.Code or policy.Device
	Ask      Ask        // what was allowed: Scope, Resources, Nonce
	Account  Account    // who allowed it
	AuthTime time.Time  // as the identity provider gave it
	ACR      string     // as the identity provider gave it
	AMR      []string   // as the identity provider gave it

	AllowedAt time.Time // when the person came to allow it

	Presented string // the code itself: its SHA-256 is the grant's OriginHash, so that SQL refuses it a second time (R19)
	CacheKey  string // where the code is kept in Cache, to make room when it is redeemed
}

// grantBasis makes the grant that a person allowed, its first refresh token if
// offline_access was granted, and its ID token if openid was.
func (i *Issuer) grantBasis(t TokenRequest, m grantMade) (Basis, error) {
	now := i.Now()
	grant := Grant{
		ID: shortID(), AccountID: m.Account.ID, ClientID: t.Client.ID, Scopes: m.Ask.Scope, Resources: m.Ask.Resources,
		OriginHash: digest(m.Presented), CreatedAt: now, LastUsedAt: now,
		AuthTime: m.AuthTime, ACR: m.ACR, AMR: m.AMR, AllowedAt: m.AllowedAt, Registration: t.Client.Registration,
	}
	// Who has credentials shows them at every refresh; for others the key stands in (RFC 9449, section 5).
	if !t.Client.Confidential() {
		grant.Key = t.Key
	}
	request, err := i.PolicyRequest(t.Realm, m.Account, grant)
	if err != nil {
		return Basis{}, err
	}
	request.Way = m.Way
	b := Basis{Request: request, ID: i.idClaims(t, grant)}
	if b.ID != nil {
		b.ID.Nonce = m.Ask.Nonce
	}
	// SQL first, so that of two requests with one code only one makes a grant (R19).
	b.Commit = func(ctx context.Context, _ policy.Decision) (string, error) {
		var refresh string
		var hash []byte
		if granted(grant, oidc.ScopeOfflineAccess) {
			refresh = newRefreshToken()
			hash = digest(refresh)
		}
		err := i.Store.CreateGrant(ctx, t.Realm.Name, grant, hash)
		if errors.Is(err, ErrReplayed) {
			i.Known.endMade(t.Realm.Name, grant.OriginHash)
			if err := i.recordReplay(ctx, t); err != nil {
				return "", err
			}
		}
		if err != nil {
			return "", refusal("create grant", err)
		}
		// Only to make room: SQL refuses the code from now on. An answer of "try again"
		// would make the program come with it once more, and end the grant.
		_ = i.Cache.Delete(ctx, m.CacheKey)
		return refresh, nil
	}
	return b, nil
}

func (i *Issuer) recordReplay(ctx context.Context, t TokenRequest) error {
	return i.record(ctx, audit.Event{
		At: i.Now(), Kind: audit.KindGrantEnded, Tenant: t.Realm.Name, Client: t.Client.ID, Rule: "replay", Outcome: audit.Refused,
	})
}

// idClaims are those of a grant's ID token without a nonce: what a refresh sends
// (https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse). Nil
// if openid was not granted.
func (i *Issuer) idClaims(t TokenRequest, g Grant) *keys.IDClaims {
	if !granted(g, oidc.ScopeOpenID) {
		return nil
	}
	now := i.Now()
	return &keys.IDClaims{
		Issuer: t.Realm.Issuer, Subject: g.AccountID, ClientID: t.Client.ID, IssuedAt: now, ExpiresAt: now.Add(policy.Lifetime),
		AuthTime: g.AuthTime, ACR: g.ACR, AMR: g.AMR, Algorithm: t.Client.IDTokenAlgorithm,
	}
}

func granted(g Grant, word string) bool {
	return scopes.Of(strings.Fields(g.Scopes)...).Has(word)
}
