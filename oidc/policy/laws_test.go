package policy_test

import (
	"slices"
	"sync"
	"time"

	"signpost/internal/condition"
	"signpost/oidc/policy"
)

// law is a condition in two forms: as it is declared, and as the oracle understands it.
type law struct {
	source string
	holds  func(r policy.Request, s policy.Service) bool
}

// laws are the conditions of random worlds. Those that ask for a claim that is not there
// do not hold, nor does their contrary.
var laws = []law{
	{`client.id == "open"`, func(r policy.Request, _ policy.Service) bool { return r.ClientID == "open" }},
	{`client.kind == "open"`, func(r policy.Request, _ policy.Service) bool { return r.ClientKind == "open" }},
	{`"staff" in claims.groups`, func(r policy.Request, _ policy.Service) bool {
		groups, _ := r.Claims["groups"].([]any)
		return slices.Contains(groups, any("staff"))
	}},
	{`claims.acr == "high"`, func(r policy.Request, _ policy.Service) bool { return r.Claims["acr"] == "high" }},
	{`claims.acr != "high"`, func(r policy.Request, _ policy.Service) bool {
		acr, text := r.Claims["acr"].(string) // what is of another kind cannot be compared
		return text && acr != "high"
	}},
	{`service.protocol != "imap" || service.id == "first"`, func(_ policy.Request, s policy.Service) bool {
		return s.Protocol != "imap" || s.ID == "first"
	}},
	{`now < timestamp("2026-01-01T00:00:00.9Z")`, func(r policy.Request, _ policy.Service) bool {
		return r.Now.Before(time.Date(2026, 1, 1, 0, 0, 0, 900_000_000, time.UTC))
	}},
}

// compiledLaws are the laws as policy has them, in the same order.
var compiledLaws = sync.OnceValue(func() []*condition.Condition {
	var all []*condition.Condition
	for _, l := range laws {
		c, err := condition.Compile(l.source)
		if err != nil {
			panic(err)
		}
		all = append(all, c)
	}
	return all
})

// known returns what the oracle makes of a condition.
func known(c *condition.Condition) func(policy.Request, policy.Service) bool {
	if c == nil {
		return func(policy.Request, policy.Service) bool { return true }
	}
	return laws[slices.IndexFunc(laws, func(l law) bool { return l.source == c.String() })].holds
}
