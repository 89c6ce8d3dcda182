// Package clients_test lets programs that others wrote sign in at the demo, unmodified
// and without being known beforehand: x/oauth2 and the relying party of zitadel/oidc.
package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"signpost/internal/demo/browse"
	"signpost/internal/demo/demotest"
	"signpost/internal/demo/stage"
)

const alice = "alice@example.test"

// patience bounds each wait of these tests.
const patience = 30 * time.Second

// everything is what a program asks for that wants all services.
const everything = "openid profile email offline_access urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars"

func TestOAuth2SignsIn(t *testing.T) {
	t.Parallel()
	d := demotest.Start(t, nil)
	answers := listen(t)
	config := configure(t, d, answers.URL+"/cb", everything)
	verifier := oauth2.GenerateVerifier()
	open(t, d, config.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier)))

	answer := answers.wait(t)
	if answer.Get("state") != "the state" || answer.Get("iss") != d.URL {
		t.Errorf("the answer has state %q and iss %q, want %q and %q", answer.Get("state"), answer.Get("iss"), "the state", d.URL)
	}
	token, err := config.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("Exchange: %v", err)
	}
	isAlice(t, d, config, token)

	// The library renews a token by itself when it is over.
	token.Expiry = time.Now().Add(-time.Minute)
	renewed, err := config.TokenSource(t.Context(), token).Token()
	if err != nil {
		t.Fatalf("renew: %v", err)
	}
	if renewed.AccessToken == token.AccessToken || renewed.RefreshToken == token.RefreshToken || renewed.RefreshToken == "" {
		t.Error("the renewed tokens are the old ones, or there is no refresh token")
	}
	isAlice(t, d, config, renewed)
}

func TestOAuth2PairsADevice(t *testing.T) {
	t.Parallel()
	d := demotest.Start(t, nil)
	config := configure(t, d, "http://127.0.0.1/cb", everything)
	device, err := config.DeviceAuth(t.Context())
	if err != nil {
		t.Fatalf("DeviceAuth: %v", err)
	}
	if device.UserCode == "" || device.VerificationURI == "" || time.Until(device.Expiry) < 5*time.Minute {
		t.Fatalf("DeviceAuth: user code %q at %q until %v", device.UserCode, device.VerificationURI, device.Expiry)
	}
	allowDevice(t, d, device.VerificationURIComplete)
	token, err := config.DeviceAccessToken(t.Context(), device)
	if err != nil {
		t.Fatalf("DeviceAccessToken: %v", err)
	}
	isAlice(t, d, config, token)
}

// configure registers a program and returns its configuration for x/oauth2, all of it
// out of the provider's metadata.
func configure(t *testing.T, d *stage.Stage, redirectURI, scope string) *oauth2.Config {
	t.Helper()
	provider := discover(t, d)
	return &oauth2.Config{
		ClientID: register(t, provider, redirectURI, scope), Endpoint: provider.Endpoint(),
		RedirectURL: redirectURI, Scopes: strings.Fields(scope),
	}
}

func discover(t *testing.T, d *stage.Stage) *gooidc.Provider {
	t.Helper()
	provider, err := gooidc.NewProvider(t.Context(), d.URL)
	if err != nil {
		t.Fatalf("discover: %v", err)
	}
	return provider
}

// register sends what draft-ietf-mailmaint-oauth-public asks a program to send.
func register(t *testing.T, provider *gooidc.Provider, redirectURI, scope string) (clientID string) {
	t.Helper()
	var metadata struct {
		Endpoint string `json:"registration_endpoint"`
	}
	if err := provider.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"scope": scope, "client_name": "Someone's program", "software_id": "test.example.program", "software_version": "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, metadata.Endpoint, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("register: %v", err)
	}
	defer response.Body.Close()
	var answer struct {
		ClientID    string `json:"client_id"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("register: %v", err)
	}
	if response.StatusCode != http.StatusCreated || answer.ClientID == "" {
		t.Fatalf("register: %d %s %s", response.StatusCode, answer.Error, answer.Description)
	}
	return answer.ClientID
}

// isAlice checks the tokens as a program would: the ID token by the provider's keys,
// the access token by asking userinfo and the configuration.
func isAlice(t *testing.T, d *stage.Stage, config *oauth2.Config, token *oauth2.Token) {
	t.Helper()
	provider := discover(t, d)
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&gooidc.Config{ClientID: config.ClientID}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("ID token: %v", err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatalf("UserInfo: %v", err)
	}
	if info.Subject != id.Subject || info.Email != alice || !info.EmailVerified {
		t.Errorf("userinfo says %q %q %v, want %q %q true", info.Subject, info.Email, info.EmailVerified, id.Subject, alice)
	}
	response, err := config.Client(t.Context(), token).Get(d.URL + "/configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var document struct {
		Incoming []json.RawMessage `json:"incoming"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil || len(document.Incoming) == 0 {
		t.Errorf("the configuration has no mail service: %d %v", response.StatusCode, err)
	}
}

// answers is the program's end of the redirect.
type answers struct {
	*httptest.Server
	got chan url.Values
}

func listen(t *testing.T) *answers {
	t.Helper()
	a := &answers{got: make(chan url.Values, 1)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.got <- r.URL.Query()
		fmt.Fprintln(w, "you may close this window")
	}))
	t.Cleanup(a.Close)
	if host, _, err := net.SplitHostPort(strings.TrimPrefix(a.URL, "http://")); err != nil || host != "127.0.0.1" {
		t.Fatalf("the program listens at %s, want 127.0.0.1", a.URL)
	}
	return a
}

func (a *answers) wait(t *testing.T) url.Values {
	t.Helper()
	select {
	case got := <-a.got:
		if got.Get("code") == "" {
			t.Fatalf("the answer has no code: %v", got)
		}
		return got
	case <-time.After(patience):
		t.Fatal("no answer came")
		return nil
	}
}

// open does what alice does with the link that a program opens: she chooses her identity
// provider, signs in there, and says yes.
func open(t *testing.T, d *stage.Stage, link string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b := newBrowser(t)
	must(t, b.Open(ctx, link))
	signIn(ctx, t, d, b)
}

// signIn goes on from the page before the identity provider.
func signIn(ctx context.Context, t *testing.T, d *stage.Stage, b *browse.Browser) {
	t.Helper()
	must(t, b.Follow(ctx, "choice"))
	login, err := b.FormWith("password")
	must(t, err)
	person, found := d.World.Person(alice)
	if !found || strings.HasPrefix(login.Action.String(), d.URL) {
		t.Fatalf("a form of %s asks %v for a password", login.Action.Host, person.Address)
	}
	login.Values.Set("username", person.Username)
	login.Values.Set("password", person.Password)
	must(t, b.Submit(ctx, login))
	consent, err := b.FormWith("ticket")
	must(t, err)
	consent.Values.Set("decision", "allow")
	must(t, b.Submit(ctx, consent))
}

func newBrowser(t *testing.T) *browse.Browser {
	t.Helper()
	b, err := browse.New(http.DefaultTransport, patience)
	must(t, err)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
