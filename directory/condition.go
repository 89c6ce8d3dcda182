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

// unknownClaims returns a sentence for each condition that asks for a claim which nobody keeps.
func unknownClaims(t Tenant) []string {
	known := slices.Clone(ourClaims)
	for _, p := range t.IdentityProviders {
		known = append(known, p.KeepClaims...)
	}
	var warnings []string
	look := func(whose, source string) {
		c, err := condition.Compile(source)
		if err != nil {
			return // it was refused
		}
		for _, name := range c.Needs() {
			if !slices.Contains(known, name) {
				warnings = append(warnings, fmt.Sprintf("tenant %s, %s: its condition asks for claim %s, which is in keep_claims of no identity provider: without it the answer is no", t.Name, whose, name))
			}
		}
	}
	for _, s := range t.Services {
		look("service "+s.ID, s.Condition)
	}
	look("clients", t.Clients.Condition)
	for _, client := range t.FixedClients {
		look("client "+client.ID, client.Condition)
	}
	return warnings
}
