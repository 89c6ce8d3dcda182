package clients_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"signpost/internal/demo/demotest"
)

// TestZitadelSignsIn runs the handlers of zitadel/oidc as its users run them.
func TestZitadelSignsIn(t *testing.T) {
	t.Parallel()
	d := demotest.Start(t, nil)
	program := &zitadelProgram{t: t, signedIn: make(chan *oidc.Tokens[*oidc.IDTokenClaims], 1)}
	server := httptest.NewServer(http.HandlerFunc(program.ServeHTTP))
	t.Cleanup(server.Close)
	redirectURI := server.URL + "/callback"
	party, err := rp.NewRelyingPartyOIDC(t.Context(), d.URL, register(t, discover(t, d), redirectURI, everything), "",
		redirectURI, strings.Fields(everything), rp.WithPKCE(cookies(t)), rp.WithSigningAlgsFromDiscovery())
	if err != nil {
		t.Fatalf("NewRelyingPartyOIDC: %v", err)
	}
	program.party = party

	open(t, d, server.URL+"/login")
	tokens := <-program.signedIn
	info, err := rp.Userinfo[*oidc.UserInfo](t.Context(), tokens.AccessToken, tokens.TokenType, tokens.IDTokenClaims.GetSubject(), party)
	if err != nil {
		t.Fatalf("Userinfo: %v", err)
	}
	if info.Email != alice || !bool(info.EmailVerified) {
		t.Errorf("userinfo says %q %v, want %q true", info.Email, info.EmailVerified, alice)
	}
	renewed, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), party, tokens.RefreshToken, "", "")
	if err != nil {
		t.Fatalf("RefreshTokens: %v", err)
	}
	if renewed.IDTokenClaims.GetSubject() != tokens.IDTokenClaims.GetSubject() {
		t.Errorf("the renewed ID token is of %q, want %q", renewed.IDTokenClaims.GetSubject(), tokens.IDTokenClaims.GetSubject())
	}

	// What the program gives back is worth nothing any more.
	if err := rp.RevokeToken(t.Context(), party, renewed.RefreshToken, "refresh_token"); err != nil {
		t.Fatalf("RevokeToken: %v", err)
	}
	if _, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), party, renewed.RefreshToken, "", ""); err == nil {
		t.Error("a revoked refresh token was taken")
	}
	if _, err := rp.Userinfo[*oidc.UserInfo](t.Context(), renewed.AccessToken, renewed.TokenType, info.Subject, party); err == nil {
		t.Error("an access token of an ended grant was taken")
	}
}

func TestZitadelPairsADevice(t *testing.T) {
	t.Parallel()
	d := demotest.Start(t, nil)
	const redirectURI = "http://127.0.0.1/cb"
	party, err := rp.NewRelyingPartyOIDC(t.Context(), d.URL, register(t, discover(t, d), redirectURI, everything), "",
		redirectURI, strings.Fields(everything))
	if err != nil {
		t.Fatalf("NewRelyingPartyOIDC: %v", err)
	}
	device, err := rp.DeviceAuthorization(t.Context(), strings.Fields(everything), party, nil)
	if err != nil {
		t.Fatalf("DeviceAuthorization: %v", err)
	}
	allowDevice(t, d, device.VerificationURIComplete)
	answer, err := rp.DeviceAccessToken(t.Context(), device.DeviceCode, time.Duration(device.Interval)*time.Second, party)
	if err != nil {
		t.Fatalf("DeviceAccessToken: %v", err)
	}
	if answer.AccessToken == "" || answer.RefreshToken == "" || !strings.EqualFold(answer.TokenType, "Bearer") {
		t.Errorf("the device got the type %q, and a token or a refresh token is missing", answer.TokenType)
	}
}

// zitadelProgram is a small web server on the person's machine.
type zitadelProgram struct {
	t        *testing.T
	party    rp.RelyingParty
	signedIn chan *oidc.Tokens[*oidc.IDTokenClaims]
}

func (p *zitadelProgram) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/login":
		rp.AuthURLHandler(rand.Text, p.party)(w, r)
	case "/callback":
		rp.CodeExchangeHandler(func(w http.ResponseWriter, _ *http.Request, tokens *oidc.Tokens[*oidc.IDTokenClaims], _ string, _ rp.RelyingParty) {
			p.signedIn <- tokens
			fmt.Fprintln(w, "signed in")
		}, p.party)(w, r)
	default:
		http.NotFound(w, r)
	}
}

func cookies(t *testing.T) *httphelper.CookieHandler {
	t.Helper()
	hash, encrypt := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(hash)
	_, _ = rand.Read(encrypt)
	return httphelper.NewCookieHandler(hash, encrypt, httphelper.WithUnsecure())
}
