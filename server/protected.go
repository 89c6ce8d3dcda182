package server

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
)

// protectedResource is the metadata of one resource (RFC 9728, section 2).
type protectedResource struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	ResourceName         string   `json:"resource_name"`
	BoundTokensRequired  bool     `json:"dpop_bound_access_tokens_required,omitempty"`
}

// protectedResources are below this path, with the path of the resource inserted after
// it (RFC 9728, section 3.1).
const protectedResources = "/.well-known/oauth-protected-resource"

// protectedResource describes the resource whose metadata are asked for: an issuer's own
// configuration, or whatever lies below a declared service, at the service's own
// host, if that leads here (R30).
func (s *Server) protectedResource(c *gin.Context) {
	d, found := s.describe(c.Request.Host, strings.TrimPrefix(c.Request.URL.EscapedPath(), protectedResources))
	if !found || c.Request.URL.RawQuery != "" {
		s.writeProblem(c, directory.ErrNotFound)
		return
	}
	c.Header("Cache-Control", "public, max-age=300")
	write(c, http.StatusOK, "application/json", d)
}

// describe finds what lives at a host and path. The resource is the URL that was asked
// for, because clients compare it with the one they used (RFC 9728, section 3.3).
func (s *Server) describe(host, path string) (protectedResource, bool) {
	snapshot := s.Answers.Current()
	if r, ok := issuerOf(snapshot, host, path); ok {
		return protectedResource{
			Resource: r.URL(oidc.ConfigurationPath), AuthorizationServers: []string{r.Issuer},
			ScopesSupported: []string{oidc.ScopeOpenID}, BearerMethods: []string{"header"}, ResourceName: r.Title,
		}, true
	}
	for _, scheme := range []string{"https://", "http://"} { // services without TLS exist on loopback addresses
		resource := scheme + strings.ToLower(host) + path
		r, service, ok := snapshot.Protected(resource)
		if !ok {
			continue
		}
		return protectedResource{
			Resource: resource, AuthorizationServers: []string{r.Issuer}, ScopesSupported: service.Scopes,
			BearerMethods: []string{"header"}, ResourceName: service.Title,
			BoundTokensRequired: service.DPoP == directory.DPoPRequires,
		}, true
	}
	return protectedResource{}, false
}

// issuerOf finds the tenant whose configuration lies at a host and path.
func issuerOf(snapshot *directory.Snapshot, host, path string) (*directory.Realm, bool) {
	below, ok := strings.CutSuffix(path, oidc.ConfigurationPath)
	if !ok {
		return nil, false
	}
	name, named := strings.CutPrefix(below, "/t/")
	if below != "" && (!named || name == "" || strings.Contains(name, "/")) {
		return nil, false
	}
	return snapshot.RealmAt(host, name)
}
