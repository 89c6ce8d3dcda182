package server

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/issuer"
	"signpost/scopes"
	"signpost/web"
)

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
	asker, err := s.asker(c, r, consent.Ask)
	if err != nil {
		return err
	}
	s.renderIn(c, http.StatusOK, consent.Ask.UILocales, formRedirect(consent.Ask.RedirectURI), func(b *bytes.Buffer, lang string) error {
		return s.Pages.Consent(b, lang, web.Consent{
			Asker: asker, Organisation: organisation(r), Provider: p.Title,
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

// formRedirect is where the consent form leads in the end, as a source of a content
// security policy: an origin, or the scheme alone where it has none that can be
// written there: private-use schemes, IPv6 addresses, and whatever would end the directive.
// It is empty for a device, whose answer goes to a page of ours.
func formRedirect(redirectURI string) string {
	if redirectURI == "" {
		return ""
	}
	scheme, _, _ := strings.Cut(redirectURI, ":")
	name := clients.RedirectName(redirectURI)
	if name == scheme+":" || strings.Trim(name, sourceHost) != "" {
		return scheme + ":"
	}
	return scheme + "://" + name
}

// sourceHost is what a host with a port is made of in a content security policy.
const sourceHost = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:"

// asker is how the page names the client: by a name if the operator wrote it down, by
// the host of a URL (R15), by the name that a registered program gave itself, which
// is shown as such. The open one has no name that could be believed (R13).
func (s *Server) asker(c *gin.Context, r *directory.Realm, a issuer.Ask) (web.Asker, error) {
	client, err := s.Issuer.Asker(c.Request.Context(), r, a)
	if err != nil {
		return web.Asker{}, err
	}
	to := web.Asker{Kind: web.AskerOpen, Device: a.Device != ""}
	if !to.Device {
		to.Redirect = clients.RedirectName(a.RedirectURI)
	}
	switch client.Kind {
	case clients.Fixed, clients.BuiltIn:
		to.Kind, to.Name = web.AskerNamed, client.Name
	case clients.Registered:
		to.Kind, to.Name = web.AskerRegistered, client.Name
	case clients.URL:
		to.Kind, to.Name = web.AskerUnproved, client.Host
		if client.Proved(a.RedirectURI, a.Authenticated) {
			to.Kind = web.AskerProved
		}
	}
	return to, nil
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
