package tokens

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
)

const mintedPurpose = "minted-token"

// mintedKey is the digest of all that a made token came from, but for its times and its number.
type mintedKey [sha256.Size]byte

// minted is a token that was made for an exchange.
type minted struct {
	Token     string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// goodFor reports whether the token may be handed out again for claims that are the same but
// for the times: half of its life is left (R6), and it does not outlive them.
func (m minted) goodFor(c oidc.Claims, now time.Time) bool {
	return !m.ExpiresAt.After(c.ExpiresAt) && m.ExpiresAt.Sub(now) >= m.ExpiresAt.Sub(m.IssuedAt)/2
}

// exchange is what a token is made from.
type exchange struct {
	tenant, algorithm string
	profile           oidc.Profile
	claims            oidc.Claims
	subject           string // the token that is exchanged
}

// MakeFrom is Make for an exchange of subject, a token that was checked: it may return one that
// was made from the same subject before, with the same claims but for times and number, if
// half of its life is left (R6, R25). An opaque one is looked up before: what the cache has lost is
// not handed out again. Were each made anew, one program that asks all the time would fill the
// cache and push out the tokens of others.
func (t *Tokens) MakeFrom(ctx context.Context, tenant string, p oidc.Profile, algorithm string, c oidc.Claims, subject string) (Made, error) {
	signer := "" // nobody signs an opaque one
	if !p.Opaque {
		var err error
		if signer, err = t.keys.SigningKey(tenant, p, algorithm, c); err != nil {
			return Made{}, err
		}
	}
	x := exchange{tenant: tenant, algorithm: algorithm, profile: p, claims: c, subject: subject}
	key := x.key(signer)
	if m, found := t.again(ctx, x, key); found {
		return Made{Token: m.Token, ExpiresAt: m.ExpiresAt, Again: true}, nil
	}
	made, err := t.Make(ctx, tenant, p, algorithm, c)
	if err != nil {
		return Made{}, err
	}
	m := minted{Token: made.Token, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt}
	t.minted.put(key, m)
	if x.shared() {
		t.share(ctx, x, key, m)
	}
	return made, nil
}

// key is the digest of the exchange and of the id of the key that signs. Every text is written
// behind its length, so that no border can be moved.
func (x exchange) key(signer string) mintedKey {
	p, c := x.profile, x.claims
	text := make([]byte, 0, 4<<10)
	// All of the profile: the tenant may declare another one under its name.
	for _, s := range []string{x.tenant, x.algorithm, signer, x.subject, p.Name, p.Type, p.UserClaim, c.Issuer, c.Subject, c.Scope, c.ClientID, c.GrantID, c.Username, c.Key} {
		text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
	}
	for _, set := range []bool{p.Opaque, p.LoginSubject, p.ClientID, p.AuthorizedParty, p.AudienceArray, p.IssuedAt, p.NotBefore} {
		text = strconv.AppendBool(text, set)
	}
	text = binary.AppendVarint(text, int64(p.Backdate))
	for _, s := range c.Audience {
		text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
	}
	return sha256.Sum256(text)
}

// shared reports whether replicas make use of what another one has signed: where a signature
// costs more than asking the cache for one.
func (x exchange) shared() bool { return !x.profile.Opaque && x.algorithm == keys.RS256 }

// again returns what was made before, here or by another replica, if it is good for this exchange.
func (t *Tokens) again(ctx context.Context, x exchange, key mintedKey) (minted, bool) {
	if m, found := t.minted.get(key); found && m.goodFor(x.claims, t.now()) && (!x.profile.Opaque || t.kept(ctx, x, m)) {
		return m, true
	}
	if !x.shared() {
		return minted{}, false
	}
	m, found := t.fetch(ctx, x, key)
	if !found || !m.goodFor(x.claims, t.now()) {
		return minted{}, false
	}
	t.minted.put(key, m)
	return m, true
}

// kept reports whether the cache still has an opaque token.
func (t *Tokens) kept(ctx context.Context, x exchange, m minted) bool {
	_, err := t.lookUp(ctx, x.tenant, x.claims.Issuer, m.Token)
	return err == nil
}

// fetch asks the cache what another replica made. A cache that does not answer, and what does
// not open, is a miss.
func (t *Tokens) fetch(ctx context.Context, x exchange, key mintedKey) (m minted, found bool) {
	name := key.entry(x.tenant)
	sealed, found, err := t.cache.Get(ctx, name)
	if err != nil || !found {
		return minted{}, false
	}
	text, err := t.sealer.OpenWith(mintedPurpose, secretOf(name, x.subject), sealed)
	if err != nil {
		return minted{}, false
	}
	err = json.Unmarshal(text, &m)
	return m, err == nil
}

// share lets other replicas hand out what was made, for half of its life. If it cannot, they make
// their own.
func (t *Tokens) share(ctx context.Context, x exchange, key mintedKey, m minted) {
	half := m.ExpiresAt.Sub(m.IssuedAt) / 2
	text, err := json.Marshal(m)
	if err != nil || half <= 0 {
		return
	}
	name := key.entry(x.tenant)
	sealed, err := t.sealer.SealWith(mintedPurpose, secretOf(name, x.subject), text)
	if err != nil {
		return
	}
	_ = t.cache.Set(ctx, name, sealed, half)
}

// entry names what is kept in the cache.
func (k mintedKey) entry(tenant string) string {
	return "minted:1:" + tenant + ":" + base64.RawURLEncoding.EncodeToString(k[:])
}
