package server

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
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
	TokenAuthAlgorithms    []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RegistrationEndpoint   string   `json:"registration_endpoint,omitempty"`
	ClientIDDocuments      bool     `json:"client_id_metadata_document_supported"`
	CodeChallengeMethods   []string `json:"code_challenge_methods_supported"`
	IssParameter           bool     `json:"authorization_response_iss_parameter_supported"`
	DPoPAlgorithms         []string `json:"dpop_signing_alg_values_supported"`

	RevocationEndpoint          string   `json:"revocation_endpoint"`
	RevocationAuthMethods       []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgorithms    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionEndpoint       string   `json:"introspection_endpoint"`
	IntrospectionAuthMethods    []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgorithms []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAlgorithms     []string `json:"introspection_signing_alg_values_supported"` // RFC 9701, section 7

	DeviceEndpoint string `json:"device_authorization_endpoint,omitempty"` // RFC 8628, section 4

	ProtectedResources []string `json:"protected_resources,omitempty"` // RFC 9728, section 4; complete or absent (R30)

	PushEndpoint string `json:"pushed_authorization_request_endpoint"` // RFC 9126, section 5
	PushRequired bool   `json:"require_pushed_authorization_requests"`

	UserinfoEndpoint    string   `json:"userinfo_endpoint"`
	ClaimsSupported     []string `json:"claims_supported"`
	EndSessionEndpoint  string   `json:"end_session_endpoint"`
	SubjectTypes        []string `json:"subject_types_supported"`
	IDTokenAlgorithms   []string `json:"id_token_signing_alg_values_supported"`
	PromptValues        []string `json:"prompt_values_supported"`
	ClaimsParameter     bool     `json:"claims_parameter_supported"`
	RequestParameter    bool     `json:"request_parameter_supported"`
	RequestURIParameter bool     `json:"request_uri_parameter_supported"`
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
		GrantTypesSupported:    grantTypes(r),
		TokenAuthMethods:       []string{oidc.AuthNone, oidc.AuthSecretBasic, oidc.AuthSecretPost, oidc.AuthPrivateKeyJWT},
		TokenAuthAlgorithms:    clients.AssertionAlgorithms(),
		RegistrationEndpoint:   registrationEndpoint(r),
		ClientIDDocuments:      !r.Clients.URLsOff,
		CodeChallengeMethods:   []string{"S256"},
		IssParameter:           true,
		DPoPAlgorithms:         dpop.Algorithms(),

		RevocationEndpoint:          r.URL("/revoke"),
		RevocationAuthMethods:       []string{oidc.AuthNone, oidc.AuthSecretBasic, oidc.AuthSecretPost, oidc.AuthPrivateKeyJWT},
		RevocationAuthAlgorithms:    clients.AssertionAlgorithms(),
		IntrospectionEndpoint:       r.URL("/introspect"),
		IntrospectionAuthMethods:    []string{oidc.AuthSecretBasic, oidc.AuthSecretPost, oidc.AuthPrivateKeyJWT},
		IntrospectionAuthAlgorithms: clients.AssertionAlgorithms(),
		IntrospectionAlgorithms:     []string{keys.ES256},

		DeviceEndpoint:     deviceEndpoint(r),
		ProtectedResources: r.ProtectedResources,

		PushEndpoint: r.URL("/par"),

		UserinfoEndpoint:   r.URL("/userinfo"),
		ClaimsSupported:    []string{"sub", "name", "preferred_username", "email", "email_verified"},
		EndSessionEndpoint: r.URL("/logout"),
		SubjectTypes:       []string{"public"},
		IDTokenAlgorithms:  []string{keys.RS256, keys.ES256},
		PromptValues:       []string{"none", "login", "consent", "select_account"},
	})
	return nil
}

// grantTypes are those that the tenant's programs may use.
func grantTypes(r *directory.Realm) []string {
	types := []string{oidc.GrantTypeAuthorizationCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeTokenExchange}
	if issuer.UsesDevices(r) {
		types = append(types, oidc.GrantTypeDeviceCode)
	}
	return types
}

func (s *Server) jwks(c *gin.Context, r *directory.Realm) error {
	body, err := s.Keys.JWKS(r.Name)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", fmt.Sprintf("public, max-age=%d", int(keys.CachedFor.Seconds())))
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
