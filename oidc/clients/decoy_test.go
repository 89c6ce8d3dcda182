package clients

import (
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestRFC7523UnknownTakesAsLong: who has no key that fits is refused after one check of a
// signature, as who has one and did not sign.
func TestRFC7523UnknownTakesAsLong(t *testing.T) {
	t.Parallel()
	const ed = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	for _, algorithm := range AssertionAlgorithms() {
		for _, kid := range []string{"", "ed", "other"} {
			for name, jwks := range map[string]string{"nobody": "", "no keys": `{"keys":[]}`, "one key": ed} {
				header := jose.Header{Algorithm: algorithm, KeyID: kid}
				keys, own := tried(jwks, header)
				if len(keys) != 1 || !fits(keys[0].Key, algorithm) {
					t.Errorf("%s, %s, kid %q: %d keys are tried, want one that fits", name, algorithm, kid, len(keys))
				}
				if want := name == "one key" && algorithm == string(jose.EdDSA) && kid != "other"; own != want {
					t.Errorf("%s, %s, kid %q: own is %t, want %t", name, algorithm, kid, own, want)
				}
			}
		}
	}
}
