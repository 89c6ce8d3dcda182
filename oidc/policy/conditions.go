package policy

import "signpost/internal/condition"

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

// evaluate evaluates a condition about a service, or about none. What cannot be found
// out is a no.
func (r *Request) evaluate(c *condition.Condition, s *Service) (bool, error) {
	yes, err := c.Holds(condition.Facts{
		Now: r.Now, Claims: r.Claims, ClientID: r.ClientID, ClientKind: r.ClientKind,
		ServiceID: s.ID, ServiceProtocol: s.Protocol, ServiceAudience: s.Audience,
	})
	return yes && err == nil, err
}

// Has reports whether the conditions of all services with an audience hold of the person, the
// sign-in and the program of a request. One whose do not is left out of the
// configuration, as it is refused in an exchange.
func Has(r *Request, audience string) bool {
	for i := range r.Services {
		s := &r.Services[i]
		if s.Condition == nil || s.Audience != audience {
			continue
		}
		if yes, _ := r.evaluate(s.Condition, s); !yes {
			return false // why is for Explain
		}
	}
	return true
}
