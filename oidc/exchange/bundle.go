package exchange

import (
	"context"
	"errors"
	"maps"
	"net/url"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/issuer"
	"signpost/oidc/policy"
)

// maxNamed bounds how many services a request may name: more than one person has.
const maxNamed = 100

// Bundle answers a broad token that was presented at the configuration with the
// configuration, and a token or a refusal in each service that the form names as "service", or in all
// of them if it names none. Each token is an exchange like any other: the same policy, the
// same record, and a client with credentials shows them. Services with one audience share a token.
//
// Failures are those of issuer.Authenticate and of the client's credentials, *oidc.Error
// both, and invalid_request for a service that is not in the configuration. No token
// was made then, but what is temporarily_unavailable may have been so half way: ask again.
func (g Grant) Bundle(ctx context.Context, r *directory.Realm, p issuer.Presented) (configdoc.Document, error) {
	// As at the token endpoint: who hangs up does not stop what was set off.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issuer.Patience)
	defer cancel()
	if err := issuer.Once(p.Call.Form, "service"); err != nil {
		return configdoc.Document{}, err
	}
	named := p.Call.Form["service"]
	if len(named) > maxNamed {
		return configdoc.Document{}, oidc.E(oidc.CodeInvalidRequest, "too many services are named; ask without service for all of them")
	}
	b, request, err := g.holds(ctx, r, p)
	if refused, ok := errors.AsType[*issuer.Refused](err); ok {
		if err := g.Issuer.RecordRefusal(ctx, r, p.Token, refused); err != nil {
			return configdoc.Document{}, err
		}
	}
	if err != nil {
		return configdoc.Document{}, err
	}
	d := b.View(r).Document()
	wanted, err := wantedOf(d, named)
	if err != nil {
		return configdoc.Document{}, err
	}
	made := make(map[string]part)
	err = d.Change(func(s *configdoc.Service) (err error) {
		if !wanted[s.ID] {
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

// wantedOf returns the ids of the services of a document that are named, or of all if none is.
func wantedOf(d configdoc.Document, named []string) (map[string]bool, error) {
	has := make(map[string]bool)
	for _, s := range d.Services() {
		has[s.ID] = true
	}
	if len(named) == 0 {
		return has, nil
	}
	wanted := make(map[string]bool)
	for _, id := range named {
		if !has[id] {
			return nil, oidc.E(oidc.CodeInvalidRequest, "a service is not in this account's configuration; ask for it without service, or with the id of one that is")
		}
		wanted[id] = true
	}
	return wanted, nil
}

// holds checks who presents the token and who asks for more with it.
func (g Grant) holds(ctx context.Context, r *directory.Realm, p issuer.Presented) (issuer.Bearer, policy.Request, error) {
	b, err := g.Issuer.Authenticate(ctx, r, p, oidc.ScopeOpenID)
	if err != nil {
		return issuer.Bearer{}, policy.Request{}, err
	}
	request, err := g.asks(ctx, r, p, b.Request)
	return b, request, err
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
	if oidc.CodeOf(err) == oidc.CodeInvalidClient {
		return policy.Request{}, refusedOf(request, policy.RuleClient, err)
	}
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
		if oidc.CodeOf(err) == oidc.CodeInvalidDPoPProof {
			return policy.Request{}, refusedOf(request, policy.RuleBinding, err)
		}
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

// refusedOf is a refusal of the token that was judged.
func refusedOf(request policy.Request, rule string, why error) error {
	return issuer.Refuse(request.Account.ID, request.ClientID, request.Grant.ID, rule, why)
}

// part is what becomes of the services with one audience.
type part struct {
	token   *configdoc.Token
	refusal *configdoc.Refusal
}

// anew looks again at what may have changed since the request came in: the parts before this one may
// have taken long, and each token is decided by what is true when it is made (R26). What was
// proved of who asks stays.
func (g Grant) anew(ctx context.Context, r *directory.Realm, first policy.Request) (policy.Request, error) {
	if err := ctx.Err(); err != nil {
		return policy.Request{}, oidc.E(oidc.CodeTemporarilyUnavailable, "this takes too long just now; ask again, or for fewer services").Because(err)
	}
	account, grant, err := g.Issuer.HolderOf(ctx, r, first.Grant.ID)
	if errors.Is(err, issuer.ErrNotFound) {
		first.Grant.Ended = true // and is gone already
		return first, nil
	}
	if err != nil {
		return policy.Request{}, err
	}
	now, err := g.Issuer.PolicyRequest(r, account, grant)
	if err != nil {
		return policy.Request{}, err
	}
	now.Way, now.Subject, now.Key = first.Way, first.Subject, first.Key
	now.ClientID, now.ClientKind, now.ClientBound, now.ClientConditions = first.ClientID, first.ClientKind, first.ClientBound, first.ClientConditions
	return now, nil
}

// part exchanges the token for one of the services with an audience. What the policy or the
// service's source refuses is told of these services alone; what fails here fails the whole.
func (g Grant) part(ctx context.Context, r *directory.Realm, request policy.Request, token, audience string) (part, error) {
	var mark string
	var undelivered error
	request, err := g.anew(ctx, r, request)
	if err != nil {
		return part{}, err
	}
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
