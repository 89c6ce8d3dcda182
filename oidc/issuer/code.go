package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"

	"signpost/oidc"
	"signpost/oidc/policy"
)

// codeGrant redeems authorization codes (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
type codeGrant struct{ *Issuer }

// Basis finds the code and checks that who presents it is who asked for it. A code
// presented wrongly is used up: whoever has it is not its owner, or never will be.
func (g codeGrant) Basis(ctx context.Context, t TokenRequest) (Basis, error) {
	for _, name := range []string{"code", "redirect_uri", "code_verifier"} {
		if t.Form.Get(name) == "" {
			return Basis{}, oidc.E(oidc.CodeInvalidRequest, name+" is missing")
		}
	}
	presented := t.Form.Get("code")
	key := cacheKey("code", t.Realm.Name, presented)
	value, found, err := g.Cache.Get(ctx, key)
	if err != nil {
		return Basis{}, busy("read code", err)
	}
	if !found {
		return Basis{}, g.replayed(ctx, t, presented)
	}
	var c code
	if err := json.Unmarshal(value, &c); err != nil {
		return Basis{}, busy("read code", err)
	}
	if refused := c.check(t); refused != nil {
		if err := g.Cache.Delete(ctx, key); err != nil {
			return Basis{}, busy("use up code", err)
		}
		return Basis{}, refused
	}
	account, err := g.Store.Account(ctx, t.Realm.Name, c.Account)
	if err != nil {
		return Basis{}, refusal("load account", err)
	}
	return g.grantBasis(t, grantMade{
		Way: policy.Code, Ask: c.Ask, Account: account, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR, AllowedAt: c.AllowedAt,
		Presented: presented, CacheKey: key,
	})
}

// replayed ends what a code made that is presented again (R19; RFC 6749, section 4.1.2).
func (g codeGrant) replayed(ctx context.Context, t TokenRequest, presented string) error {
	ended, err := g.Store.EndReplayed(ctx, t.Realm.Name, digest(presented), g.Now().Add(-CodeTTL), g.Now())
	if err != nil {
		return busy("look for replay", err)
	}
	if ended {
		g.Known.endMade(t.Realm.Name, digest(presented))
		if err := g.recordReplay(ctx, t); err != nil {
			return err
		}
	}
	return oidc.E(oidc.CodeInvalidGrant, "the code is not valid; codes work once and for ten minutes")
}

// check compares the request with the one that the code was made for.
func (c code) check(t TokenRequest) *oidc.Error {
	verifier := t.Form.Get("code_verifier")
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case c.Ask.ClientID != t.Client.ID:
		return oidc.E(oidc.CodeInvalidGrant, "the code was issued to another client")
	case t.Form.Get("redirect_uri") != c.Ask.RedirectURI:
		return oidc.E(oidc.CodeInvalidGrant, "redirect_uri is not the one of the authorization request")
	case !validVerifier(verifier), subtle.ConstantTimeCompare([]byte(challenge), []byte(c.Ask.Challenge)) != 1:
		return oidc.E(oidc.CodeInvalidGrant, "code_verifier does not fit the code_challenge of the authorization request")
	case c.Ask.Key != "" && c.Ask.Key != t.Key: // RFC 9449, section 10
		return oidc.E(oidc.CodeInvalidGrant, "the code is bound to the key that dpop_jkt named; send a proof of that key")
	}
	return nil
}

// validVerifier takes 43 to 128 unreserved characters (RFC 7636, section 4.1).
func validVerifier(s string) bool {
	return len(s) >= 43 && len(s) <= 128 && strings.Trim(s, base64url+".~") == ""
}
