package server

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/upstream"
	"signpost/scopes"
	"signpost/web"
)

// authorize checks the request and shows the page before the identity provider,
// with a link to each that may sign this person in (RFC 6749, section 4.1.1).
func (s *Server) authorize(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	ask, err := s.Issuer.Check(r, q)
	if denied, ok := errors.AsType[*issuer.Denied](err); ok {
		s.deny(c, denied.Err, denied.RedirectError(r.Issuer))
		return nil
	}
	if err != nil {
		return err
	}
	choices, err := s.choices(c, r, ask)
	if err != nil {
		return err
	}
	cancelled := issuer.Denied{Ask: ask, Err: oidc.E(oidc.CodeAccessDenied, "the person went back")}
	s.render(c, http.StatusOK, "", func(b *bytes.Buffer, lang string) error {
		return s.Pages.SignIn(b, lang, web.SignIn{
			Asker: asker(ask), Organisation: organisation(r), Choices: choices,
			Permissions: permissions(r, ask.Scope, lang), Cancel: cancelled.RedirectError(r.Issuer),
		})
	})
	return nil
}

// authorizeForm turns a request that came as a form into one that came as a link. A
// form of another site comes without our cookie, and answering it would
// give the browser a new one and end the sign-ins in flight.
func (s *Server) authorizeForm(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	c.Redirect(http.StatusSeeOther, r.URL("/authorize")+"?"+f.Encode())
	return nil
}

// deny logs a refusal and sends the browser to the client with it.
func (s *Server) deny(c *gin.Context, refused *oidc.Error, to string) {
	s.Log.InfoContext(c.Request.Context(), "denied", "request_id", requestID(c), "route", c.FullPath(), "code", refused.Code)
	c.Redirect(http.StatusSeeOther, to)
}

// choices keeps the request and returns a link for each identity provider that may
// sign this person in. None is asked anything before somebody follows its link.
func (s *Server) choices(c *gin.Context, r *directory.Realm, ask issuer.Ask) ([]web.Choice, error) {
	providers := ask.Providers(r)
	if len(providers) == 0 {
		return nil, errNoProvider
	}
	ticket, err := s.Issuer.Begin(c.Request.Context(), r, ask, ensureBrowser(c, r))
	if err != nil {
		return nil, err
	}
	var choices []web.Choice
	for _, p := range providers {
		choices = append(choices, web.Choice{Title: p.Title, Host: host(p.Issuer), URL: r.URL("/sign-in/"+p.Name) + "?ticket=" + ticket})
	}
	return choices, nil
}

// signIn sends the browser to the identity provider that the person chose.
func (s *Server) signIn(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	p, err := issuer.Provider(r, c.Param("idp"))
	if err != nil {
		return err
	}
	state, signIn, err := s.Issuer.Choose(c.Request.Context(), r, q.Get("ticket"), p.Name, browser(c, r))
	if err != nil {
		return err
	}
	to, err := s.Upstream.AuthCodeURL(c.Request.Context(), upstreamProvider(r, p), upstreamRequest(state, signIn))
	if err != nil {
		return err
	}
	c.Redirect(http.StatusSeeOther, to)
	return nil
}

func upstreamProvider(r *directory.Realm, p directory.IdentityProvider) upstream.Provider {
	return upstream.Provider{
		Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: string(p.ClientSecret),
		RedirectURL: r.URL("/callback/" + p.Name), Scopes: p.Scopes, Domains: p.Domains,
		AddressClaim: p.AddressClaim, AddressTrust: p.AddressTrust, LoginClaim: p.LoginClaim, NameClaim: p.NameClaim,
	}
}

func upstreamRequest(state string, s issuer.SignIn) upstream.Request {
	return upstream.Request{
		State: state, Nonce: s.Nonce, Verifier: s.Verifier, LoginHint: s.Ask.LoginHint,
		Prompt: s.Ask.Prompt, MaxAge: s.Ask.MaxAge,
	}
}

// callback takes the identity provider's answer (R3) and leads to the consent page.
func (s *Server) callback(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if len(q[name]) > 1 {
			return errBadForm
		}
	}
	p, err := issuer.Provider(r, c.Param("idp"))
	if err != nil {
		return err
	}
	cookie := browser(c, r)
	signIn, err := s.Issuer.Resume(c.Request.Context(), r, p, q.Get("state"), cookie)
	if err != nil {
		return err
	}
	person, refused := s.person(c, r, p, signIn, q)
	if refused != nil {
		denied := issuer.Denied{Ask: signIn.Ask, Err: refused}
		s.deny(c, refused, denied.RedirectError(r.Issuer))
		return nil
	}
	ticket, err := s.Issuer.SignedIn(c.Request.Context(), r, signIn, person)
	if denied, ok := errors.AsType[*issuer.Denied](err); ok {
		s.deny(c, denied.Err, denied.RedirectError(r.Issuer))
		return nil
	}
	if err != nil {
		return err
	}
	c.Redirect(http.StatusSeeOther, r.URL("/consent")+"?ticket="+ticket)
	return nil
}

