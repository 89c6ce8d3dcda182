// Package oracle says, slowly and in the plainest way, whether something that was made lies
// within what was presented for it: scope, audience, person, client, tenant, end of
// validity and the key it is bound to (RFC 8693, section 2.1; RFC 9449, section 5). It knows
// a world by its declaration and tokens by their claims, and imports nothing of ours: it
// cannot share a mistake with the code that it judges. Only tests import it.
package oracle

import (
	"fmt"
	"slices"
	"time"
)

// World is everything that was declared, by issuer URL.
type World map[string]Tenant

// Tenant is an organisation.
type Tenant struct {
	Includes map[string][]string // which scope words a word includes directly
	Services []Service
	People   map[string]Person // by stable subject
	Clients  map[string]Client // by id
}

// Service is something that tokens are for.
type Service struct {
	Audience     string
	Hosts        []string // where it is reached; none for what is reached by URL
	Scopes       []string
	Lifetime     time.Duration // of exchanged tokens
	DPoP         string        // "none", "accepts" or "requires"
	InBroad      bool
	AppPasswords bool
	Groups       []string // who has it: people in one of these groups; empty is everybody
	Clients      []string // by what programs; empty is by all
}

// Person is somebody with an account.
type Person struct {
	Names  []string // every name that may stand for this person somewhere
	Groups []string
}

// Client is a program.
type Client struct {
	Bound  bool     // it registered that all its tokens are bound to a key
	Groups []string // who may use it: people in one of these groups; empty is everybody
}

// Kinds of artefacts.
const (
	Grant       = "grant"
	Token       = "token"
	AppPassword = "app password"
)

// Artefact is a sign-in or something that was made from one. Of what a token does not
// say, the field is empty.
type Artefact struct {
	Kind     string
	Issuer   string
	Person   string
	Client   string
	Grant    string // the sign-in that it comes from, or is
	Audience []string
	Scope    []string
	Ends     time.Time // zero if it has no end of its own
	Key      string    // to which it is bound
	Name     string    // login name
	Ended    bool      // a sign-in that somebody ended
}

// Ways of making something.
const (
	ByGrant       = "grant"        // by code, device code or refresh token
	ByExchange    = "exchange"     // by token exchange, alone or in a bundle
	ByAppPassword = "app-password" // the same, for a password
)

// Step is one thing that was made.
type Step struct {
	Way     string
	Now     time.Time
	Client  string   // who asked
	Key     string   // thumbprint of the key that the request proved; empty for none
	Asked   []string // scope that was asked for; nil if the request did not say
	Targets []string // audiences and resources of the request
	Grant   Artefact // the sign-in behind it
	From    Artefact // the token presented; the zero one with ByGrant
	Made    Artefact

	Said Answer
}

// Answer is what the answer said of what was made.
type Answer struct {
	Scope     []string
	TokenType string
	Lives     time.Duration
}

// Faults says in what way a step widened something, or told an untruth about it; one
// sentence for each fault, none if all is well.
func (w World) Faults(s Step) []string {
	tenant, known := w[s.Made.Issuer]
	if !known {
		return []string{fmt.Sprintf("made by an issuer that nobody declared: %q", s.Made.Issuer)}
	}
	j := &judge{Step: s, tenant: tenant, presented: s.From}
	if s.Way == ByGrant {
		j.presented = s.Grant
	}
	j.origin()
	j.scope()
	j.audience()
	j.name()
	if s.Way != ByAppPassword { // app passwords are excepted by name
		j.end()
		j.key()
	}
	j.answer()
	return j.faults
}

// judge collects what is wrong with one step.
type judge struct {
	Step
	tenant    Tenant
	presented Artefact // the token, or the sign-in where there is none
	faults    []string
}

func (j *judge) must(ok bool, fault string, details ...any) {
	if !ok {
		j.faults = append(j.faults, fmt.Sprintf(fault, details...))
	}
}

// origin: tenant, sign-in, person and client are those of what was presented, which still lived.
func (j *judge) origin() {
	for what, a := range map[string]Artefact{"sign-in": j.Grant, "token": j.presented} {
		j.must(a.Issuer == j.Made.Issuer, "another tenant than the %s's: %q, not %q", what, j.Made.Issuer, a.Issuer)
		j.must(a.Grant == j.Made.Grant && a.Grant != "", "another sign-in than the %s's: %q, not %q", what, j.Made.Grant, a.Grant)
		j.must(a.Person == j.Made.Person, "another person than the %s's: %q, not %q", what, j.Made.Person, a.Person)
		j.must(j.Made.Client == "" || a.Client == j.Made.Client, "another client than the %s's: %q, not %q", what, j.Made.Client, a.Client)
		j.must(a.Client == j.Client, "asked for by another client than the %s's: %q, not %q", what, j.Client, a.Client)
		j.must(!a.Ended, "made from a %s that had ended", what)
		j.must(a.Ends.IsZero() || j.Now.Before(a.Ends), "made from a %s that was over", what)
	}
	person, someone := j.tenant.People[j.Made.Person]
	client, something := j.tenant.Clients[j.Client]
	j.must(someone, "for a person who does not exist")
	j.must(something, "for a client that does not exist")
	j.must(person.among(client.Groups), "by the program %s, which is not for this person", j.Client)
}

