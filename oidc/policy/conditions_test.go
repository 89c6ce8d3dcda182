package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"signpost/internal/condition"
	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

func compile(t testing.TB, source string) *condition.Condition {
	t.Helper()
	c, err := condition.Compile(source)
	if err != nil {
		t.Fatalf("condition %s: %v", source, err)
	}
	return c
}

// demands ties the IMAP server, which everybody asks for, or the clients to a condition.
func demands(t testing.TB, source string, clients bool) func(r *policy.Request) {
	c := compile(t, source)
	return func(r *policy.Request) {
		r.Targets = []string{imap}
		if clients {
			r.ClientConditions = []*condition.Condition{nil, compile(t, `client.id != "nobody"`), c}
			return
		}
		r.Services[0].ID, r.Services[0].Protocol, r.Services[0].Condition = "mail", "imap", c
	}
}

// conditions are the cases of what tenants demand of people, sign-ins and programs.
func conditions(t testing.TB) []ruled {
	t.Helper()
	grant, target := oidc.CodeInvalidGrant, oidc.CodeInvalidTarget
	client := func(source string) func(*policy.Request) { return demands(t, source, true) }
	service := func(source string) func(*policy.Request) { return demands(t, source, false) }
	return slices.Concat(
		on(all, "client: holds", policy.AllowNarrow, "", client(`"staff" in claims.groups && client.id == "open" && client.kind == "open"`)),
		on(all, "client: does not hold", policy.RuleClientCondition, grant, client(`"guests" in claims.groups`)),
		on(all, "client: a claim is missing", policy.RuleClientCondition, grant, client(`claims.department == "sales"`)),
		on(all, "client: a claim is missing, and its contrary", policy.RuleClientCondition, grant, client(`claims.department != "sales"`)),
		on(all, "client: a claim of another type", policy.RuleClientCondition, grant, client(`claims.groups > 5`)),
		on(all, "client: there is no service to ask of", policy.RuleClientCondition, grant, client(`service.audience != ""`)),
		on(all, "client: the time", policy.AllowNarrow, "", client(`now > timestamp("2026-11-23T12:00:00Z") && now < timestamp("2026-11-23T12:00:01Z")`)),
		on(signIns, "client: a broad token", policy.RuleClientCondition, grant, func(r *policy.Request) {
			client(`false`)(r)
			r.Targets = nil
		}),
		on(all, "client: who lacks the key learns nothing of it", policy.RuleBinding, oidc.CodeInvalidDPoPProof, func(r *policy.Request) {
			client(`false`)(r)
			r.Grant.Key = key
		}),

		on(all, "service: holds", policy.AllowNarrow, "", service(`"staff" in claims.groups && service.id == "mail" && service.protocol == "imap" && service.audience == "imap.example.test"`)),
		on(all, "service: does not hold", policy.RuleCondition, target, service(`"guests" in claims.groups`)),
		on(all, "service: a claim is missing", policy.RuleCondition, target, service(`claims.department == "sales"`)),
		on(all, "service: the client", policy.RuleCondition, target, service(`client.kind != "open"`)),
		on(all, "service: a scope that does not open it tells nothing either", policy.RuleCondition, target, func(r *policy.Request) {
			service(`false`)(r)
			r.Grant.Scope = scopes.Of("openid")
		}),
		on(all, "service: that of another one with its audience", policy.RuleCondition, target, func(r *policy.Request) {
			service(`true`)(r)
			r.Services[1].Audience, r.Services[1].Condition = imap, compile(t, `service.protocol == "sieve"`)
		}),
		on(all, "service: that of another one", policy.AllowNarrow, "", func(r *policy.Request) {
			service(`true`)(r)
			r.Services[1].Condition = compile(t, `false`)
		}),
		on(signIns, "service: a broad token", policy.AllowBroad, "", func(r *policy.Request) {
			service(`false`)(r)
			r.Targets = nil
		}),
	)
}

func TestConditions(t *testing.T) { t.Parallel(); check(t, conditions(t)) }

// TestAConditionTellsNothing: a service whose condition does not hold is answered like one
// that there is not, and a client's like a grant that is not valid.
func TestAConditionTellsNothing(t *testing.T) {
	t.Parallel()
	for _, way := range all {
		forbidden, unknown, unmet, ended := request(t, way), request(t, way), request(t, way), request(t, way)
		demands(t, `false`, false)(&forbidden)
		unknown.Targets = []string{"nothing.example.test"}
		demands(t, `false`, true)(&unmet)
		ended.Grant.Ended = true
		if a, b := policy.Decide(forbidden).Refusal, policy.Decide(unknown).Refusal; *a != *b {
			t.Errorf("%s: forbidden is answered %v, unknown %v", way, a, b)
		}
		if a, b := policy.Decide(unmet).Refusal, policy.Decide(ended).Refusal; *a != *b {
			t.Errorf("%s: a condition of the client is answered %v, an ended grant %v", way, a, b)
		}
	}
}

func TestR5ConditionOfAServiceInBroad(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]string{
		``:                             {issuer, calendar},
		`"staff" in claims.groups`:     {issuer, calendar},
		`"guests" in claims.groups`:    {issuer},
		`claims.department == "sales"`: {issuer},
	} {
		r := request(t, policy.Refresh)
		r.Services[2].Condition = compile(t, source)
		if got := decide(t, r).Claims.Audience; !slices.Equal(got, want) {
			t.Errorf("condition %q: audience %v, want %v", source, got, want)
		}
	}
	r := request(t, policy.Refresh)
	twin := r.Services[2]
	twin.Condition = compile(t, `false`)
	r.Services = append(r.Services, twin)
	if got := decide(t, r).Claims.Audience; !slices.Equal(got, []string{issuer}) {
		t.Errorf("audience %v, want the issuer alone: the calendar's audience has a condition that does not hold", got)
	}
}

