package server

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc"
)

// metadata is the authorization server's metadata (RFC 8414, section 2) and the
// OpenID provider's configuration in one. A member is here only if what it
// names works.
type metadata struct {
	Issuer                 string   `json:"issuer"`
	AuthorizationEndpoint  string   `json:"authorization_endpoint"`
	TokenEndpoint          string   `json:"token_endpoint"`
	JWKSURI                string   `json:"jwks_uri"`
	ScopesSupported        []string `json:"scopes_supported"`
	ResponseTypesSupported []string `json:"response_types_supported"`
	ResponseModesSupported []string `json:"response_modes_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	TokenAuthMethods       []string `json:"token_endpoint_auth_methods_supported"`
	CodeChallengeMethods   []string `json:"code_challenge_methods_supported"`
	IssParameter           bool     `json:"authorization_response_iss_parameter_supported"`
	SubjectTypes           []string `json:"subject_types_supported"`
	IDTokenAlgorithms      []string `json:"id_token_signing_alg_values_supported"`
	PromptValues           []string `json:"prompt_values_supported"`
	ClaimsParameter        bool     `json:"claims_parameter_supported"`
	RequestParameter       bool     `json:"request_parameter_supported"`
	RequestURIParameter    bool     `json:"request_uri_parameter_supported"`
}

func (s *Server) metadata(c *gin.Context, r *directory.Realm) error {
	c.Header("Cache-Control", "public, max-age=300")
	write(c, http.StatusOK, "application/json", metadata{
		Issuer:                 r.Issuer,
		AuthorizationEndpoint:  r.URL("/authorize"),
		TokenEndpoint:          r.URL("/token"),
		JWKSURI:                r.URL("/jwks"),
		ScopesSupported:        r.Supported().Words(),
		ResponseTypesSupported: []string{"code"},
		ResponseModesSupported: []string{"query"},
		GrantTypesSupported:    []string{oidc.GrantTypeAuthorizationCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeTokenExchange},
		TokenAuthMethods:       []string{"none"},
		CodeChallengeMethods:   []string{"S256"},
		IssParameter:           true,
		SubjectTypes:           []string{"public"},
		IDTokenAlgorithms:      []string{"RS256"},
		PromptValues:           []string{"none", "login", "consent", "select_account"},
	})
	return nil
}

// protectedResource describes the one protected resource that is the issuer's own:
// the configuration (RFC 9728, section 2).
type protectedResource struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	ResourceName         string   `json:"resource_name"`
}

func (s *Server) protectedResource(c *gin.Context, r *directory.Realm) error {
	c.Header("Cache-Control", "public, max-age=300")
	write(c, http.StatusOK, "application/json", protectedResource{
		Resource:             r.URL(oidc.ConfigurationPath),
		AuthorizationServers: []string{r.Issuer},
		ScopesSupported:      []string{oidc.ScopeOpenID},
		BearerMethods:        []string{"header"},
		ResourceName:         r.Title,
	})
	return nil
}

func (s *Server) jwks(c *gin.Context, r *directory.Realm) error {
	body, err := s.Keys.JWKS(r.Name)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "public, max-age=300")
	send(c, http.StatusOK, "application/jwk-set+json", body)
	return nil
}

func (s *Server) scopeDocument(c *gin.Context, r *directory.Realm) error {
	c.Header("Cache-Control", "public, max-age=300")
	send(c, http.StatusOK, "application/json", r.ScopeDocument)
	return nil
}

func (s *Server) configurationSchema(c *gin.Context, r *directory.Realm) error {
	c.Header("Cache-Control", "public, max-age=300")
	send(c, http.StatusOK, configdoc.SchemaMediaType, configdoc.Schema(r.URL("/schemas/configuration.json")))
	return nil
}
