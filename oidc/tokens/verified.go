package tokens

import (
	"crypto/sha256"
	"slices"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// rememberFor is how long a token that was checked is not checked again.
const rememberFor = time.Minute

// verifiedKey names a token: another signature under the same claims is another token.
type verifiedKey struct {
	tenant string
	digest [sha256.Size]byte // of all of it
}

// verified is what a token said, for as long as the tenant's keys are the same.
type verified struct {
	claims  oidc.Claims
	edition keys.Edition
	until   time.Time
}

func verifiedKeyOf(tenant, token string) verifiedKey {
	var room [1024]byte // for most tokens: no allocation
	return verifiedKey{tenant, sha256.Sum256(append(room[:0], token...))}
}

// recall returns the claims of a token that was checked a moment ago, if all that was true
// then still is.
func (t *Tokens) recall(key verifiedKey, edition keys.Edition, issuer string, now time.Time) (oidc.Claims, bool) {
	v, found := t.verified.get(key)
	if !found || v.edition != edition || v.claims.Issuer != issuer || !now.Before(v.until) || !now.Before(v.claims.ExpiresAt) {
		return oidc.Claims{}, false
	}
	return own(v.claims), true
}

func (t *Tokens) remember(key verifiedKey, edition keys.Edition, c oidc.Claims, now time.Time) {
	t.verified.put(key, verified{claims: own(c), edition: edition, until: now.Add(rememberFor)})
}

// own returns claims that share nothing that can be changed.
func own(c oidc.Claims) oidc.Claims {
	c.Audience = slices.Clone(c.Audience)
	return c
}
