package server

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/oidc"
)

// routes is every route, in the order of the way: discover, learn, sign in,
// exchange, connect. "Who" is who reads the answer: M machines (problem+json), C
// OAuth clients, P people. Routes with "i" stand below an issuer: at the root of a
// host, and below /t/{tenant}.
func (s *Server) routes(e *gin.Engine) {
	e.Use(s.envelope)
	e.NoRoute(s.problem(noRoute))
	e.NoMethod(s.problem(noMethod))

	// Discovery: from the compiled snapshot, at every host.                          who
	public(e, "/.well-known/webfinger", s.webfinger)                //                               M RFC 7033, section 4
	public(e, protectedResources+"/*resource", s.protectedResource) //                M RFC 9728, section 3

	// Metadata: the path of the issuer is inserted (RFC 8414, section 3.1) or, for OpenID, appended.
	for _, at := range []string{"", "/t/:tenant"} {
		public(e, "/.well-known/oauth-authorization-server"+at, s.problem(s.metadata)) // M RFC 8414, section 3
		public(e, "/.well-known/openid-configuration"+at, s.problem(s.metadata))       // M RFC 8414, section 5

		i := e.Group(at)
		if at != "" {
			public(i, "/.well-known/openid-configuration", s.problem(s.metadata)) // M OpenID Connect Discovery 1.0
		}
		public(i, "/jwks", s.problem(s.jwks))                                      // M RFC 7517, section 5
		public(i, "/scopes", s.problem(s.scopeDocument))                           // M scopes.Document
		public(i, "/schemas/configuration.json", s.problem(s.configurationSchema)) // M JSON Schema 2020-12

		// Sign-in.
		i.GET("/authorize", s.page(s.limited(s.authorize)))                                              // P RFC 6749, section 4.1.1
		i.POST("/authorize", s.page(s.limited(s.authorizeForm)))                                         // P the same by form, as OpenID Connect Core 1.0 asks
		programs(i, "/par", s.oauth(s.limited(s.push)), http.MethodPost)                                 // C RFC 9126, section 2
		i.GET("/authorize/cancel", s.page(s.limited(s.cancel)))                                          // P who goes back before the identity provider
		i.GET("/sign-in/:idp", s.page(s.limited(s.signIn)))                                              // P to the identity provider that was chosen
		i.GET("/callback/:idp", s.page(s.limited(s.callback)))                                           // P the identity provider's answer
		i.GET("/consent", s.page(s.consentPage))                                                         // P after the identity provider
		i.POST("/consent", s.page(s.sameOrigin(s.consentForm)))                                          // P yes or no
		programs(i, "/device_authorization", s.oauth(s.limited(s.deviceAuthorization)), http.MethodPost) // C RFC 8628, section 3.1
		i.GET("/device", s.page(s.limited(s.devicePage)))                                                // P enter the code of a device
		i.POST("/device", s.page(s.sameOrigin(s.limited(s.deviceForm))))                                 // P RFC 8628, section 3.3
		programs(i, "/token", s.oauth(s.limited(s.token)), http.MethodPost)                              // C RFC 6749, section 3.2; RFC 8693, section 2
		programs(i, "/register", s.registration, http.MethodPost)                                        // C RFC 7591, section 3
		programs(i, "/revoke", s.oauth(s.limited(s.revoke)), http.MethodPost)                            // C RFC 7009, section 2
		i.GET("/logout", s.page(s.limited(s.logout)))                                                    // P OpenID Connect RP-Initiated Logout 1.0
		i.POST("/logout", s.page(s.limited(s.logoutForm)))                                               // P the same by form, and the person's answer
		i.GET("/account", s.page(s.limited(s.account)))                                                  // P the person's own page: programs with access
		i.POST("/account", s.page(s.sameOrigin(s.limited(s.accountForm))))                               // P an end to them (R27), and app passwords (R21)

		// Answer.
		programs(i, oidc.ConfigurationPath, s.configurationWays(), http.MethodGet, http.MethodHead, http.MethodPost) // C the person's own services; POST: and a token for each
		programs(i, "/userinfo", s.resource(oidc.ScopeOpenID, s.userinfo), http.MethodGet, http.MethodPost)          // C OpenID Connect Core 1.0
		i.POST("/introspect", s.oauth(s.refusalsLimited(s.introspect)))                                              // M resource servers: RFC 7662, section 2
		i.POST("/app-passwords/check", s.oauth(s.refusalsLimited(s.checkAppPassword)))                               // M resource servers: app passwords (R21)

		i.GET("/", s.empty(s.page(s.home))) // P who lands here by accident
	}
	e.GET("/t/:tenant", s.page(s.home))
	e.GET("/assets/:name", s.asset)
}

// public registers a document that any origin may read: GET, HEAD, and the
// preflight of browsers.
func public(r gin.IRoutes, path string, h gin.HandlerFunc) {
	r.GET(path, crossOrigin, h)
	r.HEAD(path, crossOrigin, h)
	r.OPTIONS(path, crossOrigin, func(c *gin.Context) {
		c.Header("Access-Control-Allow-Methods", "GET, HEAD")
		c.Header("Access-Control-Max-Age", "86400")
		c.Status(http.StatusNoContent)
	})
}

// crossOrigin lets scripts of every origin read a public document (RFC 7033, section 5).
func crossOrigin(c *gin.Context) { c.Writer.Header()["Access-Control-Allow-Origin"] = anyOrigin }
