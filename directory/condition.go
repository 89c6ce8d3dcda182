package directory

import (
	"fmt"
	"slices"
	"strings"

	"signpost/internal/condition"
)

// never is the condition that nothing meets.
const never = "false"

// condition reads a condition. One that is there and empty is refused: who took the
// expression away may have meant that everybody passes, or that nobody does.
func (o *object) condition() string {
	node, given := o.values["condition"]
	source := o.text("condition", "")
	if given && !o.r.broken[o.spot.field("condition").ref] && strings.TrimSpace(source) == "" {
		o.r.broken[o.spot.field("condition").ref] = true
		o.r.problem(at(node), "leave condition out if everybody passes; say false if nobody does", "condition is empty")
	}
	return source
}

// condition refuses an expression that is none.
func (c *checker) condition(s spot, source string) {
	if _, err := condition.Compile(source); err != nil {
		c.problem(s.field("condition"), `such as "staff" in claims.groups`, "condition: %v", err)
	}
}

// compileConditions compiles every condition of the tenant. One that does not compile
// is an error: it never counts as none.
func (r *Realm) compileConditions() error {
	if err := r.compileCondition(never); err != nil {
		return err
	}
	for _, s := range r.Services {
		if err := r.compileCondition(s.Condition); err != nil {
			return fmt.Errorf("condition of service %s: %w", s.ID, err)
		}
	}
	if err := r.compileCondition(r.Clients.Condition); err != nil {
		return fmt.Errorf("condition of clients: %w", err)
	}
	r.clientConditions = make(map[string][]*condition.Condition)
	if all := r.condition(r.Clients.Condition); all != nil {
		r.everyClient = []*condition.Condition{all}
	}
	for _, client := range r.FixedClients {
		if err := r.compileCondition(client.Condition); err != nil {
			return fmt.Errorf("condition of client %s: %w", client.ID, err)
		}
		if own := r.condition(client.Condition); own != nil {
			r.clientConditions[client.ID] = append(slices.Clone(r.everyClient), own)
		}
	}
	return nil
}

func (r *Realm) compileCondition(source string) error {
	if _, found := r.conditions[source]; found {
		return nil
	}
	compiled, err := condition.Compile(source)
	if err != nil {
		return err
	}
	r.conditions[source] = compiled
	return nil
}

// condition returns a compiled condition. One that was not declared is met by nothing.
func (r *Realm) condition(source string) *condition.Condition {
	if source == "" {
		return nil
	}
	if c, found := r.conditions[source]; found {
		return c
	}
	return r.conditions[never]
}

// ServiceCondition returns who has a service of the tenant; nil is everybody.
func (r *Realm) ServiceCondition(s Service) *condition.Condition { return r.condition(s.Condition) }

// ClientConditions returns what must hold for a client to get a token: what the tenant asks of
// every client, then what it asks of this one. The list must not be changed.
func (r *Realm) ClientConditions(id string) []*condition.Condition {
	if own, found := r.clientConditions[id]; found {
		return own
	}
	return r.everyClient
}

// ourClaims are those that conditions find beside the kept ones.
var ourClaims = []string{"acr", "amr", "auth_time", "address", "domain", "login"}

// conditionOf is a condition of the tenant and whose it is.
type conditionOf struct {
	spot
	source string
}

// conditionsOf returns all conditions of the tenant at s. Those without an expression hold always.
func conditionsOf(s spot, t Tenant) []conditionOf {
	list := []conditionOf{{clientPolicySpot(s), t.Clients.Condition}}
	for i, service := range t.Services {
		list = append(list, conditionOf{s.child(kindService, i, service.ID), service.Condition})
	}
	for i, client := range t.FixedClients {
		list = append(list, conditionOf{s.child(kindClient, i, client.ID), client.Condition})
	}
	return list
}

// needs returns the claims that a condition asks for. One that is no condition was refused: it
// asks for none.
func (c conditionOf) needs() []string {
	compiled, err := condition.Compile(c.source)
	if err != nil {
		return nil
	}
	return compiled.Needs()
}

// conditionClaims refuses conditions that ask for a claim which no identity provider of the tenant
// keeps: nobody would ever meet them, or know whether somebody does.
func (c *checker) conditionClaims(s spot, t Tenant) {
	known := slices.Clone(ourClaims)
	for _, p := range t.IdentityProviders {
		known = append(known, p.KeepClaims...)
	}
	for _, asking := range conditionsOf(s, t) {
		for _, name := range asking.needs() {
			if !slices.Contains(known, name) {
				c.problem(asking.field("condition"), "add it to keep_claims of an identity provider", "condition: asks for claim %q, which no identity provider of the tenant keeps", name)
			}
		}
	}
}

// loginNotFilled returns a sentence for each condition that asks for a login name where no service
// of the tenant has one: then accounts have none either.
func loginNotFilled(t Tenant) []string {
	if t.UsesLogin() {
		return nil
	}
	var warnings []string
	for _, asking := range conditionsOf(tenantSpot(0, t), t) {
		if slices.Contains(asking.needs(), "login") {
			warnings = append(warnings, asking.words+": its condition asks for claim login, which nobody has where no service fills {login} in: without it the answer is no")
		}
	}
	return warnings
}
