package server

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
)

// token is the token endpoint (RFC 6749, section 3.2; RFC 8693, section 2.1).
func (s *Server) token(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	answer, err := s.Issuer.Token(c.Request.Context(), r, f, c.GetHeader("Authorization") != "")
	if err != nil {
		return err
	}
	write(c, http.StatusOK, "application/json", answer)
	return nil
}
