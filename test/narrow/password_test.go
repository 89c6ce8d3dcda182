package narrow_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"signpost/oidc"
	"signpost/test/narrow/oracle"
)

// password asks for an app password, mostly by a token for the issuer alone.
func (c *chain) password() {
	c.t.Helper()
	h, ok := c.forTheIssuer()
	if !ok {
		c.exchange()
		return
	}
	if c.once(5) { // who comes so late has to sign in again
		c.pass(11 * time.Minute)
	}
	key := c.keyIn(h)
	if key == noKey && c.once(10) {
		key = c.random.IntN(len(c.keys))
	}
	a := ask{label: "app-password", way: oracle.ByAppPassword, tenant: h.grant.tenant, client: h.grant.artefact.Client, key: key, grant: h.grant, from: h, stolen: h.kind != access}
	a.form = url.Values{
		"grant_type": {oidc.GrantTypeTokenExchange}, "subject_token": {h.text}, "subject_token_type": {oidc.TokenTypeAccessToken},
		"requested_token_type": {oidc.TokenTypeAppPassword}, "audience": c.takers(h),
	}
	if c.once(10) {
		a.form["audience"] = c.targets(a.tenant, h.says)
	}
	c.mistake(&a)
	if c.once(3) {
		c.scope(&a, h.says.Scope)
	}
	c.send(a)
}

// forTheIssuer is mostly a token for the issuer alone; sometimes, or where there is none, one that is for
// services too, or any other.
func (c *chain) forTheIssuer() (*held, bool) {
	alone := !c.once(4)
	for _, h := range slices.Backward(c.held) {
		broad := slices.Contains(h.says.Audience, h.says.Issuer) && slices.Contains(h.says.Scope, oidc.ScopeAppPassword)
		if broad && (len(h.says.Audience) == 1) == alone && !c.once(8) {
			return h, true
		}
	}
	return c.subject()
}

// takers are services that take app passwords, and now and then one that does not.
func (c *chain) takers(h *held) (list []string) {
	for _, s := range c.tenants[h.grant.tenant].realm.Services {
		opens := c.oracle[h.grant.artefact.Issuer].Opens(h.says.Scope, s.Audience)
		if (s.AppPasswords && opens || c.once(20)) && !slices.Contains(list, s.Audience) {
			list = append(list, s.Audience)
		}
	}
	c.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(len(list), 1+c.random.IntN(2))]
}

// kept is what is kept of the app password that was just made.
func (c *chain) kept(a ask) (oracle.Artefact, error) {
	r := c.tenants[a.tenant].realm
	all, err := c.AppPasswords.Store.AppPasswords(c.t.Context(), r.Name, a.grant.artefact.Person)
	if err != nil {
		return oracle.Artefact{}, err
	}
	for _, k := range all {
		if !c.passwords[k.ID] {
			c.passwords[k.ID] = true
			return oracle.Artefact{
				Kind: oracle.AppPassword, Issuer: r.Issuer, Person: k.AccountID, Client: k.ClientID, Grant: k.GrantID,
				Audience: k.Audiences, Scope: strings.Fields(k.Scopes), Name: k.Username,
			}, nil
		}
	}
	return oracle.Artefact{}, fmt.Errorf("among %d app passwords none is new", len(all))
}
