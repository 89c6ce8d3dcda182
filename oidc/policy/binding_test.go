package policy_test

import (
	"reflect"
	"slices"
	"testing"

	"signpost/oidc"
	"signpost/oidc/policy"
)

const (
	key   = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" // RFC 9449, section 6.1
	thief = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)

// bindings are the cases of R11 and of RFC 9449, section 5: who has to prove which key.
func bindings() []ruled {
	bad := oidc.CodeInvalidDPoPProof
	at := func(dpop string, edit func(r *policy.Request)) func(*policy.Request) {
		return func(r *policy.Request) {
			r.Services[0].DPoP, r.Services[0].Profile, r.Targets = dpop, "rfc9068", []string{imap}
			edit(r)
		}
	}
	proves := func(r *policy.Request) { r.Key = key }
	nothing := func(*policy.Request) {}
	return slices.Concat(
		on(all, "grant with a key, and no proof", policy.RuleBinding, bad, func(r *policy.Request) { r.Grant.Key = key }),
		on(all, "grant with a key, and another one's proof", policy.RuleBinding, bad, func(r *policy.Request) { r.Grant.Key, r.Key = key, thief }),
		on(exchange, "bound subject without a proof", policy.RuleBinding, bad, func(r *policy.Request) { r.Subject.Key = key }),
		on(exchange, "bound subject with another one's proof", policy.RuleBinding, bad, func(r *policy.Request) { r.Subject.Key, r.Key = key, thief }),
		on(all, "client that wants bound tokens, and no proof", policy.RuleBinding, bad, func(r *policy.Request) { r.ClientBound = true }),
		on(signIns, "grant with a key, and its proof", policy.AllowBroad, "", func(r *policy.Request) { r.Grant.Key, r.Key = key, key }),
		on(signIns, "client that wants bound tokens, with a proof", policy.AllowBroad, "", func(r *policy.Request) { r.ClientBound, r.Key = true, key }),

		on(all, "service that looks at no keys, with a proof", policy.AllowUnbound, "", at("none", proves)),
		on(all, "service that says nothing, with a proof", policy.AllowUnbound, "", at("", proves)),
		on(all, "service that says something unknown, with a proof", policy.AllowUnbound, "", at("sometimes", proves)),
		on(all, "service that looks at no keys, without a proof", policy.AllowNarrow, "", at("none", nothing)),
		on(all, "service that accepts, with a proof", policy.AllowNarrow, "", at("accepts", proves)),
		on(all, "service that accepts, without a proof", policy.AllowNarrow, "", at("accepts", nothing)),
		on(all, "service that requires, with a proof", policy.AllowNarrow, "", at("requires", proves)),
		on(all, "service that requires, without a proof", policy.RuleBinding, bad, at("requires", nothing)),
		on(all, "service that looks at no keys, client that wants bound tokens", policy.RuleUnbound, oidc.CodeInvalidTarget, at("none", func(r *policy.Request) {
			r.ClientBound, r.Key = true, key
		})),
		on(all, "service that accepts, client that wants bound tokens", policy.AllowNarrow, "", at("accepts", func(r *policy.Request) {
			r.ClientBound, r.Key = true, key
		})),
		on(exchange, "bound subject, service that looks at no keys", policy.AllowUnbound, "", at("none", func(r *policy.Request) {
			r.Subject.Key, r.Key = key, key
		})),
	)
}

func TestR11Binding(t *testing.T) { t.Parallel(); check(t, bindings()) }

// TestR11WhichTokensAreBound: a token is bound to the key that was proved wherever
// somebody looks at it.
func TestR11WhichTokensAreBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ dpop, proved, want string }{
		{"none", key, ""}, {"", key, ""}, {"accepts", key, key}, {"requires", key, key}, {"accepts", "", ""}, {"none", "", ""},
	} {
		for _, way := range all {
			r := request(t, way)
			r.Services[0].DPoP, r.Services[0].Profile, r.Targets, r.Key = c.dpop, "rfc9068", []string{imap}, c.proved
			if got := decide(t, r).Claims.Key; got != c.want {
				t.Errorf("%s for a service that says %q with key %q: bound to %q, want %q", way, c.dpop, c.proved, got, c.want)
			}
		}
	}
}

// TestR11BoundBroadTokenOnlyWhereItsKeyIsLookedAt: elsewhere a stolen one would be
// as good as a bearer token.
func TestR11BoundBroadTokenOnlyWhereItsKeyIsLookedAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dpop, proved string
		want         []string
	}{
		{"", "", []string{issuer, calendar}},
		{"none", "", []string{issuer, calendar}},
		{"accepts", "", []string{issuer, calendar}},
		{"requires", "", []string{issuer}},
		{"", key, []string{issuer}},
		{"none", key, []string{issuer}},
		{"accepts", key, []string{issuer, calendar}},
		{"requires", key, []string{issuer, calendar}},
	} {
		for _, way := range signIns {
			r := request(t, way)
			r.Services[2].DPoP, r.Key = c.dpop, c.proved
			if got := decide(t, r).Claims; !reflect.DeepEqual(got.Audience, c.want) || got.Key != c.proved {
				t.Errorf("%s, service says %q, key %q: audience %v bound to %q, want %v", way, c.dpop, c.proved, got.Audience, got.Key, c.want)
			}
		}
	}
}

// TestR11AdmitAsksForTheKey: a bound token opens the issuer's own resources with its key alone.
func TestR11AdmitAsksForTheKey(t *testing.T) {
	t.Parallel()
	for proved, rule := range map[string]string{"": policy.RuleBinding, thief: policy.RuleBinding, key: policy.AllowBroad} {
		r := request(t, policy.Exchange)
		r.Subject.Key, r.Key = key, proved
		if d := policy.Admit(r); d.Rule != rule || (d.Refusal == nil) != (rule == policy.AllowBroad) {
			t.Errorf("key %q: rule %q, refusal %v; want %q", proved, d.Rule, d.Refusal, rule)
		}
	}
}
