package policy

import (
	"cmp"
	"slices"

	"signpost/internal/condition"
	"signpost/oidc"
	"signpost/scopes"
)

// judgement is one request while it is judged. Every question is asked by ask, so that
// what Explain shows is what decided.
type judgement struct {
	Request
	no      question // the question whose answer was no
	name    string   // the target that is looked at
	service *Service // what it names; nil if that is nothing
	known   verdicts // of the conditions that were evaluated

	// For Explain alone.
	explains bool
	answers  []answer
	failing  *condition.Condition // the last condition that was evaluated
	failure  error                // why it could not be
}

// answer is what became of a question.
type answer struct {
	question  question
	yes       bool
	name      string
	service   *Service
	condition *condition.Condition
	failure   error
}

// ask notes a question and its answer, which it returns.
func (j *judgement) ask(q question, yes bool) bool {
	if j.explains {
		j.answers = append(j.answers, answer{q, yes, j.name, j.service, j.failing, j.failure})
	}
	if !yes {
		j.no = q
	}
	return yes
}

// refusal is the answer to the question that was answered with no. What was presented and
// is bad ends a sign-in in invalid_grant (RFC 6749, section 5.2) and an exchange always
// in invalid_request (RFC 8693, section 2.2.2).
func (j *judgement) refusal() Decision {
	q := refusals[j.no]
	bad := oidc.CodeInvalidGrant
	if j.Way == Exchange || j.Way == AppPassword {
		bad = oidc.CodeInvalidRequest
	}
	return Decision{Rule: q.rule, Refusal: oidc.E(cmp.Or(q.code, bad), q.text)}
}

// comes checks that the request presents what its way presents: an exchange a subject token,
// and the account page its own grant, which is of use nowhere else.
func (j *judgement) comes() bool {
	known, subject := false, false
	switch j.Way {
	case Code, Refresh, Device:
		known = true
	case Exchange:
		known, subject = true, true
	case AppPassword:
		known, subject = true, j.Grant.ID != AccountPage
	}
	own := j.Grant.ID != AccountPage || j.Way == AppPassword
	return j.ask(askWay, known && own && (j.Subject != nil) == subject)
}

// belongs checks what does not depend on the target: that everything presented
// belongs together and still lives.
func (j *judgement) belongs() bool {
	g, s := &j.Grant, j.Subject
	return j.ask(askTenant, j.Tenant != "" && j.Issuer != "" && g.Tenant == j.Tenant && (s == nil || s.Issuer == j.Issuer)) &&
		j.ask(askGrant, g.ID != "" && !g.Ended && (s == nil || s.GrantID == g.ID)) &&
		(s == nil || j.ask(askBroad, slices.Contains(s.Audience, j.Issuer))) &&
		j.ask(askClient, j.ClientID != "" && g.ClientID == j.ClientID && (s == nil || s.ClientID == j.ClientID)) &&
		j.ask(askPerson, j.Account.ID != "" && j.Account.Vouched && g.AccountID == j.Account.ID && (s == nil || s.Subject == j.Account.ID)) &&
		(s == nil || j.ask(askExpired, s.ExpiresAt.After(j.Now))) &&
		// RFC 9449, section 5: the request proves the key of everything presented.
		j.ask(askProof, (g.Key == "" || g.Key == j.Key) && (s == nil || s.Key == "" || s.Key == j.Key)) &&
		(!j.ClientBound || j.ask(askClientProof, j.Key != "")) &&
		j.clientConditions()
}

// most is the most that a token may carry: what was granted, as far as the subject has it.
func (j *judgement) most() scopes.Set {
	if j.Subject == nil {
		return j.Grant.Scope
	}
	if j.Catalogue.Cover(j.Grant.Scope, j.Subject.Scope) {
		return j.Subject.Scope // as nearly always; it saves a new set
	}
	return j.Catalogue.Narrow(j.Grant.Scope, j.Subject.Scope)
}

// ceiling is the most that this token may carry, and false if more was asked for.
func (j *judgement) ceiling() (scopes.Set, bool) {
	most := j.most()
	if j.Scope == nil {
		return most, true
	}
	return *j.Scope, j.ask(askCeiling, j.Scope.Len() > 0 && j.Catalogue.Cover(most, *j.Scope))
}

// opening is what of the ceiling a service has a use for: scopes.Catalogue.Opening without
// the new set that is not needed where both sides say the same.
func (j *judgement) opening(ceiling, service scopes.Set) scopes.Set {
	covered, narrower := j.Catalogue.Narrow(ceiling, service), j.Catalogue.Narrow(service, ceiling)
	if narrower.Len() == 0 || covered.Equal(narrower) {
		return covered
	}
	return covered.Union(narrower)
}

// target finds the service that a target names, nil if there is none for this account.
func (j *judgement) target(name string) *Service {
	j.name, j.service = name, resolve(j.Services, name, j.has)
	// A token for a service is never broad, whatever was declared (R4).
	if !j.ask(askTarget, j.service != nil && j.service.Audience != j.Issuer) {
		return nil
	}
	return j.service
}

// listed checks the audiences that were named when the person signed in.
func (j *judgement) listed(s *Service) bool {
	return len(j.Grant.Resources) == 0 || j.ask(askResource, slices.Contains(j.Grant.Resources, s.Audience))
}

// named checks the login name in a token for a service.
func (j *judgement) named(s *Service) bool {
	return j.ask(askLogin, loginAllowed(s.Username, j.Domains))
}
