package narrow_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/test/narrow/oracle"
)

// ask is one request to the token endpoint, and what is known of what it presents.
type ask struct {
	label     string // for the table, where the audit says nothing
	way       string // of the oracle
	tenant    int
	abandoned bool // by the tenant's identity provider
	client    string
	key       int
	form      url.Values
	grant     *grant
	from      *held
	bearer    string // the access token in the header, if it comes there
	stolen    bool   // what is presented was changed, used up or is of another kind: nothing may come of it
}

// send asks, counts by the rule that decided, and lets the oracle judge what was made.
func (c *chain) send(a ask) bool {
	c.t.Helper()
	r := c.tenants[a.tenant].realm
	if a.abandoned {
		r = c.tenants[a.tenant].abandoned
	}
	call := issuer.Call{Form: a.form, Method: "POST", URL: r.URL("/token")}
	c.authenticate(a, r, &call)
	c.audit.events = c.audit.events[:0]
	answer, err := c.Token(c.t.Context(), r, call)
	rule := c.decided(a, err)
	c.history = append(c.history, fmt.Sprintf("%s at %s by %s with key %d, %v: %s", a.label, r.Name, a.client, a.key, shown(a.form), rule))
	c.counts.add(a.label, rule, err == nil)
	c.ended(a)
	if err != nil {
		return false
	}
	c.judge(a, answer)
	return true
}

// authenticate adds what shows who asks.
func (c *chain) authenticate(a ask, r *directory.Realm, call *issuer.Call) {
	a.form.Set("client_id", a.client)
	if a.client == "webmail" {
		a.form.Set("client_secret", clientSecret)
	}
	if a.key != noKey {
		call.DPoP = []string{c.keys[a.key].proof(c.t, *call, a.bearer, c.Proofs.Nonce(r.Name), c.now)}
	}
}

// decided is the rule that decided, by the audit; else what was answered before the policy
// was asked.
func (c *chain) decided(a ask, err error) string {
	c.t.Helper()
	for _, e := range slices.Backward(c.audit.events) {
		if e.Kind == audit.KindToken {
			_, rule, found := strings.Cut(e.Rule, "/")
			if !found || (e.Outcome == audit.Allowed) != (err == nil) {
				c.fail(a, fmt.Sprintf("audited as %+v, answered with error %v", e, err))
			}
			return rule
		}
	}
	if err == nil {
		c.fail(a, "a token was made, and no event says so")
	}
	return "before: " + code(err)
}

// code is the error code of a refusal. Everything else is a fault of the server, or of this test.
func code(err error) string {
	if e, ok := errors.AsType[*oidc.Error](err); ok && e.Code != oidc.CodeTemporarilyUnavailable && e.Code != oidc.CodeServerError {
		return e.Code
	}
	panic(fmt.Sprintf("no refusal: %v", err))
}

// ended notes the end of a sign-in that came of the request itself.
func (c *chain) ended(a ask) {
	for _, e := range c.audit.events {
		if e.Kind == audit.KindGrantEnded && a.grant != nil {
			a.grant.artefact.Ended = true
		}
	}
}

// judge reads what was made, keeps it, and asks the oracle.
func (c *chain) judge(a ask, answer issuer.TokenResponse) {
	c.t.Helper()
	made, err := c.made(a, answer.AccessToken)
	if err != nil {
		c.fail(a, fmt.Sprintf("what was made cannot be read: %v", err))
	}
	if a.stolen || a.grant == nil {
		c.fail(a, fmt.Sprintf("something came of what was worth nothing: %+v", made))
	}
	if a.abandoned {
		c.fail(a, fmt.Sprintf("made for somebody for whom no identity provider speaks: %+v", made))
	}
	if a.grant.artefact.Grant == "" {
		a.grant.artefact.Grant = made.Grant
	}
	step := oracle.Step{
		Way: a.way, Now: c.now, Client: a.client, Targets: slices.Concat(a.form["resource"], a.form["audience"]), Grant: a.grant.artefact, Made: made,
		Said: oracle.Answer{Scope: strings.Fields(answer.Scope), TokenType: answer.TokenType, Lives: time.Duration(answer.ExpiresIn) * time.Second},
	}
	if a.key != noKey {
		step.Key = c.keys[a.key].thumbprint
	}
	if a.form.Has("scope") {
		step.Asked = append([]string{}, strings.Fields(a.form.Get("scope"))...)
	}
	if a.from != nil {
		step.From = a.from.says
		if answer.RefreshToken != "" || answer.IDToken != "" {
			c.fail(a, "a refresh token or an ID token by exchange")
		}
	}
	if faults := c.oracle.Faults(step); len(faults) > 0 {
		c.fail(a, fmt.Sprintf("%s\nstep %+v", strings.Join(faults, "\n"), step))
	}
	c.keep(a.grant, answer, made)
}

