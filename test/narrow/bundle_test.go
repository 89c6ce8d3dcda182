package narrow_test

import (
	"fmt"
	"net/url"
	"strings"

	"signpost/configdoc"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
	"signpost/test/narrow/oracle"
)

// bundle asks for the configuration with tokens, by a token that is mostly a good one of this
// chain. Every token in it is judged like one by exchange.
func (c *chain) bundle() {
	c.t.Helper()
	h, ok := c.subject()
	if !ok {
		return
	}
	a := ask{
		label: "bundle", way: oracle.ByExchange, tenant: h.grant.tenant, client: h.grant.artefact.Client, key: c.keyOf(h.grant.artefact.Client, c.keyIn(h)),
		grant: h.grant, from: h, form: url.Values{}, bearer: h.text, stolen: h.kind != access,
	}
	if c.once(15) {
		a.bearer, a.stolen = c.mutated(h.text), true
	}
	c.mistake(&a)
	r := c.tenants[a.tenant].realm
	if c.once(20) {
		a.abandoned, r = true, c.tenants[a.tenant].abandoned
	}
	if c.once(3) {
		for range 1 + c.random.IntN(2) {
			a.form.Add("service", pick(c.random, "imap", "pop", "calendar", "files", "chat", "nothing"))
		}
	}
	call := issuer.Call{Form: a.form, Method: "POST", URL: r.URL(oidc.ConfigurationPath)}
	c.authenticate(a, r, &call)
	p := issuer.Presented{Scheme: oidc.Bearer, Token: a.bearer, Call: call}
	if h.says.Key != "" && !c.once(10) {
		p.Scheme = oidc.DPoP
	}
	c.audit.events = c.audit.events[:0]
	d, err := exchange.Grant{Issuer: c.Issuer}.Bundle(c.t.Context(), r, p)
	c.history = append(c.history, fmt.Sprintf("bundle at %s by %s with key %d, %v: %v", r.Name, a.client, a.key, shown(a.form), err))
	if err != nil {
		c.counts.add(a.label, c.decided(a, err), false)
		return
	}
	decided := map[string]bool{} // by audience
	for _, e := range c.audit.events {
		if e.Kind == audit.KindToken {
			_, rule, _ := strings.Cut(e.Rule, "/")
			c.counts.add(a.label, rule, e.Outcome == audit.Allowed)
			decided[e.Service] = e.Outcome == audit.Allowed
		}
	}
	a.form = url.Values{}
	for _, s := range d.Services() {
		c.judgeService(a, s, decided)
	}
}

// judgeService judges the token of one service of a bundle.
func (c *chain) judgeService(a ask, s configdoc.Service, decided map[string]bool) {
	c.t.Helper()
	if s.Token == nil {
		if s.Refusal != nil && decided[s.Audience] {
			c.fail(a, fmt.Sprintf("%s is refused (%+v) and audited as allowed", s.ID, s.Refusal))
		}
		return
	}
	if !decided[s.Audience] {
		c.fail(a, fmt.Sprintf("%s has a token, and no event says so", s.ID))
	}
	a.form["audience"] = []string{s.Audience}
	c.judge(a, issuer.TokenResponse{AccessToken: s.Token.AccessToken, TokenType: s.Token.TokenType, ExpiresIn: s.Token.ExpiresIn, Scope: s.Token.Scope})
}
