package policy

import (
	"fmt"
	"strings"

	"signpost/internal/condition"
)

// Explanation is a Decision with how it came about.
type Explanation struct {
	Decision Decision
	Steps    []Step // in the order in which they were asked; a refusal is the last of them
	Change   string // what would have to change so that this rule does not refuse; empty if it is allowed
}

// Step is one thing that was asked.
type Step struct {
	Rule  string
	Holds bool
	Why   string // what was found, in words for the operator: with declared names, and no secrets
}

// Explain decides as Decide does and says why. It is for operators: what it says is more
// than who asks for a token may know.
func Explain(r Request) Explanation {
	j := judgement{Request: r, explains: true}
	e := Explanation{Decision: j.decide()}
	for _, a := range j.answers {
		w := j.words(a)
		step := Step{Rule: refusals[a.question].rule, Holds: a.yes, Why: w.yes}
		if !a.yes {
			step.Why, e.Change = w.no, w.change
		}
		e.Steps = append(e.Steps, step)
	}
	return e
}

// words are what there is to say of a question.
type words struct{ yes, no, change string }

// words says what an answer means.
func (j *judgement) words(a answer) words {
	if a.question < askOneTarget {
		return j.presentedWords(a)
	}
	return j.targetWords(a)
}

// presentedWords is about what does not depend on the target.
func (j *judgement) presentedWords(a answer) words {
	switch a.question {
	case askWay:
		return words{
			fmt.Sprintf("it is asked for by %s, with what belongs to that", j.Way),
			fmt.Sprintf("%q is no way of making a token, or something is presented that does not belong to it", string(j.Way)),
			"ask in a way that there is: with a subject token in an exchange, and without one elsewhere",
		}
	case askTenant:
		return words{
			"everything presented is of tenant " + j.Tenant,
			fmt.Sprintf("what is presented is not of tenant %q and its issuer", j.Tenant),
			"sign in at this tenant and present what it issued",
		}
	case askGrant:
		return words{"the sign-in lives", "the sign-in has ended, or the token is of another one", "the person signs in again with this client"}
	case askBroad:
		return words{
			"the subject token is broad: it is for the issuer",
			"the subject token is not broad: it is for " + list(j.Subject.Audience, "nobody"),
			"exchange the broad token that the narrow one was made from",
		}
	case askClient:
		return words{
			fmt.Sprintf("client %s asks, with which the person signed in", j.ClientID),
			fmt.Sprintf("client %q asks, and the person signed in with another", j.ClientID),
			"the person signs in with the client that asks",
		}
	case askPerson:
		return words{
			"it is about the account that signed in, for which an identity provider speaks",
			j.personAmiss(),
			"an identity provider of the tenant is declared with the account's issuer and the domain of its address, or the account signs in itself",
		}
	case askExpired:
		return words{"the subject token has not expired", "the subject token has expired", "the client refreshes it"}
	case askProof:
		return words{
			"no key is missing that anything presented is bound to",
			"what is presented is bound to a key that was not proved",
			"the client proves possession of that key (DPoP)",
		}
	case askClientProof:
		return words{
			"the client registered dpop_bound_access_tokens and proved a key",
			"the client registered dpop_bound_access_tokens and proved no key",
			"the client proves possession of a key (DPoP)",
		}
	case askClientCondition:
		return conditionWords("of client "+j.ClientID, a)
	case askFresh:
		return words{
			"the person signed in within the last " + minutes(freshFor),
			j.staleness(),
			"the person signs in again at the identity provider, which says when (auth_time), and the program asks within " + minutes(freshFor),
		}
	case askCeiling:
		return words{
			"the scope that is asked for lies within what was granted",
			fmt.Sprintf("the scope %q goes beyond what was granted: %q", j.Scope, j.most()),
			"ask for less, or the person signs in again and allows more",
		}
	}
	return j.passwordWords(a)
}

// passwordWords is about who makes app passwords, and about grants of nothing.
func (j *judgement) passwordWords(a answer) words {
	switch a.question {
	case askPasswordUnbound:
		return words{"", "the client registered dpop_bound_access_tokens, and a password is bound to no key", "ask with a client that did not register dpop_bound_access_tokens"}
	case askIssuerAlone:
		return words{
			"the subject token is for the issuer alone",
			"the subject token is for services too: " + list(j.Subject.Audience, "nobody"),
			"the client asks for a token with resource=" + j.Issuer + " and exchanges that",
		}
	case askPasswordScope:
		return words{
			"app passwords were allowed",
			"app passwords were not allowed: the scope " + passwordScope + " is not in what is presented",
			"the client asks for that scope and the person allows it",
		}
	}
	return words{"something was granted", "nothing was granted", "the person signs in again and allows something"}
}

// targetWords is about one target.
func (j *judgement) targetWords(a answer) words {
	s := Service{}
	if a.service != nil {
		s = *a.service
	}
	name := serviceName(s)
	switch a.question {
	case askOneTarget:
		return words{"one target is named", fmt.Sprintf("%d targets are named", len(j.Targets)), "name exactly one target"}
	case askSomeTarget:
		return words{"services are named", "no service is named", "name the services of the password"}
	case askTarget:
		return words{
			"the target is " + name,
			fmt.Sprintf("the target %q names no service", a.name),
			"declare a service with this audience, or name one of: " + list(j.audiences(), "there is none"),
		}
	case askResource:
		return words{
			name + " is among what the client named when the person signed in",
			fmt.Sprintf("%s is not among what the client named when the person signed in: %s", name, list(j.Grant.Resources, "nothing")),
			"the person signs in again, and the client names this service too, or none",
		}
	case askCondition:
		return conditionWords("of "+name, a)
	case askTakesPasswords:
		return words{
			name + " takes app passwords",
			name + " takes no app passwords",
			"declare it with app_passwords: true, and not with dpop: requires",
		}
	case askOpens:
		return words{
			"the scope opens " + name,
			fmt.Sprintf("nothing of the scope opens %s, which needs one of: %s", name, s.Scopes),
			"the client asks for such a scope and the person allows it",
		}
	case askUseful:
		return words{
			"the service has a use for every word that is asked for",
			fmt.Sprintf("the service has no use for a word of %q", j.Scope),
			"leave scope out, or ask for less",
		}
	case askLogin:
		return words{
			"the login name there is " + s.Username,
			j.loginAmiss(s, name),
			"give the account an address or login name from which the service's username template makes one in a verified domain",
		}
	case askOneLogin:
		return words{
			"the login name is the same at all of them",
			"the login name at " + name + " is another than at the services before it",
			"make a password for each login name",
		}
	case askBinding:
		return words{
			name + " demands bound tokens, and a key was proved",
			name + " demands bound tokens, and no key was proved",
			"the client proves possession of a key (DPoP)",
		}
	}
	return words{ // askUnbound
		name + " does not look at keys, and the client takes a bearer token",
		name + " does not look at keys or its tokens cannot carry one (dpop, profile), and the client or the service takes bound tokens only",
		"declare the service with dpop: accepts and a profile that carries keys if it looks at them, or ask with a client that did not register dpop_bound_access_tokens",
	}
}

func conditionWords(whose string, a answer) words {
	source := a.condition.String()
	no := fmt.Sprintf("the condition %s does not hold: %s", whose, source)
	if a.failure != nil {
		no += " (" + strings.TrimPrefix(a.failure.Error(), condition.ErrUndecided.Error()+": ") + ")"
	}
	return words{
		fmt.Sprintf("the condition %s holds: %s", whose, source),
		no,
		fmt.Sprintf("the person and the sign-in meet the condition %s, or the tenant declares another one", whose),
	}
}