// keep holds what was given.
func (c *chain) keep(g *grant, answer issuer.TokenResponse, made oracle.Artefact) {
	kind := access
	if made.Kind == oracle.AppPassword {
		kind = secret
	}
	c.held = append(c.held, &held{kind, answer.AccessToken, g, made})
	if answer.IDToken != "" {
		c.held = append(c.held, &held{kind: idToken, text: answer.IDToken, grant: g})
	}
	if answer.RefreshToken != "" {
		g.refresh = append(g.refresh, answer.RefreshToken)
	}
}

// fail ends the run and tells how it came to this.
func (c *chain) fail(a ask, what string) {
	c.t.Helper()
	c.t.Fatalf("%s: %s\nhow it came to this:\n  %s\nworld:\n%+v", a.label, what, strings.Join(c.history, "\n  "), c.oracle)
}

// made is what was made for a request.
func (c *chain) made(a ask, token string) (oracle.Artefact, error) {
	switch {
	case a.way == oracle.ByAppPassword:
		return c.kept(a)
	case strings.HasPrefix(token, "spt_"):
		return c.lookUp(a, token)
	}
	return read(token)
}

// lookUp is what is kept of an opaque token.
func (c *chain) lookUp(a ask, token string) (oracle.Artefact, error) {
	r := c.tenants[a.tenant].realm
	claims, err := c.Tokens.Verify(c.t.Context(), r.Name, r.Issuer, token)
	return oracle.Artefact{
		Kind: oracle.Token, Issuer: claims.Issuer, Person: claims.Subject, Client: claims.ClientID, Grant: claims.GrantID, Audience: claims.Audience,
		Scope: strings.Fields(claims.Scope), Ends: claims.ExpiresAt.UTC(), Key: claims.Key, Name: claims.Username,
	}, err
}

// read is what a token says, as whoever has it can see.
func read(token string) (oracle.Artefact, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return oracle.Artefact{}, fmt.Errorf("%d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return oracle.Artefact{}, err
	}
	var body struct {
		Issuer       string          `json:"iss"`
		Subject      string          `json:"sub"`
		Audience     json.RawMessage `json:"aud"`
		Ends         int64           `json:"exp"`
		Scope        string          `json:"scope"`
		Client       string          `json:"client_id"`
		Grant        string          `json:"grant"`
		Name         string          `json:"preferred_username"`
		Confirmation struct {
			Thumbprint string `json:"jkt"`
		} `json:"cnf"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return oracle.Artefact{}, err
	}
	a := oracle.Artefact{
		Kind: oracle.Token, Issuer: body.Issuer, Person: body.Subject, Client: body.Client, Grant: body.Grant, Scope: strings.Fields(body.Scope),
		Ends: time.Unix(body.Ends, 0).UTC(), Key: body.Confirmation.Thumbprint, Name: body.Name,
	}
	var one string
	if json.Unmarshal(body.Audience, &one) == nil {
		a.Audience = []string{one}
		return a, nil
	}
	return a, json.Unmarshal(body.Audience, &a.Audience)
}

// shown is a form without what is long.
func shown(f url.Values) url.Values {
	short := url.Values{}
	for name, values := range f {
		for _, v := range values {
			if len(v) > 60 {
				v = v[:8] + "…"
			}
			short.Add(name, v)
		}
	}
	return short
}
