package clients_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
)

const par = base + "/t/example/par"

// authRealm has a client and a resource server of each kind.
func authRealm(t testing.TB) *directory.Realm {
	t.Helper()
	return realm(t, "example", func(tenant *directory.Tenant) {
		for method, id := range map[string]string{oidc.AuthSecretBasic: "by basic", oidc.AuthSecretPost: "by-post"} {
			tenant.FixedClients = append(tenant.FixedClients, directory.FixedClient{ID: id, Authentication: method, SecretHash: hashOf(secret)})
		}
		tenant.FixedClients = append(tenant.FixedClients,
			directory.FixedClient{ID: "by-key", Authentication: oidc.AuthPrivateKeyJWT, JWKS: jwks(t, "ec", "ed", "rsa", "ec384")},
			directory.FixedClient{ID: "public", Authentication: oidc.AuthNone},
			directory.FixedClient{ID: "hashless", Authentication: oidc.AuthSecretBasic})
		tenant.ResourceServers = []directory.ResourceServer{
			{Name: "dovecot", Authentication: oidc.AuthSecretBasic, SecretHash: hashOf(secret)},
			{Name: "keyed", Authentication: oidc.AuthPrivateKeyJWT, JWKS: jwks(t, "ec")},
		}
	})
}

func basicHeader(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(user)+":"+url.QueryEscape(password)))
}

func TestRFC6749ClientAuthentication(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), authRealm(t)
	for name, p := range map[string]struct {
		id string
		clients.Credentials
	}{
		"public":                        {"public", clients.Credentials{Form: form("client_id", "public")}},
		"open":                          {"open", clients.Credentials{Form: form("client_id", "open")}},
		"public, others empty":          {"public", clients.Credentials{Form: form("client_id", "public", "client_secret", "", "client_assertion", "")}},
		"Basic":                         {"by basic", clients.Credentials{Authorization: []string{basicHeader("by basic", secret)}}},
		"Basic, scheme in lower case":   {"by basic", clients.Credentials{Authorization: []string{"basic" + basicHeader("by basic", secret)[5:]}}},
		"Basic and the same client_id":  {"by basic", clients.Credentials{Form: form("client_id", "by basic"), Authorization: []string{basicHeader("by basic", secret)}}},
		"Basic and an empty client_id":  {"by basic", clients.Credentials{Form: form("client_id", ""), Authorization: []string{basicHeader("by basic", secret)}}},
		"form":                          {"by-post", clients.Credentials{Form: form("client_id", "by-post", "client_secret", secret)}},
		"assertion":                     {"by-key", clients.Credentials{Form: assertion(t, "ec", nil), Endpoint: par}},
		"assertion and its client_id":   {"by-key", clients.Credentials{Form: with(assertion(t, "ec", nil), "client_id", "by-key"), Endpoint: par}},
		"assertion, others left empty ": {"by-key", clients.Credentials{Form: with(assertion(t, "ec", nil), "client_secret", ""), Endpoint: par}},
	} {
		got, err := c.Authenticate(t.Context(), r, p.Credentials)
		if err != nil || got.ID != p.id {
			t.Errorf("%s: %q, %v; want %s", name, got.ID, err, p.id)
		}
	}
}

