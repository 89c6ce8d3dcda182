package demo

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"signpost/oidc"
)

// Forger returns a token of the running Signpost with one thing in it changed,
// signed again by the same tenant's key for access tokens, in the same profile
// and algorithm. The policy of Signpost would never make such a token, and no
// client can get one, but only with it can a walk tell whether a service looks at
// that thing. It belongs to the demo, where the walk and Signpost are one program.
type Forger func(ctx context.Context, token string, change Change) (forged string, err error)

// Change is what a Forger changes: the one field that is set.
type Change struct {
	Issuer    string    // "iss"
	Audience  string    // "aud"
	Scope     string    // "scope"
	ExpiresAt time.Time // "exp"
}

// flaw is one thing that a resource server has to notice.
type flaw struct {
	check  string  // the check that has to notice: its name in a failure
	change *Change // nil: one bit of the signature
}

// flawsOf returns one for each check, in the order in which they are tried.
func flawsOf(otherIssuer, otherAudience string, now time.Time) []flaw {
	return []flaw{
		{"signature", nil},
		{"issuer", &Change{Issuer: otherIssuer}},
		{"audience", &Change{Audience: otherAudience}},
		{"scope", &Change{Scope: oidc.ScopeOpenID}},
		{"expiry", &Change{ExpiresAt: now.Add(-time.Minute)}},
	}
}

func (f flaw) spoil(ctx context.Context, forge Forger, token string) (string, error) {
	if f.change == nil {
		return tampered(token)
	}
	return forge(ctx, token, *f.change)
}

// tampered returns the token with one bit of its signature changed.
func tampered(token string) (string, error) {
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if i < 0 || err != nil || len(signature) == 0 {
		return "", errNotJWT
	}
	signature[len(signature)/2] ^= 1
	return token[:i+1] + base64.RawURLEncoding.EncodeToString(signature), nil
}

var errNotJWT = errors.New("demo: the token is not a JWT")
