package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/oidc"
)

const passwordScope = oidc.ScopeAppPassword

// personAmiss says what is wrong with the account.
func (j *judgement) personAmiss() string {
	if j.Account.ID != "" && j.Grant.AccountID == j.Account.ID && !j.Account.Vouched {
		return "no identity provider of the tenant speaks for the account any more"
	}
	return "what is presented is about another account"
}

// staleness says why a sign-in is not fresh.
func (j *judgement) staleness() string {
	switch {
	case j.AuthTime.IsZero():
		return "the identity provider did not say when the person signed in"
	case j.AuthTime.After(j.Now):
		return "the identity provider says that the person signed in in the future"
	}
	return fmt.Sprintf("the person signed in %s ago, and %s is the most", j.Now.Sub(j.AuthTime).Round(time.Second), minutes(freshFor))
}

// loginAmiss says what is wrong with a login name.
func (j *judgement) loginAmiss(s Service, name string) string {
	if s.Username == "" {
		return "the account has no login name at " + name
	}
	return fmt.Sprintf("the login name at %s lies in no verified domain of the tenant: %s", name, list(j.Domains, "there is none"))
}

// serviceName is how operators know a service: by its id, or else by its audience.
func serviceName(s Service) string {
	if s.ID == "" || s.ID == s.Audience {
		return "service " + s.Audience
	}
	return fmt.Sprintf("service %s (%s)", s.ID, s.Audience)
}

// audiences are those of all services, each once.
func (j *judgement) audiences() []string {
	var all []string
	for _, s := range j.Services {
		if !slices.Contains(all, s.Audience) {
			all = append(all, s.Audience)
		}
	}
	return all
}

// list joins names, or says that there are none.
func list(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

func minutes(d time.Duration) string { return fmt.Sprintf("%d minutes", int(d.Minutes())) }