func with(f url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

// TestRFC6749InvalidClientSaysNothing: every wrong credential is refused in the same words.
func TestRFC6749InvalidClientSaysNothing(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), authRealm(t)
	header := func(values ...string) []string { return values }
	words := map[string]bool{}
	for name, p := range map[string]clients.Credentials{
		"unknown":                    {Form: form("client_id", "nobody")},
		"unknown by Basic":           {Authorization: header(basicHeader("nobody", secret))},
		"unknown by form":            {Form: form("client_id", "nobody", "client_secret", secret)},
		"unknown by key":             {Form: assertion(t, "ec", map[string]any{"iss": "nobody", "sub": "nobody"})},
		"wrong secret":               {Authorization: header(basicHeader("by basic", secret+"x"))},
		"wrong secret by form":       {Form: form("client_id", "by-post", "client_secret", "x")},
		"empty secret":               {Authorization: header(basicHeader("by basic", ""))},
		"no hash":                    {Authorization: header(basicHeader("hashless", ""))},
		"zero hash":                  {Authorization: header(basicHeader("hashless", strings.Repeat("\x00", 32)))},
		"no credentials":             {Form: form("client_id", "by basic")},
		"no credentials for a key":   {Form: form("client_id", "by-key")},
		"form instead of Basic":      {Form: form("client_id", "by basic", "client_secret", secret)},
		"Basic instead of form":      {Authorization: header(basicHeader("by-post", secret))},
		"secret instead of key":      {Authorization: header(basicHeader("by-key", secret))},
		"key instead of secret":      {Form: assertion(t, "ec", map[string]any{"iss": "by-post", "sub": "by-post"})},
		"Basic and form":             {Form: form("client_id", "by basic", "client_secret", secret), Authorization: header(basicHeader("by basic", secret))},
		"Basic and assertion":        {Form: assertion(t, "ec", nil), Authorization: header(basicHeader("by-key", secret))},
		"form and assertion":         {Form: with(assertion(t, "ec", nil), "client_secret", secret)},
		"another client_id":          {Form: form("client_id", "by-post"), Authorization: header(basicHeader("by basic", secret))},
		"assertion of another":       {Form: with(assertion(t, "ec", nil), "client_id", "public"), Endpoint: par},
		"public with a secret":       {Form: form("client_id", "public", "client_secret", "x")},
		"public by Basic":            {Authorization: header(basicHeader("public", ""))},
		"open by Basic":              {Authorization: header(basicHeader("open", ""))},
		"public with an assertion":   {Form: assertion(t, "ec", map[string]any{"iss": "public", "sub": "public"})},
		"two headers":                {Authorization: header(basicHeader("by basic", secret), basicHeader("by basic", secret))},
		"Bearer":                     {Form: form("client_id", "public"), Authorization: header("Bearer x")},
		"not base64":                 {Authorization: header("Basic ???")},
		"no colon":                   {Authorization: header("Basic " + base64.StdEncoding.EncodeToString([]byte("by basic")))},
		"no user":                    {Authorization: header(basicHeader("", secret))},
		"a bad escape":               {Authorization: header("Basic " + base64.StdEncoding.EncodeToString([]byte("by+basic:%zz")))},
		"a huge secret":              {Form: form("client_id", "by-post", "client_secret", strings.Repeat("x", 2000))},
		"assertion without its type": {Form: form("client_id", "by-key", "client_assertion", assertion(t, "ec", nil).Get("client_assertion")), Endpoint: par},
		"type without an assertion":  {Form: form("client_id", "by-key", "client_assertion_type", assertionType), Endpoint: par},
		"SAML":                       {Form: form("client_id", "by-key", "client_assertion", "x", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")},
	} {
		_, err := c.Authenticate(t.Context(), r, p)
		wantCode(t, err, oidc.CodeInvalidClient, name)
		if e, ok := errors.AsType[*oidc.Error](err); ok {
			words[e.Description] = true
		}
	}
	if len(words) != 1 {
		t.Errorf("%d sentences, want one: %v", len(words), words)
	}
	for name, p := range map[string]clients.Credentials{
		"nothing":          {},
		"client_id twice":  {Form: form("client_id", "public", "client_id", "public")},
		"a secret twice":   {Form: form("client_id", "by-post", "client_secret", secret, "client_secret", secret)},
		"a secret alone":   {Form: form("client_secret", secret)},
		"an assertion too": {Form: with(assertion(t, "ec", nil), "client_assertion", "x")},
	} {
		_, err := c.Authenticate(t.Context(), r, p)
		wantCode(t, err, oidc.CodeInvalidRequest, name)
	}
}

func TestDeniedClientCannotAuthenticate(t *testing.T) {
	t.Parallel()
	c := newRig(t)
	r := policy(t, directory.ClientPolicy{OpenOff: true, Deny: []directory.ClientMatch{{ID: "thunderbird"}}})
	for _, id := range []string{"open", "thunderbird"} {
		_, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: form("client_id", id)})
		wantCode(t, err, oidc.CodeInvalidClient, id)
	}
	_, err := c.Authenticate(t.Context(), r, clients.Credentials{Form: form("client_id", "https://example.com/x")})
	wantCode(t, err, oidc.CodeTemporarilyUnavailable, "a host that does not answer")
}

