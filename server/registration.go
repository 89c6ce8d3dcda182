package server

import (
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
)

// registration is the endpoint at which programs register themselves (RFC 7591,
// section 3). Where the tenant has that switched off, it is a route like any that does not exist.
func (s *Server) registration(c *gin.Context) {
	if r, ok := s.realm(c); ok && r.Clients.RegistrationOff {
		s.problem(noRoute)(c)
		return
	}
	s.oauth(s.limitedTo("limit:1:register:", max(1, s.RequestsPerMinute/registrationShare), s.register))(c)
}

// registrationShare says how much more tightly registrations are limited than other requests:
// a program registers once and then asks many times.
const registrationShare = 10

func (s *Server) register(c *gin.Context, r *directory.Realm) error {
	mediaType, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return oidc.E(oidc.CodeInvalidClientMetadata, "send the client's metadata as application/json")
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return err
	}
	answer, err := s.Issuer.Clients.Register(c.Request.Context(), r, body)
	if err != nil {
		return err
	}
	write(c, http.StatusCreated, "application/json", answer)
	return nil
}

// registrationEndpoint is the endpoint's URL for the metadata, "" where it is switched off.
func registrationEndpoint(r *directory.Realm) string {
	if r.Clients.RegistrationOff {
		return ""
	}
	return r.URL("/register")
}
