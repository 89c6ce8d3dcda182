package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc"
)

// configuration answers a broad token with the person's own services.
func (s *Server) configuration(c *gin.Context, r *directory.Realm) error {
	token, ok := bearerToken(c)
	if !ok {
		// No token, no error code: the client may not have known (RFC 6750, section 3.1).
		s.challenge(c, r, "")
		return oidc.E(oidc.CodeInvalidToken, "send the broad token as Authorization: Bearer")
	}
	b, err := s.Issuer.Authenticate(c.Request.Context(), r, token, oidc.ScopeOpenID)
	if err != nil {
		if code := oidc.CodeOf(err); code == oidc.CodeInvalidToken || code == oidc.CodeInsufficientScope {
			s.challenge(c, r, code)
		}
		return err
	}
	body, err := r.Document(configdoc.Account{
		Subject: b.Account.ID, Addresses: b.Standing.Addresses, DisplayName: b.Account.Name,
	}, b.Standing.Holder, b.Scope).JSON()
	if err != nil {
		return err
	}
	etag := entityTag(body)
	c.Header("ETag", etag)
	c.Header("Cache-Control", "private, no-cache")
	c.Header("Vary", "Authorization")
	c.Writer.Header().Del("Pragma")
	if matches(c.GetHeader("If-None-Match"), etag) {
		c.Status(http.StatusNotModified)
		return nil
	}
	send(c, http.StatusOK, "application/json", body)
	return nil
}

// bearerToken reads "Authorization: Bearer TOKEN" and nothing else: not the query,
// not a form (RFC 6750, section 2.1). The scheme is compared without case.
func bearerToken(c *gin.Context) (string, bool) {
	headers := c.Request.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// challenge says where to learn how to get a token (RFC 9728, section 5.1; RFC 6750, section 3).
func (s *Server) challenge(c *gin.Context, r *directory.Realm, code string) {
	value := fmt.Sprintf("Bearer resource_metadata=%q", resourceMetadataURL(r))
	if code != "" {
		value += fmt.Sprintf(", error=%q", code)
	}
	if code == oidc.CodeInsufficientScope {
		value += fmt.Sprintf(", scope=%q", oidc.ScopeOpenID)
	}
	c.Header("WWW-Authenticate", value)
}

// resourceMetadataURL inserts the well-known path between host and path (RFC 9728, section 3.1).
func resourceMetadataURL(r *directory.Realm) string {
	scheme, rest, _ := strings.Cut(r.Issuer, "://")
	host, path, below := strings.Cut(rest, "/")
	if below {
		path = "/" + path
	}
	origin := scheme + "://" + host
	return origin + "/.well-known/oauth-protected-resource" + path + oidc.ConfigurationPath
}

// entityTag is a strong one: the same bytes, the same tag (RFC 9110, section 8.8.3).
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// matches compares as If-None-Match does: weakly, any of a list, or "*" (RFC 9110, section 13.1.2).
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}
