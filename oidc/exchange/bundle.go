package exchange

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/issuer"
	"signpost/oidc/policy"
)

// Bundle answers a broad token that was presented at the configuration with the
// configuration, and a token or a refusal in each service that the form names as "service", or in all
// of them if it names none. Each token is an exchange like any other: the same policy, the
// same record, and a client with credentials shows them. Services with one audience share a token.
//
// Failures are those of issuer.Authenticate and of the client's credentials, *oidc.Error
// both, and invalid_request for a service that is not in the configuration. No token
// was made then, but what is temporarily_unavailable may have been so half way: ask again.
func (g Grant) Bundle(ctx context.Context, r *directory.Realm, p issuer.Presented) (configdoc.Document, error) {
	if err := issuer.Once(p.Call.Form, "service"); err != nil {
		return configdoc.Document{}, err
	}
	b, err := g.Issuer.Authenticate(ctx, r, p, oidc.ScopeOpenID)
	if err != nil {
		return configdoc.Document{}, err
	}
	request, err := g.asks(ctx, r, p, b.Request)
	if err != nil {
		return configdoc.Document{}, err
	}
	d := b.View(r).Document()
	named := p.Call.Form["service"]
	for _, id := range named {
		if !slices.ContainsFunc(d.Services(), func(s configdoc.Service) bool { return s.ID == id }) {
			return configdoc.Document{}, oidc.E(oidc.CodeInvalidRequest, "a service is not in this account's configuration; ask for it without service, or with the id of one that is")
		}
	}
	made := make(map[string]part)
	err = d.Change(func(s *configdoc.Service) (err error) {
		if len(named) > 0 && !slices.Contains(named, s.ID) {
			return nil
		}
		one, done := made[s.Audience]
		if !done {
			if one, err = g.part(ctx, r, request, p.Token, s.Audience); err != nil {
				return err
			}
			made[s.Audience] = one
		}
		s.Token, s.Refusal = one.token, one.refusal
		return nil
	})
	if err != nil {
		return configdoc.Document{}, err
	}
	return d, nil
}

// asks adds to what was judged of the token who asks for more with it. The token names its
// client, so one without credentials need not. Whatever is refused of every service
// alike is refused once.
func (g Grant) asks(ctx context.Context, r *directory.Realm, p issuer.Presented, request policy.Request) (policy.Request, error) {
	form := p.Call.Form
	if form.Get("client_id") == "" && form.Get("client_assertion") == "" {
		form = maps.Clone(form)
		if form == nil {
			form = url.Values{}
		}
		form.Set("client_id", request.ClientID)
	}
	c, err := g.Issuer.Clients.Authenticate(ctx, r, clients.Credentials{Form: form, Endpoint: p.Call.URL})
	if err != nil {
		return policy.Request{}, err
	}
	issuer.AskedBy(&request, r, c)
	request.Way = policy.Exchange
	// A bearer token may come with a proof, so that what is made of it is bound (RFC 9449, section 5).
	if request.Key == "" {
		request.Key, err = g.Issuer.Proofs.Check(ctx, r.Name, dpop.Request{
			Headers: p.Call.DPoP, Method: p.Call.Method, URL: p.Call.URL, AccessToken: p.Token,
		})
		if err != nil {
			return policy.Request{}, err
		}
	}
	if a := policy.Admit(request); a.Refusal != nil {
		_, err := g.Issuer.Issue(ctx, r, issuer.Basis{Request: request, SubjectToken: p.Token}) // for the record
		return policy.Request{}, err
	}
	return request, nil
}

// part is what becomes of the services with one audience.
type part struct {
	token   *configdoc.Token
	refusal *configdoc.Refusal
}

// part exchanges the token for one of the services with an audience. What the policy or the
// service's source refuses is told of these services alone; what fails here fails the whole.
func (g Grant) part(ctx context.Context, r *directory.Realm, request policy.Request, token, audience string) (part, error) {
	var mark string
	var undelivered error
	request.Targets = []string{audience}
	a, err := g.Issuer.Issue(ctx, r, issuer.Basis{
		Request: request, SubjectToken: token,
		Make: func(ctx context.Context, d policy.Decision) (a issuer.TokenResponse, err error) {
			a, mark, undelivered = g.narrow(ctx, r, token, d)
			return a, undelivered
		},
	})
	if err == nil {
		return part{token: &configdoc.Token{
			AccessToken: a.AccessToken, IssuedTokenType: a.IssuedTokenType, TokenType: a.TokenType,
			ExpiresIn: a.ExpiresIn, Scope: a.Scope, Source: mark,
		}}, nil
	}
	refusal, ok := errors.AsType[*oidc.Error](err)
	if !ok || refusal.Code == oidc.CodeServerError || refusal.Code == oidc.CodeTemporarilyUnavailable && undelivered == nil {
		return part{}, err
	}
	return part{refusal: &configdoc.Refusal{Error: refusal.Code, ErrorDescription: refusal.Description}}, nil
}
