package server

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
)

// configuration answers a broad token with the person's own services.
func (s *Server) configuration(c *gin.Context, r *directory.Realm, b issuer.Bearer) error {
	body, err := r.Document(configdoc.Account{
		Subject: b.Account.ID, Addresses: b.Standing.Addresses, DisplayName: b.Account.Name,
	}, b.Standing.Holder, b.Scope).JSON()
	if err != nil {
		return err
	}
	etag := entityTag(body)
	c.Header("ETag", etag)
	c.Header("Cache-Control", "private, no-cache")
	c.Header("Vary", "Authorization, DPoP")
	c.Writer.Header().Del("Pragma")
	if matches(c.GetHeader("If-None-Match"), etag) {
		c.Status(http.StatusNotModified)
		return nil
	}
	send(c, http.StatusOK, "application/json", body)
	return nil
}

// resourceMetadataURL inserts the well-known path between host and path (RFC 9728, section 3.1).
func resourceMetadataURL(r *directory.Realm) string {
	scheme, rest, _ := strings.Cut(r.Issuer, "://")
	host, path, below := strings.Cut(rest, "/")
	if below {
		path = "/" + path
	}
	origin := scheme + "://" + host
	return origin + protectedResources + path + oidc.ConfigurationPath
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
