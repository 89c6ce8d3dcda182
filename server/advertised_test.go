package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/clients"
	"signpost/server"
)

// advertised checks one member of the metadata against what the issuer does.
type advertised func(t *testing.T, issuer string, value any)

// works says for every member how to see that it is true. A member that is not
// here fails the test: nothing is advertised that was not tried.
var works = map[string]advertised{
	"issuer": func(t *testing.T, issuer string, value any) {
		if value != issuer {
			t.Errorf("got %v, want %s", value, issuer)
		}
	},
	"authorization_endpoint": func(t *testing.T, issuer string, value any) {
		authorize := authorizeURL(issuer, nil)
		ask(t, http.MethodGet, value.(string)+authorize[len(issuer+"/authorize"):]).isPage(t, http.StatusOK)
	},
	"token_endpoint": func(t *testing.T, _ string, value any) {
		p := ask(t, http.MethodPost, value.(string), formBody(url.Values{}))
		if p.status != http.StatusBadRequest {
			t.Errorf("POST %s: %d, want 400 for an empty form", value, p.status)
		}
	},
	"jwks_uri": func(t *testing.T, _ string, value any) {
		if keys := jsonAt(t, value.(string))["keys"].([]any); len(keys) == 0 {
			t.Error("no keys")
		}
	},
	"scopes_supported": func(t *testing.T, issuer string, value any) {
		for _, scope := range words(value) {
			q := asked(t, issuer, func(q url.Values) { q.Set("scope", scope) })
			if q != nil {
				t.Errorf("scope %s: %v, want it taken", scope, q)
			}
		}
		if q := asked(t, issuer, func(q url.Values) { q.Set("scope", "urn:example:unknown") }); q.Get("error") != oidc.CodeInvalidScope {
			t.Errorf("a scope that is not listed: %v, want invalid_scope", q)
		}
	},
	"response_types_supported": func(t *testing.T, issuer string, value any) {
		onlyThese(t, issuer, "response_type", words(value), "token", "id_token", "code id_token", "none")
	},
	"response_modes_supported": func(t *testing.T, issuer string, value any) {
		onlyThese(t, issuer, "response_mode", words(value), "fragment", "form_post", "query.jwt")
	},
	"code_challenge_methods_supported": func(t *testing.T, issuer string, value any) {
		onlyThese(t, issuer, "code_challenge_method", words(value), "plain", "S512")
	},
	"prompt_values_supported": func(t *testing.T, issuer string, value any) {
		for _, prompt := range words(value) {
			if q := asked(t, issuer, func(q url.Values) { q.Set("prompt", prompt) }); q.Get("error") == oidc.CodeInvalidRequest {
				t.Errorf("prompt %s: %v, want it understood", prompt, q)
			}
		}
		if q := asked(t, issuer, func(q url.Values) { q.Set("prompt", "create") }); q.Get("error") != oidc.CodeInvalidRequest {
			t.Errorf("a prompt that is not listed: %v, want invalid_request", q)
		}
	},
	"grant_types_supported": func(t *testing.T, issuer string, value any) {
		all := []string{oidc.GrantTypeAuthorizationCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeTokenExchange,
			"password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"}
		for _, grantType := range all {
			a := token(t, issuer, url.Values{"grant_type": {grantType}, "client_id": {"open"}})
			if listed, unknown := slices.Contains(words(value), grantType), a.Error == oidc.CodeUnsupportedGrantType; listed == unknown {
				t.Errorf("grant type %s: listed %v, answer %s", grantType, listed, a.Error)
			}
		}
	},
	"token_endpoint_auth_methods_supported": func(t *testing.T, issuer string, value any) {
		if got := words(value); !slices.Equal(got, []string{oidc.AuthNone, oidc.AuthSecretBasic, oidc.AuthSecretPost, oidc.AuthPrivateKeyJWT}) {
			t.Fatalf("got %v", got)
		}
		form := refreshForm("unknown")
		if a := token(t, issuer, form); a.Error != oidc.CodeInvalidGrant {
			t.Errorf("method none: %s, want the client taken", a.Error)
		}
		// That those with credentials are taken is TestEveryAdvertisedAuthMethod's to show.
		if a := tokenRaw(t, issuer, form.Encode(), "application/x-www-form-urlencoded", http.Header{"Authorization": {"Basic b3Blbjo="}}); a.Error != oidc.CodeInvalidClient {
			t.Errorf("client_secret_basic for a client without a secret: %s, want invalid_client", a.Error)
		}
	},
	"token_endpoint_auth_signing_alg_values_supported": func(t *testing.T, _ string, value any) {
		if !slices.Equal(words(value), clients.AssertionAlgorithms()) {
			t.Errorf("got %v, want what assertions may be signed with: %v", value, clients.AssertionAlgorithms())
		}
	},
	"registration_endpoint": func(t *testing.T, _ string, value any) {
		registered(t, value.(string), `{"redirect_uris":["http://127.0.0.1/"]}`)
	},
	"client_id_metadata_document_supported": func(t *testing.T, issuer string, value any) {
		// A host that does not exist: looked for, and so not refused as unknown.
		a := token(t, issuer, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {"https://client.invalid/metadata.json"}})
		if value != true || a.Error != oidc.CodeTemporarilyUnavailable {
			t.Errorf("advertised %v, and an id that is a URL is answered %s", value, a.Error)
		}
	},
	"authorization_response_iss_parameter_supported": func(t *testing.T, issuer string, value any) {
		for _, prompt := range []string{"none", "nonsense"} {
			if got := asked(t, issuer, func(q url.Values) { q.Set("prompt", prompt) }).Get("iss"); value != true || got != issuer {
				t.Errorf("advertised %v, iss of an error response %q, want %s (RFC 9207, section 2)", value, got, issuer)
			}
		}
	},
	"subject_types_supported": func(t *testing.T, issuer string, value any) {
		_, first := claims(t, signedIn(t, issuer, nil).IDToken)
		_, second := claims(t, signedIn(t, issuer, nil).AccessToken)
		if !slices.Equal(words(value), []string{"public"}) || first["sub"] != second["sub"] || first["sub"] == "" {
			t.Errorf("got %v, subjects %v and %v, want one public subject", value, first["sub"], second["sub"])
		}
	},
	"id_token_signing_alg_values_supported": func(t *testing.T, issuer string, value any) {
		h, _ := claims(t, signedIn(t, issuer, nil).IDToken)
		// ES256 is for clients for which the operator wrote it down: TestR17GrantsKeepHowThePersonSignedIn.
		if !slices.Equal(words(value), []string{"RS256", "ES256"}) || h["alg"] != "RS256" {
			t.Errorf("got %v, and an ID token by %v, want RS256 and ES256, and RS256", value, h["alg"])
		}
	},
	"pushed_authorization_request_endpoint": func(t *testing.T, issuer string, value any) {
		p := ask(t, http.MethodPost, value.(string), formBody(authorizeForm(nil)))
		if p.status != http.StatusCreated {
			t.Errorf("POST %s: %d %s, want 201", value, p.status, p.body)
		}
	},
	"device_authorization_endpoint": func(t *testing.T, issuer string, value any) {
		p := ask(t, http.MethodPost, value.(string), formBody(url.Values{"client_id": {"nobody"}, "scope": {mailScope}}))
		if p.status != http.StatusUnauthorized || !strings.Contains(p.body, oidc.CodeInvalidClient) {
			t.Errorf("POST %s: %d %s, want invalid_client for a client that is not known", value, p.status, p.body)
		}
	},
	"protected_resources": func(t *testing.T, issuer string, value any) {
		for _, resource := range words(value) {
			if got := asked(t, issuer, func(q url.Values) { q.Set("resource", resource); q.Set("scope", allScopes) }); got != nil {
				t.Errorf("resource=%s: %v", resource, got)
			}
		}
	},
	"require_pushed_authorization_requests": isFalse, // authorization_endpoint takes one that was not pushed
	"dpop_signing_alg_values_supported":     takesProofs,

	"revocation_endpoint": func(t *testing.T, issuer string, _ any) { isRevoked(t, revoked(t, issuer, giveBack("x"))) },
	"introspection_endpoint": func(t *testing.T, issuer string, _ any) {
		tokenError(t, "introspection", introspected(t, issuer, "x"), http.StatusUnauthorized, oidc.CodeInvalidClient)
	},
	"userinfo_endpoint": func(t *testing.T, issuer string, value any) {
		jsonAt(t, value.(string), header("Authorization", "Bearer "+signedIn(t, issuer, nil).AccessToken))
	},
	"end_session_endpoint": func(t *testing.T, _ string, value any) { ask(t, http.MethodGet, value.(string)).asks(t, "logout") },
	"claims_supported": func(t *testing.T, issuer string, value any) {
		var told object
		userinfo(t, http.MethodGet, issuer, signedIn(t, issuer, set("scope", "openid profile email")).AccessToken).json(t, &told)
		if got := slices.Sorted(maps.Keys(told)); !slices.Equal(got, slices.Sorted(slices.Values(words(value)))) {
			t.Errorf("advertised %v, told %v", value, got)
		}
	},
	"revocation_endpoint_auth_methods_supported":               triedElsewhere("none", "client_secret_basic", "client_secret_post", "private_key_jwt"),
	"introspection_endpoint_auth_methods_supported":            triedElsewhere("client_secret_basic", "client_secret_post", "private_key_jwt"),
	"introspection_signing_alg_values_supported":               triedElsewhere("ES256"), // TestRFC9701SignedAnswers
	"revocation_endpoint_auth_signing_alg_values_supported":    triedElsewhere(clients.AssertionAlgorithms()...),
	"introspection_endpoint_auth_signing_alg_values_supported": triedElsewhere(clients.AssertionAlgorithms()...),
	"claims_parameter_supported":                               isFalse,
	"request_parameter_supported":                              refusesParameter("request", oidc.CodeRequestNotSupported),
	"request_uri_parameter_supported":                          refusesParameter("request_uri", oidc.CodeRequestURINotSupported),
}