// TestR26ConditionsCountToday: what was made before the condition did not hold counts no more.
func TestR26ConditionsCountToday(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(r *policy.Request){
		policy.RuleClientCondition: func(r *policy.Request) {
			r.ClientConditions = []*condition.Condition{compile(t, `"guests" in claims.groups`)}
		},
		policy.RuleTarget: func(r *policy.Request) {
			for i := range r.Services {
				r.Services[i].Condition = compile(t, `"guests" in claims.groups`)
			}
		},
	} {
		for _, r := range []policy.Request{presented(t), presentedBroad(t)} {
			r.Services = slices.Clone(r.Services)
			edit(&r)
			if d := policy.Alive(r); d.Allowed() || d.Rule != name {
				t.Errorf("alive by %s, want refused by %s", d.Rule, name)
			}
			r.Claims = map[string]any{"groups": []any{"guests"}}
			if d := policy.Alive(r); !d.Allowed() {
				t.Errorf("refused by %s although the condition holds", d.Rule)
			}
		}
	}
	r := request(t, policy.Exchange)
	r.ClientConditions = []*condition.Condition{compile(t, `false`)}
	if d := policy.Admit(r); d.Allowed() || d.Rule != policy.RuleClientCondition || oidc.CodeOf(d.Refusal) != oidc.CodeInvalidRequest {
		t.Errorf("admitted by %s, %v; want %s", d.Rule, d.Refusal, policy.RuleClientCondition)
	}
}

// TestWithoutIsWhatExchangeSays: the configuration shows what an exchange does not refuse for a condition.
func TestWithoutIsWhatExchangeSays(t *testing.T) {
	t.Parallel()
	for _, source := range []string{``, `true`, `false`, `claims.department == "sales"`, `"staff" in claims.groups`} {
		r := request(t, policy.Exchange)
		r.Services[0].Condition = compile(t, source)
		without := policy.Without(&r)
		if got, want := !without[imap], policy.Decide(r).Allowed(); got != want {
			t.Errorf("condition %q: has %v, exchange allowed %v", source, got, want)
		}
		if without[submission] {
			t.Errorf("condition %q of another service takes this one away", source)
		}
		// Whoever has a token of an audience has all of its services.
		twin := r.Services[0]
		twin.ID, twin.Condition = "twin", compile(t, `service.id != "twin"`)
		r.Services = append(slices.Clone(r.Services), twin)
		if !policy.Without(&r)[imap] || policy.Decide(r).Allowed() {
			t.Errorf("condition %q: has it with a twin whose condition does not hold", source)
		}
	}
}

// TestConditionsAreEvaluatedOnce within a request, however many services have them: allocations tell,
// of which each evaluation needs some.
//
//nolint:paralleltest // allocations of tests that run at the same time would be counted
func TestConditionsAreEvaluatedOnce(t *testing.T) {
	const services = 40
	claims := map[string]any{"groups": []any{"a", "b", "c", "d", "e", "f"}}
	expression := func(n int) string {
		return fmt.Sprintf(`claims.groups.exists(g, g.startsWith("f")) && size(claims.groups) > 0 || %d == 1`, n)
	}
	world := func(n int, same bool) policy.Request {
		r := request(t, policy.Exchange)
		r.Claims, r.Services = claims, nil
		one := compile(t, expression(0))
		for i := range n {
			s := policy.Service{ID: fmt.Sprint(i), Audience: fmt.Sprintf("a%d.example.test", i), Hosts: []string{"mail.example.test"}, Condition: one}
			if same {
				s.Audience = "a.example.test"
			} else {
				s.Condition = compile(t, expression(i))
			}
			r.Services = append(r.Services, s)
		}
		return r
	}
	for name, what := range map[string]func(r policy.Request){
		"Without": func(r policy.Request) { policy.Without(&r) },
		"Resolve": func(r policy.Request) { r.Resolve("mail.example.test") },
		"Decide": func(r policy.Request) {
			r.Targets = []string{r.Services[0].Audience}
			policy.Decide(r)
		},
	} {
		cost := func(n int, same bool) float64 {
			r := world(n, same)
			return testing.AllocsPerRun(20, func() { what(r) })
		}
		once := cost(1, false) + 8 // for what is remembered
		if got := cost(services, true); got > 2*once {
			t.Errorf("%s: %d services with one condition cost %v allocations, want about %v", name, services, got, once)
		}
		if got := cost(services, false); got > 2*services*once {
			t.Errorf("%s: %d conditions cost %v allocations, want about %v", name, services, got, services*once)
		}
	}
}

// TestConditionsThatAskForTheServiceAreAskedOfEach: what one service's condition came to says nothing of
// another's, though the tenant declared the same words.
func TestConditionsThatAskForTheServiceAreAskedOfEach(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`service.audience == "a.example.test"`, `service.id == "a"`, `service . protocol == "imap"`} {
		one := compile(t, source)
		a := policy.Service{ID: "a", Protocol: "imap", Audience: "a.example.test", Condition: one}
		b := policy.Service{ID: "b", Protocol: "smtp", Audience: "b.example.test", Condition: one}
		for _, services := range [][]policy.Service{{a, b}, {b, a}} {
			r := request(t, policy.Exchange)
			r.Services = services
			if without := policy.Without(&r); without[a.Audience] || !without[b.Audience] {
				t.Errorf("%s: without %v, want %s alone", source, without, b.Audience)
			}
		}
	}
}
