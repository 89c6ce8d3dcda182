// Package groupware holds the demo's resource servers: IMAP, submission, CalDAV,
// CardDAV and WebDAV, built from public libraries, with mail, events, contacts
// and files in memory or in a folder. Each takes bearer tokens only, over
// OAUTHBEARER (RFC 7628), XOAUTH2 or HTTP (RFC 6750), and knows nothing of
// Signpost but the issuer URL and its own audience and scope: what any server of
// a stranger would know. It is the last step of the flow: connect.
package groupware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrInvalidToken means that the token is not one for this server: its
// signature, issuer, audience or end of validity is not right, or it says
// nothing about who it is for. Answer invalid_token.
var ErrInvalidToken = errors.New("groupware: invalid token")

// ErrInsufficientScope means that the token is for this server and still does
// not open it. Answer insufficient_scope.
var ErrInsufficientScope = errors.New("groupware: insufficient scope")

// ErrUnavailable means that the issuer's keys could not be fetched, so that no
// token could be judged. Refuse the token; the client may try again.
var ErrUnavailable = errors.New("groupware: keys of the issuer are unavailable")

// Insecure switches checks of a token off, one by one, so that a test can show
// that each of them is noticed when it is missing. The zero value checks all.
type Insecure struct {
	SkipSignature bool
	SkipIssuer    bool
	SkipAudience  bool
	SkipScope     bool
	SkipExpiry    bool
}

// Check judges access tokens (RFC 9068, section 4) by the issuer's published
// keys. Fill in the exported fields before the first use; a Check may then be
// used by many connections at once.
type Check struct {
	Issuer   string           // exact issuer URL
	Audience string           // what "aud" has to contain
	Scope    string           // the word that "scope" has to contain
	HTTP     *http.Client     // fetches metadata and keys; redirects are not followed
	Now      func() time.Time // the clock

	Insecure Insecure // for tests only

	keys keySet
}

type accessToken struct {
	jwt.RegisteredClaims
	Scope    string `json:"scope"`
	Username string `json:"preferred_username"`
}

// Login returns the login name that the token carries. It returns
// ErrInvalidToken, ErrInsufficientScope or ErrUnavailable.
//
// The order of the checks is part of the answer: a token for another server is
// invalid here whatever its scope, so the scope comes last. "typ" is not looked
// at: kinds of tokens are told apart by key use and claims.
func (c *Check) Login(ctx context.Context, token string) (string, error) {
	claims, err := c.verified(ctx, token)
	if err != nil {
		return "", err
	}
	if !c.Insecure.SkipIssuer && claims.Issuer != c.Issuer {
		return "", fmt.Errorf("%w: of another issuer", ErrInvalidToken)
	}
	if !c.Insecure.SkipAudience && !slices.Contains(claims.Audience, c.Audience) {
		return "", fmt.Errorf("%w: for another audience", ErrInvalidToken)
	}
	if !c.Insecure.SkipExpiry && (claims.ExpiresAt == nil || !c.Now().Before(claims.ExpiresAt.Time)) {
		return "", fmt.Errorf("%w: expired", ErrInvalidToken)
	}
	if claims.Username == "" {
		return "", fmt.Errorf("%w: without a login name", ErrInvalidToken)
	}
	if !c.Insecure.SkipScope && !slices.Contains(strings.Fields(claims.Scope), c.Scope) {
		return "", ErrInsufficientScope
	}
	return claims.Username, nil
}

// LoginAs is Login for a client that names its user as well: the name has to be
// the token's. An empty name is none.
func (c *Check) LoginAs(ctx context.Context, user, token string) (string, error) {
	login, err := c.Login(ctx, token)
	if err != nil {
		return "", err
	}
	if user != "" && user != login {
		return "", fmt.Errorf("%w: for another user", ErrInvalidToken)
	}
	return login, nil
}

func (c *Check) verified(ctx context.Context, token string) (accessToken, error) {
	var claims accessToken
	// Login looks at the claims itself, each behind a switch of its own.
	parser := jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithoutClaimsValidation())
	if c.Insecure.SkipSignature {
		if _, _, err := parser.ParseUnverified(token, &claims); err != nil {
			return accessToken{}, fmt.Errorf("%w: not a JWT", ErrInvalidToken)
		}
		return claims, nil
	}
	_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		return c.key(ctx, t)
	})
	if errors.Is(err, ErrUnavailable) {
		return accessToken{}, err
	}
	if err != nil {
		return accessToken{}, fmt.Errorf("%w: signature", ErrInvalidToken)
	}
	return claims, nil
}

// key returns the key that the header names. The algorithm is the key's own: a
// header that names another one is refused, so that a public key is never taken
// for a shared secret (RFC 8725, section 3.1).
func (c *Check) key(ctx context.Context, t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	key, err := c.keys.find(ctx, c, kid)
	if err != nil {
		return nil, err
	}
	if t.Method.Alg() != key.algorithm {
		return nil, ErrInvalidToken
	}
	return key.public, nil
}
