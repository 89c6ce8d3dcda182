package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"signpost/oidc"
	"signpost/oidc/keys"
)

const (
	// opaquePrefix begins every opaque token, so that people and scanners know what they found.
	opaquePrefix = "spt_"
	// opaqueSize is the length of an opaque token: the prefix and 256 random bits in base64url.
	opaqueSize    = len(opaquePrefix) + 43
	opaquePurpose = "opaque-token"
)

// makeOpaque makes a token that says nothing, and keeps its claims for those who present it.
func (t *Tokens) makeOpaque(ctx context.Context, tenant string, c oidc.Claims) (string, error) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	token := opaquePrefix + base64.RawURLEncoding.EncodeToString(random[:])
	life := c.ExpiresAt.Sub(t.now())
	if life <= 0 {
		return token, nil // over before anybody can present it
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write opaque token of tenant %s: %w", tenant, err)
	}
	name := opaqueEntry(tenant, token)
	sealed, err := t.sealer.SealWith(opaquePurpose, secretOf(name, token), text)
	if err != nil {
		return "", fmt.Errorf("seal opaque token of tenant %s: %w", tenant, err)
	}
	if err := t.cache.Set(ctx, name, sealed, life); err != nil {
		return "", fmt.Errorf("keep opaque token of tenant %s: %w: %w", tenant, ErrUnavailable, err)
	}
	return token, nil
}

// lookUp returns what an opaque token stands for, also with keys.ErrExpired. One that the cache has lost is no token any
// more; one that cannot be looked up may be good.
func (t *Tokens) lookUp(ctx context.Context, tenant, issuer, token string) (oidc.Claims, error) {
	if len(token) != opaqueSize {
		return oidc.Claims{}, keys.ErrInvalid
	}
	name := opaqueEntry(tenant, token)
	sealed, found, err := t.cache.Get(ctx, name)
	if err != nil {
		return oidc.Claims{}, fmt.Errorf("look up opaque token of tenant %s: %w: %w", tenant, ErrUnavailable, err)
	}
	if !found {
		return oidc.Claims{}, keys.ErrInvalid
	}
	text, err := t.sealer.OpenWith(opaquePurpose, secretOf(name, token), sealed)
	if err != nil {
		return oidc.Claims{}, keys.ErrInvalid // somebody else wrote it
	}
	var c oidc.Claims
	if err := json.Unmarshal(text, &c); err != nil || c.Issuer != issuer {
		return oidc.Claims{}, keys.ErrInvalid
	}
	if !t.now().Before(c.ExpiresAt) {
		return c, keys.ErrExpired
	}
	return c, nil
}

// opaqueEntry names what is kept for a token; the name tells nothing about it.
func opaqueEntry(tenant, token string) string {
	sum := sha256.Sum256([]byte(token))
	return "opaque:1:" + tenant + ":" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// secretOf is what opens an entry of the cache: the token, and the name under which it is
// kept, so that it opens nowhere else (R25).
func secretOf(name, token string) []byte { return []byte(name + " " + token) }
