package server

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
)

// push is the pushed authorization request endpoint (RFC 9126, section 2).
func (s *Server) push(c *gin.Context, r *directory.Realm) error {
	c.Header(nonceHeader, s.Issuer.Proofs.Nonce(r.Name))
	f, err := form(c)
	if err != nil {
		return err
	}
	pushed, err := s.Issuer.Push(c.Request.Context(), r, call(c, r, f))
	if err != nil {
		return err
	}
	write(c, http.StatusCreated, "application/json", pushed)
	return nil
}
