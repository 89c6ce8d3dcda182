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
// signed in: those sign-ins are grants, which only /revoke and an administrator end.
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
		return s.sameOrigin(s.logoutAnswer)(c, r)
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
		s.renderLogout(c, web.Logout{Organisation: organisation(r), Action: r.URL("/logout")})
		return nil
	}
	endBrowser(c, r)
	if bye.Location != "" {
		c.Redirect(http.StatusSeeOther, bye.Location)
		return nil
	}
	s.renderLogout(c, web.Logout{Organisation: organisation(r), Done: true})
	return nil
}

// logoutAnswer ends what the person wants ended. Another site's form comes without our
// cookie, also from browsers that do not say where a form comes from, and ends nothing.
func (s *Server) logoutAnswer(c *gin.Context, r *directory.Realm) error {
	if c.Request.PostForm.Get("decision") != web.DecisionEnd {
		return errBadForm
	}
	if browser(c, r) != "" {
		endBrowser(c, r)
	}
	s.renderLogout(c, web.Logout{Organisation: organisation(r), Done: true})
	return nil
}

func (s *Server) renderLogout(c *gin.Context, v web.Logout) {
	s.render(c, http.StatusOK, "", func(b *bytes.Buffer, lang string) error { return s.Pages.Logout(b, lang, v) })
}

// endBrowser takes the cookie away. Sign-ins that were begun are bound to it: without it
// they cannot be gone on with, and the cache forgets them in its time.
func endBrowser(c *gin.Context, r *directory.Realm) {
	name, secure := browserCookie(r)
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // G124: as in ensureBrowser
		Name: name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	})
}
