package server

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
)

// configuration answers a broad token with the person's own services.
func (s *Server) configuration(c *gin.Context, r *directory.Realm, b issuer.Bearer) error {
	d, err := s.rendered.of(s.Answers.Current(), b.View(r))
	if err != nil {
		return err
	}
	c.Header("ETag", d.etag)
	c.Header("Cache-Control", "private, no-cache")
	c.Header("Vary", "Authorization, DPoP")
	c.Writer.Header().Del("Pragma")
	if matches(c.GetHeader("If-None-Match"), d.etag) {
		c.Status(http.StatusNotModified)
		return nil
	}
	send(c, http.StatusOK, "application/json", d.body)
	return nil
}

// configurationWays are GET and HEAD, for the configuration, and POST, for tokens in it. As many may be
// read as tokens asked for, and are counted apart: programs that look for news all the time keep nobody
// at their address from signing in.
func (s *Server) configurationWays() gin.HandlerFunc {
	document := s.oauth(s.limitedTo("limit:1:configuration:", s.RequestsPerMinute, s.holding(oidc.ScopeOpenID, s.configuration)))
	bundle := s.oauth(s.limited(s.bundle))
	return func(c *gin.Context) {
		if c.Request.Method == http.MethodPost {
			bundle(c)
			return
		}
		document(c)
	}
}

// bundle answers a broad token with the person's own services and a token for each. Who wants
// them all need not send a form.
func (s *Server) bundle(c *gin.Context, r *directory.Realm) error {
	p, err := s.presented(c, r, oidc.ScopeOpenID)
	if err != nil {
		return err
	}
	if c.Request.ContentLength != 0 {
		f, err := form(c)
		if err != nil {
			return err
		}
		p.Call.Form = sent(f)
	}
	d, err := exchange.Grant{Issuer: s.Issuer}.Bundle(c.Request.Context(), r, p)
	if err != nil {
		return refused(c, r, p.Scheme, oidc.ScopeOpenID, err)
	}
	body, err := d.JSON()
	if err != nil {
		return err
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
