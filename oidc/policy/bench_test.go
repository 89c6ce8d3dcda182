package policy_test

import (
	"testing"

	"signpost/oidc/policy"
)

// BenchmarkDecide measures the decisions of the token endpoint, each for a tenant with four services.
func BenchmarkDecide(b *testing.B) {
	exchanged := request(b, policy.Exchange)
	byURL := request(b, policy.Exchange)
	byURL.Targets = []string{calendar + "alice/work"}
	foreign := request(b, policy.Exchange)
	foreign.Targets = []string{"imap.evil.test"}
	for _, c := range []struct {
		name    string
		request policy.Request
		allowed bool
	}{
		{"exchange", exchanged, true},
		{"exchange by URL", byURL, true},
		{"exchange refused", foreign, false},
		{"refresh", request(b, policy.Refresh), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if policy.Decide(c.request).Allowed() != c.allowed {
					b.Fatalf("allowed %v, want %v", !c.allowed, c.allowed)
				}
			}
		})
	}
}

// BenchmarkAdmit measures what every request with a broad token asks.
func BenchmarkAdmit(b *testing.B) {
	r := request(b, policy.Exchange)
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Admit(r); !d.Allowed() {
			b.Fatal(d.Refusal)
		}
	}
}

// BenchmarkAlive measures what every introspection asks.
func BenchmarkAlive(b *testing.B) {
	r := presented(b)
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Alive(r); !d.Allowed() {
			b.Fatal(d.Refusal)
		}
	}
}
