package narrow_test

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"time"

	"signpost/oidc"
	"signpost/test/narrow/oracle"
)

// exchange presents a token, mostly a good one of this chain.
func (c *chain) exchange() {
	c.t.Helper()
	h, ok := c.subject()
	if !ok {
		return
	}
	a := ask{label: "exchange", way: oracle.ByExchange, tenant: h.grant.tenant, client: h.grant.artefact.Client, key: c.keyOf(h.grant.artefact.Client, c.keyIn(h)), grant: h.grant, from: h}
	a.form = url.Values{"grant_type": {oidc.GrantTypeTokenExchange}, "subject_token": {h.text}, "subject_token_type": {oidc.TokenTypeAccessToken}}
	a.stolen = h.kind != access
	switch n := c.random.IntN(100); {
	case n < 6:
		a.form.Set("subject_token", c.mutated(h.text))
		a.stolen = true
	case n < 8 && len(h.grant.refresh) > 0:
		a.form.Set("subject_token", pick(c.random, h.grant.refresh...))
		a.stolen = true
	case n < 9:
		a.form.Set("subject_token", h.grant.code)
		a.stolen = true
	case n < 10:
		a.form.Set("subject_token_type", pick(c.random, oidc.TokenTypeJWT, oidc.TokenTypeIDToken, oidc.TokenTypeRefreshToken, ""))
		a.stolen = true
	case n < 11:
		a.form.Set("requested_token_type", pick(c.random, oidc.TokenTypeRefreshToken, oidc.TokenTypeIDToken, oidc.TokenTypeJWT))
		a.stolen = true
	case n < 14:
		a.abandoned = true
	}
	c.mistake(&a)
	targets := c.targets(h.grant.tenant, h.says)
	if len(targets) == 1 && c.once(2) {
		a.form["resource"] = targets
	} else {
		a.form["audience"] = targets
	}
	c.scope(&a, h.says.Scope)
	for again := c.send(a); again && !c.once(3); again = c.send(a) {
		c.nearly(&a, h.says.Scope)
	}
}

// nearly asks for the same once more, or for what differs in one thing: what was made a moment ago may
// stand for the first and not for the second.
func (c *chain) nearly(a *ask, has []string) {
	switch c.random.IntN(4) {
	case 0:
		c.pass(pick(c.random, 0, 2*time.Minute, 10*time.Minute))
	case 1:
		a.key = c.random.IntN(len(c.keys)+1) - 1
	case 2:
		a.form.Del("scope")
	case 3:
		a.form.Set("scope", strings.Join(c.some(has, 2, 1), " "))
	}
}

// subject is a token to be presented: this chain's newest broad one, something else of it, or
// one that was found or stolen.
func (c *chain) subject() (*held, bool) {
	if len(c.pool) > 0 && c.once(12) {
		return pick(c.random, c.pool...), true
	}
	if len(c.held) == 0 {
		return nil, false
	}
	if c.once(6) {
		return pick(c.random, c.held...), true
	}
	for _, h := range slices.Backward(c.held) {
		if slices.Contains(h.says.Audience, h.says.Issuer) && h.kind == access {
			return h, true
		}
	}
	return pick(c.random, c.held...), true
}

// keyIn is the key that a token is bound to.
func (c *chain) keyIn(h *held) int {
	return slices.IndexFunc(c.keys[:], func(p prover) bool { return p.thumbprint == h.says.Key })
}

// mistake asks by another program, or at another tenant.
func (c *chain) mistake(a *ask) {
	switch {
	case c.once(15):
		a.client = c.anyClient()
	case c.once(25):
		a.tenant = 1 - a.tenant
		a.abandoned = false
	}
}

// scope says what scope is wanted: mostly nothing, else some of what there is, or more.
func (c *chain) scope(a *ask, has []string) {
	switch n := c.random.IntN(20); {
	case n < 13:
	case n < 16 && len(has) > 0:
		a.form.Set("scope", strings.Join(c.some(has, 2, 1), " "))
	case n < 19:
		a.form.Set("scope", strings.Join(c.some(vocabulary, 3, 1), " "))
	default:
		a.form.Set("scope", pick(c.random, "", "  ", "openid", "urn:example:unknown", "urn:example:w0  urn:example:w1"))
	}
}

// targets are what a request names: mostly one service of the tenant, of those that what is
// presented opens rather than others.
func (c *chain) targets(at int, presented oracle.Artefact) []string {
	t := c.tenants[at].realm
	service := pick(c.random, t.Services...)
	for range 3 {
		if c.oracle[t.Issuer].Opens(presented.Scope, service.Audience) {
			break
		}
		service = pick(c.random, t.Services...)
	}
	audience := service.Audience
	switch n := c.random.IntN(40); {
	case n < 25:
		return []string{audience}
	case n < 28 && service.HTTP():
		return []string{strings.TrimSuffix(audience, "/") + pick(c.random, "", "/", "/alice/work", "/contacts/x", "x", "/../", "/%2e%2e/x", "?x", "#x", "//")}
	case n < 31 && !service.HTTP():
		return []string{service.Endpoints[0].Host}
	case n < 33:
		return nil
	case n < 35:
		return c.audiences(at, 3)
	case n < 37:
		return c.audiences(1-at, 1)
	}
	return []string{pick(c.random, t.Issuer, t.Issuer+oidc.ConfigurationPath, "", "imap", oidc.ClientOpen, strings.ToUpper(audience), "https://evil.test/", " "+audience, audience+" ")}
}

// mutated is a token that was changed in one place, or forged.
func (c *chain) mutated(token string) string {
	at := c.random.IntN(len(token))
	parts := strings.Split(token, ".")
	switch c.random.IntN(6) {
	case 0:
		return token[:at]
	case 1:
		return token + pick(c.random, "A", "=", ".", "\n", " ", token[:at])
	case 2:
		return token[:at] + flipped(token[at]) + token[at+1:]
	case 3:
		return token[:at] + token[at+1:]
	case 4:
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + strings.Join(parts[min(1, len(parts)):max(1, len(parts)-1)], ".") + "."
	}
	other := strings.Split(pick(c.random, append(c.pool, c.held...)...).text, ".")
	if signature := other[len(other)-1]; len(parts) == 3 && signature != parts[2] {
		return parts[0] + "." + parts[1] + "." + signature
	}
	return "x" + token
}

// flipped is another character of the alphabet of base64url.
func flipped(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[(strings.IndexByte(alphabet, c)+1+int(c)%7)%64:][:1]
}
