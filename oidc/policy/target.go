package policy

import (
	"net/url"
	"slices"
	"strings"
)

// Resolve finds the one service audience that a target names: the audience
// itself; the host name of an endpoint, where all services on it share one
// audience; or a URL below an HTTP service's prefix, of which the longest by
// whole path segments wins (R30). Services that share an audience share scope
// and profile, so the first stands for all. Everything else names nothing.
//
// Conditions are not asked: where a host's services have several audiences, the host names
// nothing. Decide looks at those alone that the person has, as Request.Resolve does.
func Resolve(services []Service, target string) (Service, bool) {
	if s := resolve(services, target, everybodyHas); s != nil {
		return *s, true
	}
	return Service{}, false
}

// Resolve is Resolve among the services of the request as its decision sees them.
func (r *Request) Resolve(target string) (Service, bool) {
	j := judgement{Request: *r}
	if s := resolve(r.Services, target, j.has); s != nil {
		return *s, true
	}
	return Service{}, false
}

func everybodyHas(string) bool { return true }

// resolve returns the service that a target names, nil if that is nothing. has is asked where a
// host name alone does not tell.
func resolve(services []Service, target string, has func(audience string) bool) *Service {
	if i := indexOf(services, target); target != "" && i >= 0 {
		return &services[i]
	}
	if !strings.Contains(target, "/") {
		return byHost(services, target, has)
	}
	return byPrefix(services, target)
}

// indexOf returns the first service with an audience, -1 if there is none.
func indexOf(services []Service, audience string) int {
	for i := range services {
		if services[i].Audience == audience {
			return i
		}
	}
	return -1
}

// byHost finds the audience of a host. Where there are several, those count that the person
// has: that the host names nothing would show a service that looks as if it were not there.
func byHost(services []Service, host string, has func(audience string) bool) (found *Service) {
	if host == "" {
		return nil
	}
	several := false
	for i := range services {
		s := &services[i]
		if !slices.Contains(s.Hosts, host) {
			continue
		}
		if found == nil {
			found = s
		}
		several = several || s.Audience != found.Audience
	}
	if !several {
		return found
	}
	found = nil
	for i := range services {
		s := &services[i]
		if !slices.Contains(s.Hosts, host) || found != nil && s.Audience == found.Audience || !has(s.Audience) {
			continue
		}
		if found != nil {
			return nil
		}
		found = s
	}
	return found
}

func byPrefix(services []Service, target string) (found *Service) {
	want, valid := parseTarget(target)
	if !valid {
		return nil
	}
	origin := target[:len(want.Scheme)+len("://")+len(want.Host)]
	longest := -1
	for i := range services {
		s := &services[i]
		if !strings.HasPrefix(s.URL, origin) {
			continue // spares reading it
		}
		prefix, valid := parseTarget(s.URL)
		if !valid || prefix.Scheme != want.Scheme || prefix.Host != want.Host {
			continue
		}
		if n := len(prefix.segments); n > longest && len(want.segments) >= n && slices.Equal(prefix.segments, want.segments[:n]) {
			found, longest = s, n
		}
	}
	return found
}

type parsedTarget struct {
	*url.URL
	segments []string
}

// parseTarget takes an absolute URL with nothing in it that two programs could
// read differently: no user information, query, fragment, dot segment or encoded slash.
func parseTarget(s string) (parsedTarget, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(s, "?#\\") {
		return parsedTarget{}, false
	}
	// Parsing writes the scheme in lower case; here it has to come so.
	if !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
		return parsedTarget{}, false
	}
	if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return parsedTarget{}, false
	}
	if u.Path == "" || u.Path == "/" {
		return parsedTarget{URL: u}, true
	}
	// One slash before and one after go without saying; more would be empty segments.
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), "/"), "/")
	for _, segment := range segments {
		if segment == "" || segment == "." || segment == ".." {
			return parsedTarget{}, false
		}
	}
	return parsedTarget{URL: u, segments: segments}, true
}

// loginAllowed reports whether a login name may stand in a token: a bare name,
// or one whose domain part is a verified domain of the tenant (R1). Servers do not
// agree on where a name with two @ has its domain part, so there is no such name.
func loginAllowed(name string, domains []string) bool {
	local, domain, found := strings.Cut(name, "@")
	if !found {
		return name != ""
	}
	return local != "" && slices.Contains(domains, strings.ToLower(domain))
}
