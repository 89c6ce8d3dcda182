package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc/issuer"
)

// token is the token endpoint (RFC 6749, section 3.2; RFC 8693, section 2.1).
func (s *Server) token(c *gin.Context, r *directory.Realm) error {
	c.Header(nonceHeader, s.Issuer.Proofs.Nonce(r.Name))
	f, err := form(c)
	if err != nil {
		return err
	}
	answer, err := s.Issuer.Token(c.Request.Context(), r, call(c, r, f))
	if err != nil {
		return err
	}
	write(c, http.StatusOK, "application/json", answer)
	return nil
}

// call takes a program's request apart. The URL is the one that is published, so that
// what a proof or an assertion names is compared with what the metadata say.
func call(c *gin.Context, r *directory.Realm, form url.Values) issuer.Call {
	return issuer.Call{
		Form: sent(form), Authorization: c.Request.Header.Values("Authorization"), DPoP: c.Request.Header.Values("DPoP"),
		Method: c.Request.Method, URL: r.URL(endpoint(c)),
	}
}

// endpoint is the path of the request below its issuer.
func endpoint(c *gin.Context) string {
	return strings.TrimPrefix(c.FullPath(), "/t/:tenant")
}
