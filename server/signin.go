package server

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/upstream"
)

// signIn sends the browser to the identity provider that the person chose.
func (s *Server) signIn(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	state, signIn, err := s.Issuer.Choose(c.Request.Context(), r, q.Get("ticket"), c.Param("idp"), browser(c, r))
	if err != nil {
		return err
	}
	return s.toProvider(c, r, state, signIn)
}

// toProvider sends the browser to the identity provider of a sign-in.
func (s *Server) toProvider(c *gin.Context, r *directory.Realm, state string, signIn issuer.SignIn) error {
	p, err := issuer.Provider(r, signIn.Provider)
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
		KeepClaims: p.KeepClaims,
	}
}

func upstreamRequest(state string, s issuer.SignIn) upstream.Request {
	return upstream.Request{
		State: state, Nonce: s.Nonce, Verifier: s.Verifier, LoginHint: s.Ask.LoginHint,
		Prompt: s.Prompt, MaxAge: s.Ask.MaxAge, ACRValues: s.Ask.ACRValues, UILocales: s.Ask.UILocales,
	}
}

// callback takes the identity provider's answer (R3) and leads to the consent page,
// or past it to the client.
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
	signIn, err := s.Issuer.Resume(c.Request.Context(), r, p, q.Get("state"), browser(c, r))
	if err != nil {
		return err
	}
	return s.tellClient(c, r, s.quietly(c, signIn.Ask, s.cameBack(c, r, p, signIn, q)))
}

// cameBack goes on with whoever the identity provider sent back.
func (s *Server) cameBack(c *gin.Context, r *directory.Realm, p directory.IdentityProvider, signIn issuer.SignIn, q url.Values) error {
	person, refused := s.person(c, r, p, signIn, q)
	if refused != nil {
		return &issuer.Denied{Ask: signIn.Ask, Err: refused}
	}
	next, err := s.Issuer.SignedIn(c.Request.Context(), r, signIn, person)
	switch {
	case err != nil:
		return err
	case next.State != "":
		return s.toProvider(c, r, next.State, next.SignIn)
	case next.Session != "":
		return s.toAccount(c, r, next.Session)
	case next.Location != "":
		c.Redirect(http.StatusSeeOther, next.Location)
	default:
		c.Redirect(http.StatusSeeOther, r.URL("/consent")+"?ticket="+next.Ticket)
	}
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
	case oidc.CodeLoginRequired, oidc.CodeInteractionRequired, oidc.CodeConsentRequired, "account_selection_required":
		return issuer.SignInNeeded()
	case oidc.CodeTemporarilyUnavailable:
		return oidc.E(code, "the identity provider is not available; try again in a moment")
	}
	return oidc.E(oidc.CodeServerError, "the identity provider refused the sign-in")
}
