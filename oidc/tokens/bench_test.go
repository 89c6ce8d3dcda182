package tokens_test

import (
	"testing"
	"time"

	"signpost/internal/cache"
	"signpost/oidc"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
)

// BenchmarkVerifyAgain is what a token costs that was checked a moment ago.
func BenchmarkVerifyAgain(b *testing.B) {
	r := newRig(b)
	for name, token := range r.everyKind(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Verify(b.Context(), "example", issuer, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMakeFrom is what an exchange costs in signatures: the first time, and again; and what a
// replica saves by asking the cache for a signature by RSA.
func BenchmarkMakeFrom(b *testing.B) {
	r := newRig(b)
	memory := cache.NewMemory(64 << 20)
	b.Cleanup(memory.Close)
	now := func() time.Time { return r.now }
	subject := r.make(b, oidc.ProfileRFC9068, keys.ES256, claims())
	p := profile(b, oidc.ProfileRFC9068)
	again := tokens.New(r.keys, memory, r.box, now)
	for _, algorithm := range []string{keys.ES256, keys.RS256} {
		for name, from := range map[string]func() *tokens.Tokens{
			"again":   func() *tokens.Tokens { return again },
			"replica": func() *tokens.Tokens { return tokens.New(r.keys, memory, r.box, now) },
		} {
			b.Run(algorithm+" "+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := from().MakeFrom(b.Context(), "example", p, algorithm, narrow(), subject); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
