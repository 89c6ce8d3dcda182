package upstream

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"signpost/internal/idptest"
	"signpost/oidc"
)

// The secrets of a sign-in: none of them may be in an error.
const (
	testState    = "state-1234567890"
	testNonce    = "nonce-1234567890"
	testVerifier = "verifier-0123456789-0123456789-0123456789-0123456789"
	testRedirect = "https://id.example.com/callback/staff"
)

var alice = idptest.Person{Subject: "alice-1", Name: "Alice Example", Email: "Alice@Example.COM", EmailVerified: true, Login: "alice"}

// start runs an identity provider that knows Alice, and says how it is declared.
func start(t *testing.T) (*idptest.Provider, Provider) {
	t.Helper()
	idp := idptest.Start(t)
	idp.AddPerson(alice)
	idp.SignInAs(alice.Subject)
	return idp, Provider{
		Name:         "staff",
		Issuer:       idp.Issuer,
		ClientID:     idp.ClientID,
		ClientSecret: idp.ClientSecret,
		RedirectURL:  testRedirect,
		Scopes:       []string{"openid", "profile", "email"},
		Domains:      []string{"example.com"},
		AddressTrust: TrustEmailVerified,
	}
}

// signIn goes the whole way: to the provider, back with a code, redeemed.
func signIn(t *testing.T, c *Client, idp *idptest.Provider, p Provider) (oidc.Person, error) {
	t.Helper()
	r := Request{State: testState, Nonce: testNonce, Verifier: testVerifier, LoginHint: "alice@example.com"}
	there, err := c.AuthCodeURL(t.Context(), p, r)
	if err != nil {
		return oidc.Person{}, err
	}
	back := idp.Visit(t, there)
	if got := back.Get("state"); got != testState {
		t.Errorf("state: got %q, want %q", got, testState)
	}
	r.ResponseIssuer = back.Get("iss")
	person, err := c.Redeem(t.Context(), p, r, back.Get("code"))
	wantNoSecrets(t, err, idp.ClientSecret, back.Get("code"))
	return person, err
}

// wantNoSecrets fails if an error tells what a log must not know.
func wantNoSecrets(t *testing.T, err error, secrets ...string) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range append(secrets, testState, testNonce, testVerifier, "eyJ", "@") {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error has the secret %q in it: %v", secret, err)
		}
	}
}

func wantError(t *testing.T, person oidc.Person, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if person.Subject != "" || person.Addresses != nil || person.Login != "" {
		t.Errorf("got a person with the error: %+v", person)
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	before := time.Now().Add(-time.Second)
	got, err := signIn(t, New(nil, time.Now), idp, p)
	if err != nil {
		t.Fatalf("sign in: %v", err)
	}
	if got.Provider != "staff" || got.Issuer != idp.Issuer || got.Subject != "alice-1" || got.Login != "" || got.Name != "Alice Example" {
		t.Errorf("got %+v, want Alice of %s", got, idp.Issuer)
	}
	if want := []string{"Alice@example.com"}; !slices.Equal(got.Addresses, want) {
		t.Errorf("addresses: got %q, want %q", got.Addresses, want)
	}
	if got.AuthTime.Before(before) || got.AuthTime.After(time.Now()) {
		t.Errorf("auth time: got %v, want now", got.AuthTime)
	}
}

func TestAuthCodeURL(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	p.Scopes = []string{"email", "openid", "email"}
	if _, err := signIn(t, New(nil, time.Now), idp, p); err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id":             {idp.ClientID},
		"redirect_uri":          {testRedirect},
		"response_type":         {"code"},
		"scope":                 {"openid email"},
		"state":                 {testState},
		"nonce":                 {testNonce},
		"login_hint":            {"alice@example.com"},
		"code_challenge":        {oauth2.S256ChallengeFromVerifier(testVerifier)},
		"code_challenge_method": {"S256"},
	}
	if got := idp.LastRequest(); got.Encode() != want.Encode() {
		t.Errorf("authorization request:\n got %v\nwant %v", got, want)
	}
}

func TestAuthCodeURLWithoutHint(t *testing.T) {
	t.Parallel()
	_, p := start(t)
	there, err := New(nil, time.Now).AuthCodeURL(t.Context(), p, Request{State: testState, Nonce: testNonce, Verifier: testVerifier})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(there, "login_hint") {
		t.Errorf("a hint nobody gave: %s", there)
	}
}

