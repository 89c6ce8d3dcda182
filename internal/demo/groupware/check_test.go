package groupware

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

func TestCheckTakesGoodTokens(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	check := issuer.check("imap.example.test", mailScope)
	claims := issuer.claims("imap.example.test", mailScope, alice)
	single := issuer.claims("imap.example.test", mailScope, alice)
	single["aud"] = "imap.example.test"
	for name, token := range map[string]string{
		"ES256":                issuer.sign(t, claims),
		"RS256":                sign(t, jwt.SigningMethodRS256, "rsa", issuer.rsa, claims),
		"audience as a string": issuer.sign(t, single),
	} {
		if got, err := check.Login(t.Context(), token); got != alice || err != nil {
			t.Errorf("%s: Login = %q, %v, want %q", name, got, err, alice)
		}
	}
}

// RFC 9068, section 4: a resource server must reject a token that fails one of these.
func TestCheckRefusesBadTokensAndEachSwitchLetsItsOwnThrough(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	for _, c := range issuer.badTokens(t, "imap.example.test", mailScope, alice) {
		check := issuer.check("imap.example.test", mailScope)
		want := ErrInvalidToken
		if c.scope {
			want = ErrInsufficientScope
		}
		if login, err := check.Login(t.Context(), c.token); login != "" || !errors.Is(err, want) {
			t.Errorf("%s: Login = %q, %v, want %v", c.name, login, err, want)
		}
		check.Insecure = c.skip
		if login, err := check.Login(t.Context(), c.token); login != alice || err != nil {
			t.Errorf("%s with %+v: Login = %q, %v, want %q", c.name, c.skip, login, err, alice)
		}
	}
}

func TestCheckRefusesWhatNamesNobody(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	check := issuer.check("imap.example.test", mailScope)
	claims := issuer.claims("imap.example.test", mailScope, alice)
	delete(claims, "preferred_username")
	for name, token := range map[string]string{
		"no login name": issuer.sign(t, claims),
		"empty":         "",
		"not a JWT":     "hello",
		"three dots":    "...",
		"huge":          strings.Repeat("a", 1<<20),
	} {
		if login, err := check.Login(t.Context(), token); login != "" || !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: Login = %q, %v, want %v", name, login, err, ErrInvalidToken)
		}
	}
}

func TestLoginAsComparesTheUser(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	check := issuer.check("imap.example.test", mailScope)
	token := issuer.sign(t, issuer.claims("imap.example.test", mailScope, alice))
	for user, want := range map[string]error{"": nil, alice: nil, bob: ErrInvalidToken, "Alice@example.test": ErrInvalidToken} {
		if _, err := check.LoginAs(t.Context(), user, token); !errors.Is(err, want) {
			t.Errorf("LoginAs(%q) = %v, want %v", user, err, want)
		}
	}
}

func TestKeysAreFetchedOnceAndAgainForANewKeyOnlyAfterAPause(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	check := issuer.check("imap.example.test", mailScope)
	now := time.Now()
	check.Now = func() time.Time { return now }
	claims := issuer.claims("imap.example.test", mailScope, alice)
	for range 3 {
		if _, err := check.Login(t.Context(), issuer.sign(t, claims)); err != nil {
			t.Fatalf("Login: %v", err)
		}
	}
	if got := issuer.fetches.Load(); got != 1 {
		t.Fatalf("key set fetched %d times for three tokens, want 1", got)
	}
	fresh := newECKey(t)
	issuer.publish(jose.JSONWebKey{Key: fresh.Public(), KeyID: "new", Algorithm: "ES256", Use: "sig"})
	token := sign(t, jwt.SigningMethodES256, "new", fresh, claims)
	for range 3 {
		if _, err := check.Login(t.Context(), token); !errors.Is(err, ErrInvalidToken) {
			t.Fatalf("Login with an unknown key within the pause = %v, want %v", err, ErrInvalidToken)
		}
	}
	now = now.Add(keysMinPause)
	if _, err := check.Login(t.Context(), token); err != nil {
		t.Errorf("Login with the new key after the pause: %v", err)
	}
	if got := issuer.fetches.Load(); got != 2 {
		t.Errorf("key set fetched %d times, want 2", got)
	}
}

func TestKeysThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	good := newIssuer(t)
	token := good.sign(t, good.claims("imap.example.test", mailScope, alice))
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, good.URL+r.URL.Path, http.StatusFound)
		},
		"another issuer": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(t, w, map[string]string{"issuer": good.URL, "jwks_uri": good.URL + "/jwks"})
		},
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(t, w, map[string]string{"issuer": strings.Repeat("a", keysMaxBytes)})
		},
		"not found": http.NotFound,
	} {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		check := good.check("imap.example.test", mailScope)
		check.Issuer = server.URL
		if _, err := check.Login(t.Context(), token); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: Login = %v, want %v", name, err, ErrUnavailable)
		}
	}
}
