package directory

import (
	"encoding/json"
	"fmt"
	"slices"

	"signpost/oidc"
	"signpost/webfinger"
)

// compiledLink is a link of a JRD, ready to be copied.
type compiledLink struct {
	rel  string
	json []byte
}

// The parts of a JRD that every answer has.
const (
	jrdHead  = `{"subject":"`
	jrdLinks = `","links":[`
	jrdTail  = `]}`
)

// compileLinks renders the public links of a tenant: the issuer first, because
// clients take the first link they find.
func (r *Realm) compileLinks() error {
	links := []webfinger.Link{
		{Rel: oidc.RelIssuer, Href: r.Issuer, Properties: webfinger.Properties{
			webfinger.PropertyScope:    new(r.Broad.String()),
			webfinger.PropertyClientID: new(oidc.ClientOpen),
		}},
		{Rel: webfinger.RelScopes, Type: "application/json", Href: r.URL("/scopes")},
		{Rel: webfinger.RelConfiguration, Type: "application/json", Href: r.URL(oidc.ConfigurationPath)},
	}
	for _, link := range links {
		b, err := json.Marshal(link)
		if err != nil {
			return fmt.Errorf("encode link %s: %w", link.Rel, err)
		}
		r.links = append(r.links, compiledLink{rel: link.Rel, json: b})
	}
	r.tail = r.appendLinks(nil, nil)
	return nil
}

// appendLinks appends the JRD after its subject, with the links whose relation
// is asked for; no relation asks for all of them (RFC 7033, section 4.3).
func (r *Realm) appendLinks(dst []byte, rels []string) []byte {
	dst = append(dst, jrdLinks...)
	first := true
	for _, link := range r.links {
		if len(rels) > 0 && !slices.Contains(rels, link.rel) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, link.json...)
	}
	return append(dst, jrdTail...)
}

// Answer appends the JRD of a resource to dst. resource is the decoded value of
// the query parameter, rels those of its rel parameters. It returns an error that
// wraps webfinger.ErrResource (answer 400) or ErrNotFound (answer 404). The answer
// depends on the domain alone: nothing here knows who exists (R32).
func (s *Snapshot) Answer(dst []byte, resource string, rels []string) ([]byte, error) {
	parsed, err := webfinger.ParseResource(resource)
	if err != nil {
		return dst, err
	}
	r := s.answering(parsed)
	if r == nil {
		return dst, ErrNotFound
	}
	dst = append(dst, jrdHead...)
	dst = appendEscaped(dst, resource)
	if len(rels) == 0 {
		return append(dst, r.tail...), nil
	}
	return r.appendLinks(dst, rels), nil
}

// answering returns the tenant that answers for a resource, or nil.
func (s *Snapshot) answering(resource webfinger.Resource) *Realm {
	switch resource.Scheme {
	case webfinger.SchemeAcct, webfinger.SchemeMailto:
		return s.byDomain[resource.Domain]
	}
	path := resource.Path
	if last := len(path) - 1; last >= 0 && path[last] == '/' {
		path = path[:last]
	}
	return s.byPlace[place{resource.Scheme, resource.Host, path}]
}

// appendEscaped appends the inside of a JSON string. A resource that was parsed
// holds nothing to escape, but an answer must stay JSON whatever comes.
func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
