package issuer_test

import (
	"testing"

	"signpost/oidc/keys"
	"signpost/oidc/policy"
)

// TestR34KeysOutliveTokens: a replaced key stays until the last token that it signed is
// over, so no token may live longer than keys takes them to live.
func TestR34KeysOutliveTokens(t *testing.T) {
	t.Parallel()
	if policy.Lifetime > keys.Longest || policy.ExchangeLifetime > keys.Longest {
		t.Errorf("tokens live %v and %v, keys stay for %v", policy.Lifetime, policy.ExchangeLifetime, keys.Longest)
	}
}
