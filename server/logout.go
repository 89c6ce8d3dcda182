package server

import (
	"bytes"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/web"
)

// logout ends the browser's session: what it has begun here and not finished. Who has
// not proved to be a client is not believed, and the person is asked (R28). Programs stay
// signed in: those sign-ins are grants, which only /revoke, the person's own page and an
// administrator end.
func (s *Server) logout(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	return s.farewell(c, r, q)
}

// logoutForm takes the same by form, and the person's answer to the question.
func (s *Server) logoutForm(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	if f.Has("decision") {
		return s.sameOrigin(func(c *gin.Context, r *directory.Realm) error { return s.logoutAnswer(c, r, f.Get("decision")) })(c, r)
	}
	return s.farewell(c, r, f)
}

// farewell does what a logout request has proved: it ends and goes back to the client, or asks.
func (s *Server) farewell(c *gin.Context, r *directory.Realm, q url.Values) error {
	bye, err := s.Issuer.Logout(c.Request.Context(), r, sent(q))
	switch {
	case err != nil:
		return err
	case !bye.Proved:
		s.renderLogout(c, web.Logout{Organisation: organisation(r), Account: r.URL("/account"), Action: r.URL("/logout")})
		return nil
	}
	if err := s.endBrowser(c, r); err != nil {
		return err
	}
	if bye.Location != "" {
		c.Redirect(http.StatusSeeOther, bye.Location)
		return nil
	}
	s.renderLogout(c, web.Logout{Organisation: organisation(r), Account: r.URL("/account"), Done: true})
	return nil
}

// logoutAnswer ends what the person wants ended. Another site's form comes without our
// cookie, also from browsers that do not say where a form comes from, and ends nothing.
func (s *Server) logoutAnswer(c *gin.Context, r *directory.Realm, decision string) error {
	if decision != web.DecisionEnd {
		return errBadForm
	}
	if browser(c, r) == "" && session(c, r) == "" {
		s.renderLogout(c, web.Logout{Organisation: organisation(r), Account: r.URL("/account"), Done: true})
		return nil
	}
	return s.signOut(c, r)
}

// signOut ends the browser's session and says so.
func (s *Server) signOut(c *gin.Context, r *directory.Realm) error {
	if err := s.endBrowser(c, r); err != nil {
		return err
	}
	s.renderLogout(c, web.Logout{Organisation: organisation(r), Account: r.URL("/account"), Done: true})
	return nil
}

func (s *Server) renderLogout(c *gin.Context, v web.Logout) {
	s.render(c, http.StatusOK, "", func(b *bytes.Buffer, lang string) error { return s.Pages.Logout(b, lang, v) })
}

// endBrowser ends the session at the person's own page and takes the cookies away. Sign-ins
// that were begun are bound to theirs: without it they cannot be gone on with, and the cache forgets
// them in its time.
func (s *Server) endBrowser(c *gin.Context, r *directory.Realm) error {
	if err := s.Issuer.EndSession(c.Request.Context(), r, session(c, r)); err != nil {
		return err
	}
	for _, cookie := range []func(*directory.Realm) (string, bool){browserCookie, sessionCookie} {
		name, secure := cookie(r)
		setCookie(c, name, "", secure)
	}
	return nil
}