func isFalse(t *testing.T, _ string, value any) {
	if value != false {
		t.Errorf("got %v, want false", value)
	}
}

func refusesParameter(name, code string) advertised {
	return func(t *testing.T, issuer string, value any) {
		isFalse(t, issuer, value)
		if got := asked(t, issuer, func(q url.Values) { q.Set(name, "x") }).Get("error"); got != code {
			t.Errorf("with %s: %q, want %s", name, got, code)
		}
	}
}

// onlyThese checks that the listed values of a parameter are taken and others are not.
func onlyThese(t *testing.T, issuer, parameter string, listed []string, others ...string) {
	t.Helper()
	for _, value := range append(slices.Clone(listed), others...) {
		q := asked(t, issuer, func(q url.Values) { q.Set(parameter, value) })
		if taken := q == nil; taken != slices.Contains(listed, value) {
			t.Errorf("%s=%s: answer %v, listed %v", parameter, value, q, listed)
		}
	}
}

// asked sends an authorization request and returns the error response that it
// is answered with, nil if it is taken.
func asked(t testing.TB, issuer string, edit func(url.Values)) url.Values {
	t.Helper()
	p := ask(t, http.MethodGet, authorizeURL(issuer, edit))
	if p.status == http.StatusOK {
		return nil
	}
	to, err := url.Parse(p.header.Get("Location"))
	if p.status != http.StatusSeeOther || err != nil || to.Scheme+"://"+to.Host+to.Path != redirectURI {
		t.Fatalf("authorize: %d to %q, want a page or a redirect to the client\n%s", p.status, p.header.Get("Location"), p.body)
	}
	return to.Query()
}

