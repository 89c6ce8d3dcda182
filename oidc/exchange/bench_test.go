package exchange_test

import (
	"testing"

	"signpost/oidc"
	"signpost/oidc/issuer"
)

// BenchmarkExchange is one that was asked for before, as most are.
func BenchmarkExchange(b *testing.B) {
	r := newRig(b)
	call := r.call(form(r.signedIn(b, r.realm, all).AccessToken, nil))
	for b.Loop() {
		if _, err := r.Token(b.Context(), r.realm, call); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConfiguration is the document for a token that was seen before, without HTTP.
func BenchmarkConfiguration(b *testing.B) {
	r := newRig(b)
	p := issuer.Presented{Scheme: oidc.Bearer, Token: r.signedIn(b, r.realm, all).AccessToken}
	for b.Loop() {
		bearer, err := r.Authenticate(b.Context(), r.realm, p, oidc.ScopeOpenID)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := bearer.View(r.realm).Document().JSON(); err != nil {
			b.Fatal(err)
		}
	}
}
