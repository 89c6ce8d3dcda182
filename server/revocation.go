package server

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
)

// revoke ends the sign-in that a client's token belongs to. The answer is the same whether
// the token meant anything here or not (RFC 7009, section 2.2).
func (s *Server) revoke(c *gin.Context, r *directory.Realm) error {
	c.Header(nonceHeader, s.Issuer.Proofs.Nonce(r.Name))
	f, err := form(c)
	if err != nil {
		return err
	}
	if err := s.Issuer.Revoke(c.Request.Context(), r, call(c, r, f)); err != nil {
		return err
	}
	c.Header("Content-Length", "0")
	c.Status(http.StatusOK)
	return nil
}