func TestR17PromptAndMaxAgeGoUpstream(t *testing.T) {
	t.Parallel()
	_, p := start(t)
	zero, hour := 0, 3600
	for name, c := range map[string]struct {
		prompt string
		maxAge *int
		want   url.Values
	}{
		"neither":            {"", nil, url.Values{}},
		"sign in again":      {"login", nil, url.Values{"prompt": {"login"}}},
		"within an hour":     {"", &hour, url.Values{"max_age": {"3600"}}},
		"zero is not absent": {"select_account", &zero, url.Values{"prompt": {"select_account"}, "max_age": {"0"}}},
	} {
		there, err := New(nil, time.Now).AuthCodeURL(t.Context(), p,
			Request{State: testState, Nonce: testNonce, Verifier: testVerifier, Prompt: c.prompt, MaxAge: c.maxAge})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		u, err := url.Parse(there)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := url.Values{}
		for _, parameter := range []string{"prompt", "max_age"} {
			if u.Query().Has(parameter) {
				got[parameter] = u.Query()[parameter]
			}
		}
		if got.Encode() != c.want.Encode() {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestIncompleteRequestsAreFaultsOfTheCaller(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	c := New(nil, time.Now)
	for name, r := range map[string]Request{
		"no state":       {Nonce: testNonce, Verifier: testVerifier},
		"no nonce":       {State: testState, Verifier: testVerifier},
		"no verifier":    {State: testState, Nonce: testNonce},
		"short verifier": {State: testState, Nonce: testNonce, Verifier: testVerifier[:42]},
	} {
		if there, err := c.AuthCodeURL(t.Context(), p, r); err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRejected) {
			t.Errorf("%s: got %q, %v, want an error of its own", name, there, err)
		}
	}
	full := Request{Nonce: testNonce, Verifier: testVerifier, ResponseIssuer: idp.Issuer}
	for name, redeem := range map[string]func() (oidc.Person, error){
		"no nonce":    func() (oidc.Person, error) { r := full; r.Nonce = ""; return c.Redeem(t.Context(), p, r, "code") },
		"no verifier": func() (oidc.Person, error) { r := full; r.Verifier = ""; return c.Redeem(t.Context(), p, r, "code") },
		"no code":     func() (oidc.Person, error) { return c.Redeem(t.Context(), p, full, "") },
	} {
		if person, err := redeem(); err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRejected) {
			t.Errorf("%s: got %+v, %v, want an error of its own", name, person, err)
		}
	}
	if n := idp.Requests(idptest.PathToken); n != 0 {
		t.Errorf("%d requests reached the token endpoint, want none", n)
	}
}

// TestFaults has every way in which the fake provider can be wrong. The tests of
// the single checks below say more about some of them.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(*idptest.Faults)
		want error
		text string // in the error: proof that it failed for this reason
	}{
		"discovery fails":              {func(f *idptest.Faults) { f.FailAt = idptest.PathDiscovery }, ErrUnavailable, "answered 500"},
		"discovery is huge":            {func(f *idptest.Faults) { f.HugeAt = idptest.PathDiscovery }, ErrUnavailable, "larger than"},
		"discovery redirects":          {func(f *idptest.Faults) { f.RedirectAt = idptest.PathDiscovery }, ErrUnavailable, "answered 307"},
		"discovery of another issuer":  {func(f *idptest.Faults) { f.DiscoveryIssuer = true }, ErrUnavailable, "did not match"},
		"token endpoint without TLS":   {func(f *idptest.Faults) { f.DiscoveryHTTPEndpoint = true }, ErrUnavailable, "token_endpoint is not https"},
		"token endpoint fails":         {func(f *idptest.Faults) { f.FailAt = idptest.PathToken }, ErrUnavailable, "answered 500"},
		"token endpoint is huge":       {func(f *idptest.Faults) { f.HugeAt = idptest.PathToken }, ErrUnavailable, "larger than"},
		"token endpoint redirects":     {func(f *idptest.Faults) { f.RedirectAt = idptest.PathToken }, ErrUnavailable, "answered 307"},
		"keys fail":                    {func(f *idptest.Faults) { f.FailAt = idptest.PathJWKS }, ErrUnavailable, "answered 500"},
		"keys are huge":                {func(f *idptest.Faults) { f.HugeAt = idptest.PathJWKS }, ErrUnavailable, "larger than"},
		"keys redirect":                {func(f *idptest.Faults) { f.RedirectAt = idptest.PathJWKS }, ErrUnavailable, "answered 307"},
		"userinfo fails":               {func(f *idptest.Faults) { f.FailAt = idptest.PathUserinfo }, ErrUnavailable, "answered 500"},
		"userinfo is huge":             {func(f *idptest.Faults) { f.HugeAt = idptest.PathUserinfo }, ErrUnavailable, "larger than"},
		"userinfo redirects":           {func(f *idptest.Faults) { f.RedirectAt = idptest.PathUserinfo }, ErrUnavailable, "answered 307"},
		"userinfo of somebody else":    {func(f *idptest.Faults) { f.OtherSubject = true }, ErrRejected, "sub is not that"},
		"response of another issuer":   {func(f *idptest.Faults) { f.ResponseIssuer = true }, ErrRejected, "iss is not the issuer"},
		"response without iss":         {func(f *idptest.Faults) { f.NoResponseIssuer = true }, ErrRejected, "iss is missing"},
		"no ID token":                  {func(f *idptest.Faults) { f.NoIDToken = true }, ErrRejected, "there is none"},
		"wrong nonce":                  {func(f *idptest.Faults) { f.WrongNonce = true }, ErrRejected, "nonce"},
		"no nonce":                     {func(f *idptest.Faults) { f.NoNonce = true }, ErrRejected, "nonce"},
		"ID token of another issuer":   {func(f *idptest.Faults) { f.WrongIssuer = true }, ErrRejected, "different provider"},
		"ID token for another client":  {func(f *idptest.Faults) { f.WrongAudience = true }, ErrRejected, "expected audience"},
		"two audiences, no azp":        {func(f *idptest.Faults) { f.ExtraAudienceNoAzp = true }, ErrRejected, "no azp"},
		"two audiences, azp the other": {func(f *idptest.Faults) { f.WrongAzp = true }, ErrRejected, "azp is another"},
		"expired":                      {func(f *idptest.Faults) { f.Expired = true }, ErrRejected, "expired"},
		"not signed":                   {func(f *idptest.Faults) { f.AlgNone = true }, ErrRejected, "signature algorithm"},
		"signed with the secret":       {func(f *idptest.Faults) { f.AlgHS256 = true }, ErrRejected, "signature algorithm"},
		"signed with another key":      {func(f *idptest.Faults) { f.OtherKey = true }, ErrRejected, "verify"},
		"wrong at_hash":                {func(f *idptest.Faults) { f.WrongAtHash = true }, ErrRejected, "access token hash"},
		"no subject":                   {func(f *idptest.Faults) { f.NoSubject = true }, ErrRejected, "sub is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp, p := start(t)
			idp.Set(c.set)
			person, err := signIn(t, New(nil, time.Now), idp, p)
			wantError(t, person, err, c.want)
			if err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %q, want it to say %q", err, c.text)
			}
		})
	}
}

