package directory

import (
	"net/url"
	"slices"
	"strings"

	"signpost/oidc"
	"signpost/scopes"
)

// unexpiringAccepted is what a tenant says to have tokens that their server does not let expire (R10).
const unexpiringAccepted = "accepted"

// Ways to present a token.
const (
	AuthOAuthBearer = "oauthbearer" // RFC 7628, section 3
	AuthXOAuth2     = "xoauth2"
	AuthBearer      = "bearer" // RFC 6750, section 2.1
)

// defaultAudience is the first endpoint's host, or its URL up to the first template.
func defaultAudience(s Service) string {
	if len(s.Endpoints) == 0 {
		return ""
	}
	first := s.Endpoints[0]
	if !s.HTTP() {
		return first.Host
	}
	prefix, _, template := strings.Cut(first.URL, "{")
	if !template {
		return first.URL
	}
	return prefix[:strings.LastIndexByte(prefix, '/')+1]
}

// defaultScopes is the scope that opens a protocol. Other APIs have none.
func defaultScopes(protocol string) []string {
	switch protocol {
	case ProtocolIMAP, ProtocolPOP3, ProtocolSubmission, ProtocolJMAP:
		return []string{scopes.Mail}
	case ProtocolManageSieve:
		return []string{scopes.Sieve}
	case ProtocolCalDAV:
		return []string{scopes.Calendars}
	case ProtocolCardDAV:
		return []string{scopes.Contacts}
	case ProtocolWebDAV:
		return []string{scopes.Files}
	case ProtocolXMPP, ProtocolMatrix:
		return []string{scopes.Chat}
	}
	return nil
}

func defaultAuthentication(s Service) []string {
	switch {
	case s.SASL():
		return []string{AuthOAuthBearer, AuthXOAuth2}
	case s.HTTP():
		return []string{AuthBearer}
	}
	return nil
}

func defaultProfile(s Service) string {
	if s.SASL() {
		return oidc.ProfileDovecot
	}
	return oidc.ProfileRFC9068
}

// defaultInBroad is true only for what draft-ietf-mailmaint-oauth-public speaks
// of and the tenant runs itself: the broad token must not reach a foreign host
// unless the tenant says so (R5).
func defaultInBroad(t Tenant, s Service) bool {
	public := []string{scopes.Mail, scopes.Contacts, scopes.Calendars}
	if len(s.Scopes) == 0 || len(s.Endpoints) == 0 || s.Profile != t.broadToken() {
		return false // the broad token has one form: who wants another refuses it
	}
	if s.shortLines() && t.broadToken() != oidc.ProfileOpaque {
		return false // only an opaque one is short
	}
	for _, scope := range s.Scopes {
		if !slices.Contains(public, scope) {
			return false
		}
	}
	for _, e := range s.Endpoints {
		if !t.owns(e.hostName()) {
			return false
		}
	}
	return true
}

// shortLines reports whether tokens must fit a short line: submission servers take
// about 1,000 bytes after AUTH, and ManageSieve is like them (R9).
func (s Service) shortLines() bool {
	return s.Protocol == ProtocolSubmission || s.Protocol == ProtocolManageSieve
}

// hostName returns the host to which an endpoint leads; empty if its URL is broken.
func (e Endpoint) hostName() string {
	if e.URL == "" {
		return e.Host
	}
	prefix, _, _ := strings.Cut(e.URL, "{")
	u, err := url.Parse(prefix)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// owns reports whether a host is one of the tenant's domains or lies below one.
func (t Tenant) owns(host string) bool {
	return slices.ContainsFunc(t.Domains, func(d Domain) bool {
		return host == d.Name || strings.HasSuffix(host, "."+d.Name)
	})
}
