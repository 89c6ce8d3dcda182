package groupware

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keysMaxAge    = 5 * time.Minute // a key that the issuer withdrew is forgotten after this
	keysMinPause  = 2 * time.Second // between two fetches, so that made-up key ids cost the issuer nothing
	keysMaxBytes  = 64 << 10        // of the metadata and of the key set
	keysMaxNumber = 32              // in one key set
	minRSABits    = 2048            // RFC 7518, section 3.3
)

var algorithms = []string{string(jose.ES256), string(jose.RS256)}

type publicKey struct {
	algorithm string
	public    any
}

// keySet is the issuer's keys, as last fetched. The zero keySet is empty and
// due to be fetched.
type keySet struct {
	mu        sync.Mutex
	byID      map[string]publicKey
	fetchedAt time.Time // last success
	triedAt   time.Time // last attempt
}

// find returns the key of an id. An unknown id or an old set makes it fetch the
// keys, but never more often than keysMinPause.
func (s *keySet) find(ctx context.Context, c *Check, id string) (publicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.Now()
	key, known := s.byID[id]
	fresh := s.byID != nil && now.Sub(s.fetchedAt) < keysMaxAge
	if known && fresh {
		return key, nil
	}
	if s.triedAt.IsZero() || now.Sub(s.triedAt) >= keysMinPause {
		s.triedAt = now
		keys, err := fetchKeys(ctx, c.HTTP, c.Issuer)
		if err != nil {
			return publicKey{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		s.byID, s.fetchedAt = keys, now
		fresh = true
	}
	if !fresh {
		return publicKey{}, ErrUnavailable
	}
	key, known = s.byID[id]
	if !known {
		return publicKey{}, ErrInvalidToken
	}
	return key, nil
}

// fetchKeys goes the public way: metadata, the issuer in it compared, jwks_uri,
// keys (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig).
func fetchKeys(ctx context.Context, client *http.Client, issuer string) (map[string]publicKey, error) {
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := fetchJSON(ctx, client, openIDConfiguration(issuer), &metadata); err != nil {
		return nil, fmt.Errorf("fetch metadata: %w", err)
	}
	if metadata.Issuer != issuer {
		return nil, fmt.Errorf("metadata names the issuer %q, want %q", metadata.Issuer, issuer)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := fetchJSON(ctx, client, metadata.JWKSURI, &set); err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if len(set.Keys) > keysMaxNumber {
		return nil, fmt.Errorf("%d keys, at most %d are read", len(set.Keys), keysMaxNumber)
	}
	keys := make(map[string]publicKey)
	for _, raw := range set.Keys {
		if id, key, ok := usableKey(raw); ok {
			keys[id] = key
		}
	}
	return keys, nil
}

// usableKey reads one key. A key of a kind that is not known here is left out:
// implementations should ignore those (RFC 7517, section 5).
func usableKey(raw []byte) (id string, key publicKey, ok bool) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(raw, &jwk); err != nil || jwk.KeyID == "" || !jwk.IsPublic() {
		return "", publicKey{}, false
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return "", publicKey{}, false
	}
	algorithm := ""
	switch k := jwk.Key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			algorithm = string(jose.ES256)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits {
			algorithm = string(jose.RS256)
		}
	}
	if algorithm == "" || jwk.Algorithm != "" && jwk.Algorithm != algorithm {
		return "", publicKey{}, false
	}
	return jwk.KeyID, publicKey{algorithm, jwk.Key}, true
}

func openIDConfiguration(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

func fetchJSON(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := direct.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, keysMaxBytes+1))
	if err != nil {
		return err
	}
	if len(body) > keysMaxBytes {
		return fmt.Errorf("more than %d bytes", keysMaxBytes)
	}
	return json.Unmarshal(body, into)
}