// person finds out who came back, or what to tell the client.
func (s *Server) person(c *gin.Context, r *directory.Realm, p directory.IdentityProvider, signIn issuer.SignIn, q url.Values) (oidc.Person, *oidc.Error) {
	// An error in another issuer's name is not this one's word (RFC 9207, section 2.4).
	if code := q.Get("error"); code != "" && (q.Get("iss") == "" || q.Get("iss") == p.Issuer) {
		return oidc.Person{}, providerRefused(code)
	}
	answered := upstreamRequest(q.Get("state"), signIn)
	answered.ResponseIssuer = q.Get("iss")
	person, err := s.Upstream.Redeem(c.Request.Context(), upstreamProvider(r, p), answered, q.Get("code"))
	if err == nil {
		return person, nil
	}
	s.Log.WarnContext(c.Request.Context(), "identity provider", "request_id", requestID(c), "tenant", r.Name, "idp", p.Name, "err", err)
	if errors.Is(err, upstream.ErrUnavailable) {
		return oidc.Person{}, oidc.E(oidc.CodeTemporarilyUnavailable, "the identity provider does not answer; try again in a moment")
	}
	return oidc.Person{}, oidc.E(oidc.CodeServerError, "the identity provider's answer could not be accepted")
}

// providerRefused passes on the few errors that mean the same to our client.
func providerRefused(code string) *oidc.Error {
	switch code {
	case oidc.CodeAccessDenied:
		return oidc.E(code, "the identity provider or the person said no")
	case oidc.CodeLoginRequired, oidc.CodeInteractionRequired, oidc.CodeConsentRequired:
		return oidc.E(oidc.CodeLoginRequired, "the identity provider wants the person to sign in")
	case oidc.CodeTemporarilyUnavailable:
		return oidc.E(code, "the identity provider is not available; try again in a moment")
	}
	return oidc.E(oidc.CodeServerError, "the identity provider refused the sign-in")
}

// consentPage asks the signed-in person (R12).
func (s *Server) consentPage(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	ticket := q.Get("ticket")
	consent, err := s.Issuer.Consent(c.Request.Context(), r, ticket, browser(c, r))
	if err != nil {
		return err
	}
	p, err := issuer.Provider(r, consent.Provider)
	if err != nil {
		return err
	}
	s.render(c, http.StatusOK, formRedirect(consent.Ask.RedirectURI), func(b *bytes.Buffer, lang string) error {
		return s.Pages.Consent(b, lang, web.Consent{
			Asker: asker(consent.Ask), Organisation: organisation(r), Provider: p.Title,
			Person: consent.Name, Address: consent.Address,
			Permissions: permissions(r, consent.Ask.Scope, lang),
			Offline:     scopes.Of(strings.Fields(consent.Ask.Scope)...).Has(oidc.ScopeOfflineAccess),
			Action:      r.URL("/consent"), Ticket: ticket,
		})
	})
	return nil
}

// consentForm takes the person's yes or no.
func (s *Server) consentForm(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	if len(f["ticket"]) != 1 || len(f["decision"]) != 1 {
		return errBadForm
	}
	to, err := s.Issuer.Answer(c.Request.Context(), r, f.Get("ticket"), browser(c, r), f.Get("decision") == web.DecisionAllow)
	if err != nil {
		return err
	}
	c.Redirect(http.StatusSeeOther, to)
	return nil
}

// formRedirect is the origin to which the consent form leads in the end, as a
// source of a content security policy. Those have no form for IPv6 addresses, so
// there the scheme must do.
func formRedirect(redirectURI string) string {
	name := issuer.RedirectName(redirectURI)
	if strings.HasPrefix(name, "[") {
		return "http:"
	}
	return "http://" + name
}

// asker is how the page names the client. The open one has no name that could be believed (R13).
func asker(a issuer.Ask) web.Asker {
	return web.Asker{Kind: web.AskerOpen, Redirect: issuer.RedirectName(a.RedirectURI)}
}

func organisation(r *directory.Realm) web.Organisation {
	o := web.Organisation{Title: r.Title, Help: r.Help, Host: host(r.Issuer)}
	for _, d := range r.Domains {
		o.Domains = append(o.Domains, d.Name)
	}
	return o
}

// permissions says in words what the scopes open. offline_access is left out: how
// long the sign-in lasts has a sentence of its own on the page.
func permissions(r *directory.Realm, granted, lang string) []web.Permission {
	var list []web.Permission
	for _, word := range strings.Fields(granted) {
		if word == oidc.ScopeOfflineAccess {
			continue
		}
		if s, ok := r.Catalogue.Scope(word); ok {
			list = append(list, web.Permission{Title: s.TitleIn(lang), Text: s.TextIn(lang)})
		}
	}
	return list
}

// host is the host of a URL that was checked when it was declared.
func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}