// TestUnusualButRight has answers that look odd and must pass.
func TestUnusualButRight(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*idptest.Faults){
		"two audiences and our azp": func(f *idptest.Faults) { f.ExtraAudience = true },
		"no at_hash":                func(f *idptest.Faults) { f.NoAtHash = true },
		"no auth_time":              func(f *idptest.Faults) { f.NoAuthTime = true },
		"no verified address":       func(f *idptest.Faults) { f.EmailNotVerified = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp, p := start(t)
			idp.Set(set)
			if person, err := signIn(t, New(nil, time.Now), idp, p); err != nil || person.Subject != alice.Subject {
				t.Errorf("got %+v, %v, want Alice", person, err)
			}
		})
	}
}

func TestR2UnverifiedAddressDoesNotCount(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	idp.Set(func(f *idptest.Faults) { f.EmailNotVerified = true })
	person, err := signIn(t, New(nil, time.Now), idp, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(person.Addresses) != 0 {
		t.Errorf("addresses: got %q, want none", person.Addresses)
	}
}

func TestR17AuthTimeIsNeverInvented(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	idp.Set(func(f *idptest.Faults) { f.NoAuthTime = true })
	person, err := signIn(t, New(nil, time.Now), idp, p)
	if err != nil {
		t.Fatal(err)
	}
	if !person.AuthTime.IsZero() {
		t.Errorf("auth time: got %v, want none", person.AuthTime)
	}
}

// TestRFC9207Section24 covers what a provider without the parameter's promise may leave out.
func TestRFC9207Section24(t *testing.T) {
	t.Parallel()
	const issuer = "https://idp.example.com"
	for name, c := range map[string]struct {
		promised bool
		got      string
		good     bool
	}{
		"promised and right":     {true, issuer, true},
		"promised and missing":   {true, "", false},
		"promised and wrong":     {true, "https://other.example", false},
		"trailing slash":         {true, issuer + "/", false},
		"not promised, missing":  {false, "", true},
		"not promised but right": {false, issuer, true},
		"not promised and wrong": {false, "https://other.example", false},
	} {
		k := &known{metadata: metadata{ResponseIssuer: c.promised}}
		err := k.checkResponse(issuer, c.got)
		if good := err == nil; good != c.good || !good && !errors.Is(err, ErrRejected) {
			t.Errorf("%s: iss %q: got %v, want accepted: %v", name, c.got, err, c.good)
		}
	}
}

func TestRedeemTakesACodeOnce(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	c := New(nil, time.Now)
	r := Request{State: testState, Nonce: testNonce, Verifier: testVerifier}
	there, err := c.AuthCodeURL(t.Context(), p, r)
	if err != nil {
		t.Fatal(err)
	}
	back := idp.Visit(t, there)
	r.ResponseIssuer = back.Get("iss")
	if _, err := c.Redeem(t.Context(), p, r, back.Get("code")); err != nil {
		t.Fatalf("first time: %v", err)
	}
	person, err := c.Redeem(t.Context(), p, r, back.Get("code"))
	wantError(t, person, err, ErrRejected)
	wantNoSecrets(t, err, back.Get("code"))
	if err != nil && !strings.Contains(err.Error(), "answered 400 invalid_grant") {
		t.Errorf("second time: got %v, want status and error code in it", err)
	}
}

func TestRFC7636Section46WrongVerifier(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	c := New(nil, time.Now)
	r := Request{State: testState, Nonce: testNonce, Verifier: testVerifier}
	there, err := c.AuthCodeURL(t.Context(), p, r)
	if err != nil {
		t.Fatal(err)
	}
	back := idp.Visit(t, there)
	r.ResponseIssuer, r.Verifier = back.Get("iss"), strings.ToUpper(testVerifier)
	person, err := c.Redeem(t.Context(), p, r, back.Get("code"))
	wantError(t, person, err, ErrRejected)
	wantNoSecrets(t, err, r.Verifier, back.Get("code"))
}

func TestWrongClientSecretIsTriedOnce(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	p.ClientSecret = "not-the-secret"
	person, err := signIn(t, New(nil, time.Now), idp, p)
	wantError(t, person, err, ErrRejected)
	if err != nil && !strings.Contains(err.Error(), "answered 401 invalid_client") {
		t.Errorf("got %v, want status and error code in it", err)
	}
	if n := idp.Requests(idptest.PathToken); n != 1 {
		t.Errorf("%d requests to the token endpoint, want 1: another try would burn the code", n)
	}
}

func TestTheClockDecidesAboutExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ahead time.Duration
		good  bool
	}{{0, true}, {4 * time.Minute, true}, {6 * time.Minute, false}} {
		idp, p := start(t)
		_, err := signIn(t, New(nil, func() time.Time { return time.Now().Add(c.ahead) }), idp, p)
		if good := err == nil; good != c.good || !good && !errors.Is(err, ErrRejected) {
			t.Errorf("an ID token of 5 minutes, %v later: got %v, want accepted: %v", c.ahead, err, c.good)
		}
	}
}

func TestHangingProviderEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, path := range []string{idptest.PathDiscovery, idptest.PathToken, idptest.PathJWKS, idptest.PathUserinfo} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			idp, p := start(t)
			c := New(nil, time.Now)
			r := Request{State: testState, Nonce: testNonce, Verifier: testVerifier, ResponseIssuer: idp.Issuer}
			code := "never used"
			if path != idptest.PathDiscovery {
				there, err := c.AuthCodeURL(t.Context(), p, r)
				if err != nil {
					t.Fatal(err)
				}
				code = idp.Visit(t, there).Get("code")
			}
			idp.Set(func(f *idptest.Faults) { f.HangAt = path })
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			person, err := c.Redeem(ctx, p, r, code)
			wantError(t, person, err, ErrUnavailable)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded in it", err)
			}
		})
	}
}

func TestUnreachableProvider(t *testing.T) {
	t.Parallel()
	p := Provider{Issuer: "http://127.0.0.1:1", ClientID: "c", RedirectURL: testRedirect}
	_, err := New(nil, time.Now).AuthCodeURL(t.Context(), p, Request{State: testState, Nonce: testNonce, Verifier: testVerifier})
	wantError(t, oidc.Person{}, err, ErrUnavailable)
	wantNoSecrets(t, err)
}
