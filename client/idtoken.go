package client

import (
	"context"
	"fmt"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

// verifyIDToken verifies the ID token beside an access token and returns its
// subject, or "" if there is no ID token. An empty nonce is not compared: after a
// refresh there is none (https://openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse).
func (c *Client) verifyIDToken(ctx context.Context, d Discovery, clientID, nonce string, t Tokens) (string, error) {
	if t.IDToken == "" {
		return "", nil
	}
	if d.Metadata.JWKSURI == "" {
		return "", fmt.Errorf("%w: the issuer names no keys", ErrIDToken)
	}
	keys := gooidc.NewRemoteKeySet(gooidc.ClientContext(ctx, c.sender()), d.Metadata.JWKSURI)
	verifier := gooidc.NewVerifier(d.Issuer, keys, &gooidc.Config{
		ClientID:             clientID,
		SupportedSigningAlgs: publicKeyAlgorithms(d.Metadata.IDTokenAlgorithms),
		Now:                  c.now,
	})
	token, err := verifier.Verify(ctx, t.IDToken)
	if err != nil {
		return "", fmt.Errorf("%w: %.200s", ErrIDToken, printable(err.Error())) // may repeat what the issuer sent
	}
	if token.Subject == "" {
		return "", fmt.Errorf("%w: it has no subject", ErrIDToken)
	}
	if nonce != "" && token.Nonce != nonce {
		return "", fmt.Errorf("%w: nonce is another one", ErrIDToken)
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(t.AccessToken); err != nil {
			return "", fmt.Errorf("%w: it belongs to another access token", ErrIDToken)
		}
	}
	return token.Subject, nil
}

// publicKeyAlgorithms returns those of the algorithms that sign with a key pair:
// neither "none" nor a shared secret, which a public client has not got.
func publicKeyAlgorithms(algorithms []string) []string {
	var kept []string
	for _, algorithm := range algorithms {
		switch algorithm {
		case gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.ES256, gooidc.ES384, gooidc.ES512,
			gooidc.PS256, gooidc.PS384, gooidc.PS512, gooidc.EdDSA:
			kept = append(kept, algorithm)
		}
	}
	return kept
}
