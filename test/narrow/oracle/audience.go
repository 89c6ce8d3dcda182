package oracle

import (
	"slices"
	"strings"
)

// service returns a service with this audience; the zero one if there is none.
func (j *judge) service(audience string) Service {
	for _, s := range j.tenant.Services {
		if s.Audience == audience {
			return s
		}
	}
	return Service{}
}

// audience: who exchanges gets one service for one broad token; who signed in gets the issuer with
// what a broad token is for, or one service; nobody gets what the sign-in was not for.
func (j *judge) audience() {
	a := j.Made.Audience
	j.must(len(a) > 0, "it is for nobody")
	broad := slices.Contains(a, j.Made.Issuer)
	switch j.Way {
	case ByGrant:
		j.must(broad || len(a) == 1, "for several services and not the issuer: %v", a)
	case ByExchange:
		j.must(!broad, "a broad token was made from a token")
		j.must(len(a) == 1, "for several audiences by exchange: %v", a)
		j.must(slices.Contains(j.presented.Audience, j.presented.Issuer), "made from a token that was not broad, for %v", j.presented.Audience)
	case ByAppPassword:
		j.must(!broad, "a password for the issuer")
		j.must(slices.Equal(j.presented.Audience, []string{j.presented.Issuer}), "a password made from a token that services have too: %v", j.presented.Audience)
	}
	for _, audience := range a {
		if audience != j.Made.Issuer {
			j.reaches(audience, broad)
		}
	}
	j.named(a, broad)
}

// reaches: the person has the service, by this program, and what is carried opens it.
func (j *judge) reaches(audience string, broad bool) {
	s := j.service(audience)
	if s.Audience == "" {
		j.must(false, "for %q, which is no service of the tenant", audience)
		return
	}
	j.must(j.tenant.People[j.Made.Person].among(s.Groups), "for %s, which the person does not have", audience)
	j.must(s.takes(j.Client), "for %s, which is not for the program %s", audience, j.Client)
	j.must(j.tenant.meet(j.Made.Scope, s.Scopes), "for %s, which the scope %v does not open", audience, j.Made.Scope)
	if broad {
		j.must(s.InBroad, "a broad token for %s, which is not in_broad", audience)
		return
	}
	j.must(j.Way == ByAppPassword || j.tenant.within(j.Made.Scope, s.Scopes), "scope %v for %s, which has no use for all of it", j.Made.Scope, audience)
	j.must(len(j.Grant.Audience) == 0 || slices.Contains(j.Grant.Audience, audience), "for %s, where the sign-in was for %v", audience, j.Grant.Audience)
	j.must(j.Way != ByAppPassword || s.AppPasswords, "a password for %s, which takes none", audience)
}

// takes reports whether a service is for a program.
func (s Service) takes(client string) bool {
	return len(s.Clients) == 0 || slices.Contains(s.Clients, client)
}

// named: it is for what the request named.
func (j *judge) named(audience []string, broad bool) {
	if broad {
		for _, target := range j.Targets {
			j.must(target == j.Made.Issuer || target == j.Made.Issuer+"/configuration", "a broad token where %q was asked for", target)
		}
		j.must(len(j.Targets) == 0 || len(audience) == 1, "a token for %v where the issuer alone was asked for", audience)
		return
	}
	j.must(j.Way == ByAppPassword || len(j.Targets) == 1, "a token for a service where %v was asked for", j.Targets)
	for _, target := range j.Targets {
		j.must(slices.Contains(audience, j.resolve(target)), "for %v where %q was asked for", audience, target)
	}
}

// resolve returns the one audience that a target names, or "". A host on which there are several is
// that of the one that the person has by this program.
func (j *judge) resolve(target string) string {
	if j.service(target).Audience != "" {
		return target
	}
	var found []string
	for _, s := range j.tenant.Services {
		if slices.Contains(s.Hosts, target) && !slices.Contains(found, s.Audience) {
			found = append(found, s.Audience)
		}
	}
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(audience string) bool {
			s := j.service(audience)
			return !j.tenant.People[j.Made.Person].among(s.Groups) || !s.takes(j.Client)
		})
		if len(found) != 1 {
			return ""
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	if strings.Contains(target, "..") || strings.ContainsAny(target, "%@#?\\") {
		return ""
	}
	longest := ""
	for _, s := range j.tenant.Services {
		prefix := strings.TrimSuffix(s.Audience, "/") + "/"
		if strings.Contains(s.Audience, "://") && strings.HasPrefix(target+"/", prefix) && len(s.Audience) > len(longest) {
			longest = s.Audience
		}
	}
	return longest
}