// TestResourceServerByBasic takes Dovecot's requests, which have empty parameters beside the header.
func TestResourceServerByBasic(t *testing.T) {
	t.Parallel()
	c, r := newRig(t), authRealm(t)
	endpoint := r.URL("/introspect")
	keyed := map[string]any{"iss": "keyed", "sub": "keyed", "aud": endpoint}
	for name, p := range map[string]struct {
		server string
		clients.Credentials
	}{
		"Dovecot":          {"dovecot", clients.Credentials{Form: form("token", "x", "client_id", "", "client_secret", ""), Authorization: []string{basicHeader("dovecot", secret)}}},
		"Basic":            {"dovecot", clients.Credentials{Form: form("token", "x"), Authorization: []string{basicHeader("dovecot", secret)}}},
		"form":             {"dovecot", clients.Credentials{Form: form("token", "x", "client_id", "dovecot", "client_secret", secret)}},
		"key":              {"keyed", clients.Credentials{Form: assertion(t, "ec", keyed), Endpoint: endpoint}},
		"key for the name": {"keyed", clients.Credentials{Form: assertion(t, "ec", map[string]any{"iss": "keyed", "sub": "keyed", "aud": r.Issuer}), Endpoint: endpoint}},
	} {
		got, err := c.ResourceServer(t.Context(), r, p.Credentials)
		if err != nil || got.Name != p.server {
			t.Errorf("%s: %q, %v; want %s", name, got.Name, err, p.server)
		}
	}
	for name, p := range map[string]clients.Credentials{
		"nothing":               {},
		"name alone":            {Form: form("client_id", "dovecot")},
		"a client":              {Authorization: []string{basicHeader("by basic", secret)}},
		"a public client":       {Form: form("client_id", "public")},
		"open":                  {Form: form("client_id", "open")},
		"unknown":               {Authorization: []string{basicHeader("nobody", secret)}},
		"wrong secret":          {Authorization: []string{basicHeader("dovecot", "x")}},
		"both ways":             {Form: form("client_id", "dovecot", "client_secret", secret), Authorization: []string{basicHeader("dovecot", secret)}},
		"secret for a key":      {Authorization: []string{basicHeader("keyed", "")}},
		"token as credentials":  {Authorization: []string{"Bearer x"}},
		"client_id twice":       {Form: form("client_id", "dovecot", "client_id", "dovecot", "client_secret", secret)},
		"key for /token":        {Form: assertion(t, "ec", map[string]any{"iss": "keyed", "sub": "keyed", "aud": r.URL("/token")}), Endpoint: endpoint},
		"key of somebody":       {Form: assertion(t, "stranger", keyed), Endpoint: endpoint},
		"key of another server": {Form: with(assertion(t, "ec", keyed), "client_id", "dovecot"), Endpoint: endpoint},
	} {
		_, err := c.ResourceServer(t.Context(), r, p)
		wantCode(t, err, oidc.CodeInvalidClient, name)
	}
	if _, err := c.Authenticate(t.Context(), r, clients.Credentials{Authorization: []string{basicHeader("dovecot", secret)}}); oidc.CodeOf(err) != oidc.CodeInvalidClient {
		t.Errorf("a resource server as a client: %v, want invalid_client", err)
	}
}

// lost is a cache that is away.
type lost struct{}

func (lost) Add(context.Context, string, []byte, time.Duration) (bool, error) {
	return false, errors.New("away")
}
