package demo

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Declaration returns what an operator would apply with "signpost apply -f": two
// tenants, their domains and identity providers, and the services of the first.
// It holds the client secrets.
func (w *World) Declaration() []byte {
	var out bytes.Buffer
	out.WriteString("# The demo's two organisations, as \"signpost apply -f\" takes them.\ntenants:\n")
	for _, t := range []struct{ name, placement, title, domain string }{
		{tenantExample, "base", "Example Organisation", "example.test"},
		{tenantOther, "path", "Other Organisation", "other.test"},
	} {
		fmt.Fprintf(&out, "  - name: %s\n    issuer: %s\n    title: %s\n    domains: [%s]\n", t.name, t.placement, t.title, t.domain)
		out.WriteString("    clients: {device: \"on\"}\n") // so that the program "open" may play a television
		out.WriteString("    identity_providers:\n")
		for _, p := range w.idps {
			if p.tenant == t.name {
				p.declare(&out)
			}
		}
		w.declareServices(&out, t.name)
	}
	return out.Bytes()
}

func (p identityProvider) declare(out *bytes.Buffer) {
	fmt.Fprintf(out, `      - name: %s
        title: %s
        issuer: %s
        client_id: %s
        client_secret: %s
        scopes: [openid, profile, email]
        domains: [%s]
        address_claim: email
        address_trust: email_verified
        login_claim: preferred_username
        name_claim: name
`, p.name, p.title, strconv.Quote(p.issuer), clientID, strconv.Quote(p.secret), p.domain)
}

func (w *World) declareServices(out *bytes.Buffer, tenant string) {
	first := true
	for i, s := range w.services {
		if s.Tenant != tenant {
			continue
		}
		if first {
			out.WriteString("    services:\n")
			first = false
		}
		endpoint := "url: " + strconv.Quote(s.URL)
		authentication, profile := "[bearer]", "rfc9068"
		if s.URL == "" {
			endpoint = fmt.Sprintf("host: %s, port: %d, security: none", strconv.Quote(s.Host), s.Port)
			authentication, profile = "[oauthbearer, xoauth2]", "dovecot"
		}
		fmt.Fprintf(out, strings.TrimLeft(`
      - id: %s
        protocol: %s
        title: %s
        endpoints:
          - {%s}
        audience: %s
        scopes: [%s]
        authentication: %s
        username: "{address}"
        profile: %s
        insecure: true # on a loopback address, without TLS
        order: %d
`, "\n"), s.ID, s.Protocol, s.title, endpoint, strconv.Quote(s.Audience), strconv.Quote(s.Scope), authentication, profile, i+1)
	}
}
