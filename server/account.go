package server

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/issuer"
	"signpost/scopes"
	"signpost/web"
)

// account is the person's own page: which programs have access, which app passwords there are, and an
// end to each. Who has no session there, or wants to sign in again, is shown the way in.
func (s *Server) account(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	if q.Has("again") {
		return s.before(c, r, issuer.SignInAgain())
	}
	v, err := s.Issuer.Visitor(c.Request.Context(), r, session(c, r))
	if errors.Is(err, issuer.ErrNoSession) {
		return s.before(c, r, issuer.Ask{Account: true})
	}
	if err != nil {
		return err
	}
	return s.accountPage(c, r, v, "")
}

// accountPage shows a person's own page. notMade is why the form before it made no app password, if it did not.
func (s *Server) accountPage(c *gin.Context, r *directory.Realm, v issuer.Visitor, notMade string) error {
	shown, held, err := s.accountView(c, r, v)
	if err != nil {
		return err
	}
	shown.NotMade = notMade
	s.showAccount(c, r, shown, held)
	return nil
}

// accountView reads what a person's own page shows, and the sign-ins whose words depend on the language.
func (s *Server) accountView(c *gin.Context, r *directory.Realm, v issuer.Visitor) (shown web.Account, held []issuer.Held, err error) {
	ctx := c.Request.Context()
	if held, err = s.Issuer.Held(ctx, r, v); err != nil {
		return shown, nil, err
	}
	wallet, err := s.Issuer.Wallet(ctx, r, v)
	if err != nil {
		return shown, nil, err
	}
	ended, program, some, err := s.Issuer.Ended(ctx, r, v)
	if err != nil {
		return shown, nil, err
	}
	shown.Organisation, shown.Provider, shown.Person, shown.Address = organisation(r), v.Provider.Title, v.Account.Name, v.Address
	shown.Ended, shown.EndedProgram = endedWord(ended, some), programOf(program)
	shown.Action, shown.Token = r.URL("/account"), v.Form
	showWallet(r, &shown, wallet)
	return shown, held, nil
}

func (s *Server) showAccount(c *gin.Context, r *directory.Realm, shown web.Account, held []issuer.Held) {
	s.render(c, http.StatusOK, "", func(b *bytes.Buffer, lang string) error {
		shown.Programs = programsOf(r, held, lang)
		return s.Pages.Account(b, lang, shown)
	})
}

func programsOf(r *directory.Realm, held []issuer.Held, lang string) []web.Program {
	list := make([]web.Program, 0, len(held))
	for _, h := range held {
		list = append(list, web.Program{
			Grant: h.ID, Asker: programOf(h.Client), Permissions: permissions(r, h.Scopes, lang),
			Offline: scopes.Of(strings.Fields(h.Scopes)...).Has(oidc.ScopeOfflineAccess),
			Since:   h.CreatedAt, LastUsed: h.LastUsedAt,
		})
	}
	return list
}

func endedWord(e issuer.Ended, some bool) string {
	switch {
	case !some:
		return ""
	case e.All:
		return web.EndedAll
	case e.AppPassword:
		return web.EndedAppPassword
	case e.Client == "":
		return web.EndedNothing
	}
	return web.EndedOne
}

// programOf is how the page names the client of a grant. A grant does not say where its answer
// went, so a name counts as proved only if nobody else could have got one: who has credentials
// has shown them when the grant was made.
func programOf(client clients.Client) web.Asker {
	sure := client.Confidential() && len(client.RedirectURIs) > 0 && !slices.ContainsFunc(client.RedirectURIs, func(uri string) bool {
		return !client.Remembers(uri) && !client.Proved(uri, true)
	})
	a := web.Asker{Kind: web.AskerUnproved, Name: client.Name}
	switch client.Kind {
	case clients.Open:
		return web.Asker{Kind: web.AskerOpen}
	case clients.Fixed, clients.BuiltIn:
		a.Kind = web.AskerNamed
	case clients.Registered:
		return web.Asker{Kind: web.AskerRegistered, Name: client.Name}
	case clients.URL:
		a.Name = client.Host
	default:
		return web.Asker{Kind: web.AskerGone}
	}
	if sure {
		a.Kind = web.AskerProved
	}
	return a
}

// accountForm ends what the person chose, or makes an app password. The session's cookie is Lax, so forms of other sites
// come without it; that they come from elsewhere, and without the secret of this
// session's pages, is looked at as well.
func (s *Server) accountForm(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	if len(f["token"]) != 1 || len(f["grant"])+len(f["app_password"])+len(f["decision"]) != 1 {
		return errBadForm
	}
	v, err := s.Issuer.Visitor(c.Request.Context(), r, session(c, r))
	switch {
	case errors.Is(err, issuer.ErrNoSession): // the way in is there
	case err != nil:
		return err
	case !v.Sent(f.Get("token")):
		return errCrossOrigin
	case f.Has("grant"):
		err = s.Issuer.EndHeld(c.Request.Context(), r, v, f.Get("grant"))
	case f.Has("app_password"):
		err = s.Issuer.EndAppPassword(c.Request.Context(), r, v, f.Get("app_password"))
	case f.Get("decision") == web.DecisionMake:
		err = s.makeAppPassword(c, r, v, f)
		if err == nil {
			return nil
		}
	case f.Get("decision") == web.DecisionEndAll:
		err = s.endAll(c, r, v)
	case f.Get("decision") == web.DecisionSignOut:
		return s.signOut(c, r)
	default:
		return errBadForm
	}
	if err != nil && !errors.Is(err, issuer.ErrNoSession) {
		return err
	}
	c.Redirect(http.StatusSeeOther, r.URL("/account"))
	return nil
}

// endAll ends everything of a person, whose browser goes on with a new session.
func (s *Server) endAll(c *gin.Context, r *directory.Realm, v issuer.Visitor) error {
	value, err := s.Issuer.EndAllHeld(c.Request.Context(), r, v)
	if err != nil {
		return err
	}
	if value != "" {
		name, secure := sessionCookie(r)
		setCookie(c, name, value, secure)
	}
	return nil
}

// toAccount begins a session in this browser, in the place of the one that it may have.
func (s *Server) toAccount(c *gin.Context, r *directory.Realm, value string) error {
	if err := s.Issuer.EndSession(c.Request.Context(), r, session(c, r)); err != nil {
		return err
	}
	name, secure := sessionCookie(r)
	setCookie(c, name, value, secure)
	c.Redirect(http.StatusSeeOther, r.URL("/account"))
	return nil
}

// sessionCookie names the cookie that holds the secret of a session at the person's own page. No
// tenant's name has a dot in it, so it is no other tenant's browserCookie.
//
// Like that one it is Lax and not Strict: it is set on the way back from the identity
// provider, and browsers would keep a Strict one from the page to which that way
// leads. What Lax lets other sites do is open the page, which changes nothing.
func sessionCookie(r *directory.Realm) (name string, secure bool) {
	name, secure = browserCookie(r)
	return name + ".account", secure
}

// session returns the secret that this browser holds, or "".
func session(c *gin.Context, r *directory.Realm) string {
	name, _ := sessionCookie(r)
	value, err := c.Request.Cookie(name)
	if err != nil {
		return ""
	}
	return value.Value
}
