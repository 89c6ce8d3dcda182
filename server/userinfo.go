package server

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc/issuer"
)

// userinfo tells a client about the person who signed in
// (https://openid.net/specs/openid-connect-core-1_0.html#UserInfo).
func (s *Server) userinfo(c *gin.Context, _ *directory.Realm, b issuer.Bearer) error {
	write(c, http.StatusOK, "application/json", b.UserInfo())
	return nil
}
