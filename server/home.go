package server

import (
	"bytes"
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/web"
)

// home is what a person sees who opens an issuer's address.
func (s *Server) home(c *gin.Context, r *directory.Realm) error {
	v := web.Home{Declared: true, Organisation: organisation(r), Issuer: r.Issuer, Account: r.URL("/account")}
	if len(r.Domains) > 0 {
		v.Address = "alice@" + r.Domains[0].Name
	}
	s.renderHome(c, v)
	return nil
}

func (s *Server) renderHome(c *gin.Context, v web.Home) {
	s.render(c, http.StatusOK, "", func(b *bytes.Buffer, lang string) error { return s.Pages.Home(b, lang, v) })
}

// empty is what an operator sees before anything is declared.
func (s *Server) empty(next gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		if len(s.Answers.Current().Realms()) > 0 {
			next(c)
			return
		}
		s.renderHome(c, web.Home{Issuer: s.Answers.Current().Base()})
	}
}

// asset sends a file that pages load. Its name changes with its content.
func (s *Server) asset(c *gin.Context) {
	a, ok := s.assets[c.Request.URL.Path]
	if !ok {
		s.writeProblem(c, directory.ErrNotFound)
		return
	}
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	send(c, http.StatusOK, a.MediaType, a.Body)
}