// among reports whether the person is in one of the groups, or there are none to be in.
func (p Person) among(groups []string) bool {
	return len(groups) == 0 || slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// scope: nothing that was not granted, not carried, or not asked for.
func (j *judge) scope() {
	j.must(len(j.Made.Scope) > 0, "it carries no scope")
	j.must(j.tenant.within(j.Made.Scope, j.Grant.Scope), "scope %v beyond the sign-in's %v", j.Made.Scope, j.Grant.Scope)
	j.must(j.tenant.within(j.Made.Scope, j.presented.Scope), "scope %v beyond the presented %v", j.Made.Scope, j.presented.Scope)
	j.must(j.Asked == nil || j.tenant.within(j.Made.Scope, j.Asked), "scope %v beyond what was asked for, %v", j.Made.Scope, j.Asked)
}

// end: not later than what was presented, and not longer than such tokens live.
func (j *judge) end() {
	longest := time.Hour
	if j.Way == ByExchange && len(j.Made.Audience) == 1 {
		longest = j.service(j.Made.Audience[0]).Lifetime
	}
	j.must(!j.Made.Ends.IsZero(), "it never ends")
	j.must(!j.Made.Ends.After(j.Now.Add(longest)), "it lives for %v, longer than %v", j.Made.Ends.Sub(j.Now), longest)
	j.must(j.presented.Ends.IsZero() || !j.Made.Ends.After(j.presented.Ends), "it ends at %v, after the presented one at %v", j.Made.Ends, j.presented.Ends)
}

// key: who presents something bound proves its key, and what is made keeps it, unless the
// service takes bearer tokens only and the client does not mind.
func (j *judge) key() {
	for what, a := range map[string]Artefact{"sign-in": j.Grant, "token": j.presented} {
		j.must(a.Key == "" || a.Key == j.Key, "made without the key that the %s is bound to", what)
	}
	j.must(j.Made.Key == "" || j.Made.Key == j.Key, "bound to a key that nobody proved")
	bound := j.tenant.Clients[j.Client].Bound
	j.must(!bound || j.Made.Key != "", "a bearer token for a client that takes bound ones only")
	broad := slices.Contains(j.Made.Audience, j.Made.Issuer)
	j.must(!broad || j.Made.Key == j.Key, "a broad token lost the key that was proved")
	for _, audience := range j.Made.Audience {
		if audience == j.Made.Issuer {
			continue
		}
		looks := j.service(audience).DPoP
		j.must(looks != "requires" || j.Made.Key != "", "a bearer token for %s, which takes bound ones only", audience)
		j.must(looks != "accepts" || j.Made.Key == j.Key, "a token for %s, which looks at keys, lost its key", audience)
		j.must(looks == "accepts" || looks == "requires" || j.Made.Key == "", "a bound token for %s, which would take it from anybody", audience)
	}
}

// name: a login name of this person, and nobody else's.
func (j *judge) name() {
	if j.Made.Name == "" {
		j.must(slices.Contains(j.Made.Audience, j.Made.Issuer), "no login name in a token for a service")
		return
	}
	j.must(slices.Contains(j.tenant.People[j.Made.Person].Names, j.Made.Name), "the login name %q, which is not the person's", j.Made.Name)
}

// answer: what was said is what was made.
func (j *judge) answer() {
	j.must(sameWords(j.Said.Scope, j.Made.Scope), "the answer says scope %v of one with %v", j.Said.Scope, j.Made.Scope)
	want := "Bearer"
	switch {
	case j.Made.Kind == AppPassword:
		want = "N_A"
	case j.Made.Key != "":
		want = "DPoP"
	}
	j.must(j.Said.TokenType == want, "the answer calls it %q, it is %q", j.Said.TokenType, want)
	if j.Way != ByAppPassword {
		j.must(j.Said.Lives > 0 && !j.Now.Add(j.Said.Lives).After(j.Made.Ends.Add(time.Second)), "the answer says that it lives for %v, it ends at %v", j.Said.Lives, j.Made.Ends)
	}
}
