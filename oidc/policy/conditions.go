package policy

import (
	"strings"

	"signpost/internal/condition"
)

// clientConditions come last of what does not depend on the target: they cost most, and who
// stole a token without its key learns nothing by them.
func (j *judgement) clientConditions() bool {
	for _, c := range j.ClientConditions {
		if c != nil && !j.ask(askClientCondition, j.holds(c, &Service{})) {
			return false
		}
	}
	return true
}

// meets checks the conditions of the services with one audience: whoever has the
// token has all of them.
func (j *judgement) meets(audience string) bool {
	for i := range j.Services {
		s := &j.Services[i]
		if s.Condition != nil && s.Audience == audience && !j.ask(askCondition, j.holds(s.Condition, s)) {
			return false
		}
	}
	return true
}

// holds evaluates a condition and keeps for Explain what came of it.
func (j *judgement) holds(c *condition.Condition, s *Service) bool {
	yes, err := j.evaluate(c, s)
	j.failing, j.failure = c, err
	return yes
}

// verdicts are what became of the conditions of one request, so that none is evaluated twice:
// one may be that of hundreds of services, and may take milliseconds.
type verdicts map[*condition.Condition]verdict

type verdict struct {
	yes bool
	err error // why it could not be evaluated
}

// evaluate evaluates a condition about a service, or about none. What cannot be found
// out is a no.
func (j *judgement) evaluate(c *condition.Condition, s *Service) (bool, error) {
	if v, found := j.known[c]; found {
		return v.yes, v.err
	}
	yes, err := c.Holds(condition.Facts{
		Now: j.Now, Claims: j.Claims, ClientID: j.ClientID, ClientKind: j.ClientKind,
		ServiceID: s.ID, ServiceProtocol: s.Protocol, ServiceAudience: s.Audience,
	})
	yes = yes && err == nil
	if !asksForService(c) {
		if j.known == nil {
			j.known = verdicts{}
		}
		j.known[c] = verdict{yes, err}
	}
	return yes, err
}

// asksForService reports whether a condition may say something else of another service: its facts have
// no other names than this one.
func asksForService(c *condition.Condition) bool { return strings.Contains(c.String(), "service") }

// has reports whether the conditions of all services with an audience hold.
func (j *judgement) has(audience string) bool {
	for i := range j.Services {
		s := &j.Services[i]
		if s.Condition == nil || s.Audience != audience {
			continue
		}
		if yes, _ := j.evaluate(s.Condition, s); !yes {
			return false // why is for Explain
		}
	}
	return true
}

// Without returns the audiences of which a condition does not hold of the person, the sign-in and
// the program of a request; nil if there are none. Their services are left out of the
// configuration, as they are refused in an exchange.
func Without(r *Request) map[string]bool {
	j := judgement{Request: *r}
	var without map[string]bool
	for i := range j.Services {
		s := &j.Services[i]
		if s.Condition == nil || without[s.Audience] {
			continue
		}
		if yes, _ := j.evaluate(s.Condition, s); yes {
			continue
		}
		if without == nil {
			without = map[string]bool{}
		}
		without[s.Audience] = true
	}
	return without
}
