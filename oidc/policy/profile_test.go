package policy_test

import (
	"slices"
	"testing"

	"signpost/oidc"
	"signpost/oidc/policy"
)

// TestR9FormOfTheBroadToken: the profile of tokens for the issuer is the tenant's choice of two.
func TestR9FormOfTheBroadToken(t *testing.T) {
	t.Parallel()
	for declared, want := range map[string][2]string{
		"":        {"rfc9068", "ES256"},
		"rfc9068": {"rfc9068", "ES256"},
		"opaque":  {"opaque", ""},
		"dovecot": {"rfc9068", "ES256"},
		"cyrus":   {"rfc9068", "ES256"},
	} {
		for _, target := range [][]string{nil, {issuer}} {
			r := request(t, policy.Code)
			r.BroadProfile, r.Targets, r.Key = declared, target, key
			d := decide(t, r)
			if got := [2]string{d.Profile, d.Algorithm}; got != want || d.Claims.Key != key {
				t.Errorf("declared %q, targets %v: %v bound to %q, want %v and bound", declared, target, got, d.Claims.Key, want)
			}
		}
		r := request(t, policy.Exchange)
		r.BroadProfile = declared
		if d := decide(t, r); d.Profile != "dovecot" {
			t.Errorf("declared %q: a narrow token in profile %s, want the service's", declared, d.Profile)
		}
	}
}

func TestR9OpaqueNarrowTokensAreNotSigned(t *testing.T) {
	t.Parallel()
	r := request(t, policy.Exchange)
	r.Services[0].Profile = oidc.ProfileOpaque
	if d := decide(t, r); d.Profile != oidc.ProfileOpaque || d.Algorithm != "" {
		t.Errorf("profile %s, algorithm %q; want opaque without one", d.Profile, d.Algorithm)
	}
}

// TestR10CyrusIsNeverBroad, whatever was declared, and its tokens are never alive: nobody
// introspects them.
func TestR10CyrusIsNeverBroad(t *testing.T) {
	t.Parallel()
	r := request(t, policy.Refresh)
	r.Services[2].Profile = oidc.ProfileCyrus
	if got := decide(t, r).Claims.Audience; !slices.Equal(got, []string{issuer}) {
		t.Errorf("audience %v, want the issuer alone", got)
	}
	r.Targets = []string{calendar}
	d := decide(t, r)
	if d.Rule != policy.AllowNarrow || d.Profile != oidc.ProfileCyrus || !slices.Equal(d.Claims.Audience, []string{calendar}) || d.Claims.Username == "" {
		t.Errorf("narrow token: %+v", d)
	}
	for _, r := range []policy.Request{presented(t), presentedBroad(t)} {
		r.Services = slices.Clone(r.Services)
		for i := range r.Services {
			r.Services[i].Profile = oidc.ProfileCyrus
		}
		if d := policy.Alive(r); d.Allowed() {
			t.Errorf("alive at Cyrus: %+v", d)
		}
	}
}

// TestR11TokensThatCannotSayTheirKey are never bound, whatever the service is declared to take.
func TestR11TokensThatCannotSayTheirKey(t *testing.T) {
	t.Parallel()
	for profile, carries := range map[string]bool{"rfc9068": true, "opaque": true, "own": true, "dovecot": false, "cyrus": false} {
		for _, way := range all {
			r := request(t, way)
			r.Services[0].Profile, r.Services[0].DPoP, r.Targets, r.Key = profile, "accepts", []string{imap}, key
			want, rule := "", policy.AllowUnbound
			if carries {
				want, rule = key, policy.AllowNarrow
			}
			if d := decide(t, r); d.Claims.Key != want || d.Rule != rule {
				t.Errorf("%s, %s accepts: bound to %q by %s, want %q by %s", way, profile, d.Claims.Key, d.Rule, want, rule)
			}
			r.ClientBound = true
			if d := policy.Decide(r); d.Allowed() != carries || !carries && d.Rule != policy.RuleUnbound {
				t.Errorf("%s, %s accepts, client wants bound tokens: %s", way, profile, d.Rule)
			}
			r.ClientBound, r.Services[0].DPoP = false, "requires"
			if d := policy.Decide(r); d.Allowed() != carries || !carries && d.Rule != policy.RuleUnbound {
				t.Errorf("%s, %s requires: %s", way, profile, d.Rule)
			}
			r.Key = ""
			if d := policy.Decide(r); d.Rule != policy.RuleBinding {
				t.Errorf("%s, %s requires, no proof: %s, want %s", way, profile, d.Rule, policy.RuleBinding)
			}
		}
		r := request(t, policy.Refresh)
		r.Services[2].Profile, r.Services[2].DPoP, r.Key = profile, "accepts", key
		if got := len(decide(t, r).Claims.Audience) > 1; got != carries {
			t.Errorf("%s accepts: in the bound broad token: %v, want %v", profile, got, carries)
		}
	}
}
