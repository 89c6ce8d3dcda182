package directory

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"signpost/oidc"
)

// maxProtectedResources is the number of audiences up to which they are published (R30).
const maxProtectedResources = 200

func (r *Realm) protectedResources() []string {
	if len(r.byAudience) > maxProtectedResources {
		return nil // clients would take a part of it for the whole
	}
	resources := []string{r.URL(oidc.ConfigurationPath)}
	for _, s := range r.Services {
		if !slices.Contains(resources, s.Audience) {
			resources = append(resources, s.Audience)
		}
	}
	return resources
}

// Warnings returns what is allowed in each tenant and yet not what its operator will
// want, one sentence each. Show them and go on.
func Warnings(tenants []Tenant) []string {
	var warnings []string
	for _, t := range tenants {
		warnings = append(warnings, loginNotFilled(t)...)
		warnings = append(warnings, unreadableTokens(t)...)
		audiences := make(map[string]bool)
		for _, s := range t.Services {
			audiences[s.Audience] = true
		}
		if n := len(audiences); n > maxProtectedResources {
			warnings = append(warnings, fmt.Sprintf("tenant %s: its %d audiences are more than %d, so none is published: let services share them, or give some domains a tenant of their own",
				t.Name, n, maxProtectedResources))
		}
	}
	return warnings
}

// protected is an HTTP service under the origin of its audience.
type protected struct {
	segments []string // of the audience's path
	realm    *Realm
	service  Service
}

// Protected returns the service of any tenant to which a URL belongs: the one
// whose audience is the longest prefix by whole path segments, on exactly this
// scheme, host and port (R30). It is for the metadata of protected resources, which
// is asked for at the services' own hosts (RFC 9728, section 3.1). Package policy has
// the same rule for the services of one account: it takes no facts from here.
func (s *Snapshot) Protected(resourceURL string) (*Realm, Service, bool) {
	origin, path := cutOrigin(resourceURL)
	at := s.byOrigin[origin]
	if at == nil {
		return nil, Service{}, false
	}
	segments, ok := pathSegments(path)
	if !ok {
		return nil, Service{}, false
	}
	for _, p := range at {
		if n := len(p.segments); len(segments) >= n && slices.Equal(p.segments, segments[:n]) {
			return p.realm, p.service, true
		}
	}
	return nil, Service{}, false
}

// compileProtected sorts the HTTP services of all tenants by origin, the longest
// prefix first. Of services that share an audience, the first by order stands for all.
func (s *Snapshot) compileProtected() {
	for _, r := range s.realms {
		for _, service := range r.Services {
			if !service.HTTP() {
				continue
			}
			origin, path := cutOrigin(service.Audience)
			if segments, ok := pathSegments(path); ok {
				s.byOrigin[origin] = append(s.byOrigin[origin], protected{segments, r, service})
			}
		}
	}
	for _, at := range s.byOrigin {
		slices.SortStableFunc(at, func(a, b protected) int { return cmp.Compare(len(b.segments), len(a.segments)) })
	}
}

// cutOrigin divides "https://host:port/path" before the path.
func cutOrigin(raw string) (origin, path string) {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return "", ""
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return raw, ""
	}
	return raw[:len(raw)-len(rest)+i], rest[i:]
}

// pathSegments returns the decoded segments of a path in which there is nothing that
// two programs could read differently: no query, fragment, backslash, dot segment,
// empty segment or encoded slash. One slash at the end goes without saying.
func pathSegments(path string) ([]string, bool) {
	if path == "" || path == "/" {
		return nil, true
	}
	if strings.ContainsAny(path, "?#\\") {
		return nil, false
	}
	var segments []string
	for raw := range strings.SplitSeq(strings.TrimSuffix(path[1:], "/"), "/") {
		segment, err := url.PathUnescape(raw)
		if err != nil || segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "/\\") {
			return nil, false
		}
		segments = append(segments, segment)
	}
	return segments, true
}