func words(value any) (list []string) {
	for _, v := range value.([]any) {
		list = append(list, v.(string))
	}
	return list
}

// TestMetadataIsTrue compares what the metadata says with what the issuer does.
func TestMetadataIsTrue(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for issuer := range issuers(s) {
		metadata := jsonAt(t, issuer+"/.well-known/openid-configuration")
		for member, value := range metadata {
			check, known := works[member]
			if !known {
				t.Errorf("metadata advertise %s, and no test knows whether it works", member)
				continue
			}
			t.Run(member, func(t *testing.T) {
				t.Parallel()
				check(t, issuer, value)
			})
		}
		// What draft-ietf-mailmaint-oauth-public and OpenID Connect Discovery 1.0 ask for.
		for _, member := range []string{
			"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "scopes_supported", "response_types_supported",
			"grant_types_supported", "token_endpoint_auth_methods_supported", "code_challenge_methods_supported",
			"authorization_response_iss_parameter_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
		} {
			if _, found := metadata[member]; !found {
				t.Errorf("metadata of %s lack %s", issuer, member)
			}
		}
	}
}

// TestMetadataNamesTheRoutes: what clients need to find is in the metadata, and
// everything else that is routed is on this list of what they find elsewhere.
func TestMetadataNamesTheRoutes(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	named := map[string]bool{}
	for _, value := range jsonAt(t, s.URL+"/.well-known/openid-configuration") {
		if text, ok := value.(string); ok {
			named[text] = true
		}
	}
	elsewhere := []string{
		"/.well-known/webfinger", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
		"/.well-known/oauth-protected-resource/*resource", // the challenge
		"/scopes", "/configuration", // links of the JRD
		"/schemas/configuration.json",                                                       // "$id"
		"/sign-in/:idp", "/callback/:idp", "/consent", "/authorize/cancel", "/assets/:name", // the browser is led there
		"/device",              // the answer to a device names it
		"/app-passwords/check", // whoever declares a resource server reads the guide
		"/account", "/",        // for people who land there
	}
	for _, route := range server.Routes(s.Service.Handler) {
		_, path, _ := strings.Cut(route, " ")
		if path = strings.Replace(path, "/t/:tenant", "", 1); path == "" {
			path = "/"
		}
		if !named[s.URL+path] && !slices.Contains(elsewhere, path) {
			t.Errorf("%s is routed, and neither the metadata nor the list of what is found elsewhere has it", route)
		}
	}
}
