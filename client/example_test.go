package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"signpost/client"
)

// exampleProvider is a website and an issuer at the loopback address. It signs
// everybody in without a question.
func exampleProvider() *httptest.Server {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	answer := func(pattern, mediaType, body string) {
		body = strings.ReplaceAll(body, "{issuer}", server.URL)
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("ETag", `"1"`)
			fmt.Fprint(w, body)
		})
	}
	answer("GET /.well-known/webfinger", "application/jrd+json", `{"links": [
		{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": "{issuer}",
		 "properties": {"urn:signpost:oauth:scope": "offline_access urn:ietf:params:oauth:scope:mail", "urn:signpost:oauth:client_id": "open"}},
		{"rel": "urn:signpost:rel:configuration", "href": "{issuer}/configuration"}]}`)
	answer("GET /.well-known/oauth-authorization-server", "application/json", `{"issuer": "{issuer}",
		"authorization_endpoint": "{issuer}/authorize", "token_endpoint": "{issuer}/token",
		"code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": true}`)
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		back := url.Values{"code": {"c"}, "state": {r.FormValue("state")}, "iss": {server.URL}}
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	})
	answer("POST /token", "application/json", `{"access_token": "t", "token_type": "Bearer", "expires_in": 900,
		"refresh_token": "r", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": "urn:ietf:params:oauth:scope:mail"}`)
	document := `{"account": {"subject": "4Jm0pGq8TzS2kYw6Ba9dXQ"}, "provider": {"name": "Example"},
		"issuer": "{issuer}", "token_endpoint": "{issuer}/token",
		"incoming": [{"id": "mail", "protocol": "imap", "title": "Mail", "authentication": ["oauthbearer"], "credential": "sso", "order": 1,
			"endpoints": [{"host": "imap.example.com", "port": 993, "security": "tls"}],
			"audience": "imap.example.com", "scope": "urn:ietf:params:oauth:scope:mail"}]}`
	answer("GET /configuration", "application/json", document)
	answer("POST /configuration", "application/json", strings.Replace(document, `"id": "mail"`, `"id": "mail", "token": {
		"access_token": "t", "token_type": "Bearer", "expires_in": 900, "scope": "urn:ietf:params:oauth:scope:mail",
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}`, 1))
	return server
}

// browser stands for the system browser: it opens a page and follows it to its end.
func browser(page string) error {
	res, err := http.Get(page)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// The whole way, from an address to a token for the mail server.
func Example() {
	server := exampleProvider()
	defer server.Close()
	ctx := context.Background()
	c := &client.Client{Server: server.URL} // without Server, the address's domain is asked

	d, err := c.Discover(ctx, "alice@example.com")
	if err != nil {
		log.Fatal(err)
	}
	broad, err := c.SignIn(ctx, d, "", d.Address, browser)
	if err != nil {
		log.Fatal(err)
	}
	document, _, _, err := c.Document(ctx, d, broad.AccessToken, "")
	if err != nil {
		log.Fatal(err)
	}
	for _, service := range document.Services() {
		narrow, err := c.Exchange(ctx, d, broad.AccessToken, service.Audience, service.Scope)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(service.Title, "at", service.Endpoints[0].Host, "with a", narrow)
	}
	// Output: Mail at imap.example.com with a Bearer token for "urn:ietf:params:oauth:scope:mail", valid for 900 s
}

func ExampleClient_Discover() {
	server := exampleProvider()
	defer server.Close()
	c := &client.Client{Server: server.URL}

	d, err := c.Discover(context.Background(), "alice@example.com")
	switch {
	case errors.Is(err, client.ErrNotServed):
		fmt.Println("Nobody answers for this address. Set the account up by hand?")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(d.Address, d.ClientID, d.Scope)
	// Output: alice@example.com open offline_access urn:ietf:params:oauth:scope:mail
}

func ExampleClient_SignIn() {
	server := exampleProvider()
	defer server.Close()
	ctx := context.Background()
	c := &client.Client{Server: server.URL}
	d, err := c.Discover(ctx, "alice@example.com")
	if err != nil {
		log.Fatal(err)
	}

	tokens, err := c.SignIn(ctx, d, "", d.Address, browser)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == "access_denied" {
		fmt.Println("The person said no.")
	}
	fmt.Println(tokens, err)
	// Output: Bearer token for "urn:ietf:params:oauth:scope:mail", valid for 900 s <nil>
}

// A program with a window of its own for the sign-in joins the steps itself.
func ExampleClient_Authorize() {
	server := exampleProvider()
	defer server.Close()
	ctx := context.Background()
	c := &client.Client{Server: server.URL}
	d, err := c.Discover(ctx, "alice@example.com")
	if err != nil {
		log.Fatal(err)
	}

	loopback, err := client.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer loopback.Close()
	a, err := c.Authorize(d, loopback.RedirectURI(), d.Scope, d.Address)
	if err != nil {
		log.Fatal(err)
	}
	if err := browser(a.URL); err != nil {
		log.Fatal(err)
	}
	answer, err := loopback.Wait(ctx, a.State)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := c.Redeem(ctx, d, a, answer)
	fmt.Println(tokens.ExpiresIn, err)
	// Output: 900 <nil>
}

func ExampleClient_Refresh() {
	server := exampleProvider()
	defer server.Close()
	ctx := context.Background()
	c := &client.Client{Server: server.URL}
	d, err := c.Discover(ctx, "alice@example.com")
	if err != nil {
		log.Fatal(err)
	}

	tokens, err := c.Refresh(ctx, d, "the kept refresh token", "", "")
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == "invalid_grant" {
		fmt.Println("The sign-in has ended. Sign in again.")
	}
	fmt.Println(tokens.ExpiresIn, tokens.RefreshToken != "", err)
	// Output: 900 true <nil>
}

func ExampleClient_Document() {
	server := exampleProvider()
	defer server.Close()
	ctx := context.Background()
	c := &client.Client{Server: server.URL}
	d, err := c.Discover(ctx, "alice@example.com")
	if err != nil {
		log.Fatal(err)
	}

	document, etag, notModified, err := c.Document(ctx, d, "the broad token", "")
	fmt.Println(document.Provider.Name, len(document.Incoming), etag, notModified, err)
	// Output: Example 1 "1" false <nil>
}

func ExampleClient_Exchange() {
	server := exampleProvider()
	defer server.Close()
	ctx := context.Background()
	c := &client.Client{Server: server.URL}
	d, err := c.Discover(ctx, "alice@example.com")
	if err != nil {
		log.Fatal(err)
	}

	narrow, err := c.Exchange(ctx, d, "the broad token", "imap.example.com", "")
	fmt.Println(narrow, err)
	// Output: Bearer token for "urn:ietf:params:oauth:scope:mail", valid for 900 s <nil>
}

func ExampleClient_Bundle() {
	server := exampleProvider()
	defer server.Close()
	ctx := context.Background()
	c := &client.Client{Server: server.URL}
	d, err := c.Discover(ctx, "alice@example.com")
	if err != nil {
		log.Fatal(err)
	}

	document, err := c.Bundle(ctx, d, "the broad token") // for all services; name some by their ids
	if err != nil {
		log.Fatal(err)
	}
	for _, service := range document.Services() {
		switch {
		case service.Token != nil:
			fmt.Println(service.Title, "with a", service.Token)
		case service.Refusal != nil:
			fmt.Println(service.Title, "without a token:", service.Refusal.Error)
		}
	}
	// Output: Mail with a Bearer token for "urn:ietf:params:oauth:scope:mail", valid for 900 s
}
