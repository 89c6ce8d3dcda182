package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"signpost/internal/idptest"
)

// roundTrip is a transport without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering returns a client that gets the same answer everywhere, and the
// number of its requests.
func answering(status int, body string) (*http.Client, *atomic.Int64) {
	var requests atomic.Int64
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		requests.Add(1)
		return &http.Response{
			StatusCode: status,
			Header:     http.Header{"Content-Type": {"application/json"}},
			Body:       io.NopCloser(strings.NewReader(body)),
			Request:    r,
		}, nil
	})}, &requests
}

func goodMetadata(issuer string) string {
	return fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":"%[2]s/a","token_endpoint":"%[2]s/t","jwks_uri":"%[2]s/k"}`,
		issuer, strings.TrimSuffix(issuer, "/"))
}

func authCodeURL(t *testing.T, c *Client, issuer string) (string, error) {
	t.Helper()
	return c.AuthCodeURL(t.Context(), Provider{Issuer: issuer, ClientID: "c", RedirectURL: testRedirect},
		Request{State: testState, Nonce: testNonce, Verifier: testVerifier})
}

func TestIssuersThatAreAsked(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{
		"https://idp.example.com", "https://idp.example.com/", "https://idp.example.com/realms/staff",
		"https://idp.example.com:8443", "http://127.0.0.1:8080", "http://127.8.9.10", "http://[::1]:8080/x",
	} {
		client, _ := answering(http.StatusOK, goodMetadata(issuer))
		if _, err := authCodeURL(t, New(client, time.Now), issuer); err != nil {
			t.Errorf("issuer %q: %v", issuer, err)
		}
	}
}

func TestIssuersThatAreNotAsked(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{
		"", "idp.example.com", "https://", "https:///path", "ftp://idp.example.com", "//idp.example.com",
		"http://idp.example.com", "http://localhost:8080", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://[::]",
		"https://user@idp.example.com", "https://idp.example.com?x=1", "https://idp.example.com?", "https://idp.example.com#x", "https://idp example",
	} {
		client, requests := answering(http.StatusOK, goodMetadata(issuer))
		if _, err := authCodeURL(t, New(client, time.Now), issuer); !errors.Is(err, ErrUnavailable) {
			t.Errorf("issuer %q: got %v, want ErrUnavailable", issuer, err)
		}
		if n := requests.Load(); n != 0 {
			t.Errorf("issuer %q: %d requests were sent, want none", issuer, n)
		}
	}
}

func TestUnusableMetadata(t *testing.T) {
	t.Parallel()
	const issuer = "https://idp.example.com"
	good := goodMetadata(issuer)
	for name, body := range map[string]string{
		"not JSON":                   "<html>",
		"trailing slash":             strings.Replace(good, issuer, issuer+"/", 1),
		"template of an issuer":      strings.Replace(good, issuer, "https://idp.example.com/{tenantid}/v2.0", 1),
		"long story":                 strings.Replace(good, issuer, issuer+"/"+strings.Repeat("x", 5000), 1),
		"no issuer":                  strings.Replace(good, `"issuer"`, `"x"`, 1),
		"no authorization endpoint":  strings.Replace(good, `"authorization_endpoint"`, `"x"`, 1),
		"no token endpoint":          strings.Replace(good, `"token_endpoint"`, `"x"`, 1),
		"no keys":                    strings.Replace(good, `"jwks_uri"`, `"x"`, 1),
		"keys by http":               strings.Replace(good, issuer+"/k", "http://idp.example.com/k", 1),
		"keys on loopback":           strings.Replace(good, issuer+"/k", "http://127.0.0.1/k", 1),
		"token endpoint is a script": strings.Replace(good, issuer+"/a", "javascript:alert(1)", 1),
		"userinfo by http":           strings.Replace(good, "{", `{"userinfo_endpoint":"http://idp.example.com/u",`, 1),
		"userinfo is not a string":   strings.Replace(good, "{", `{"userinfo_endpoint":1,`, 1),
		"endless":                    good + strings.Repeat(" ", maxBody),
	} {
		client, _ := answering(http.StatusOK, body)
		if _, err := authCodeURL(t, New(client, time.Now), issuer); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", name, err)
		} else if len(err.Error()) > 600 {
			t.Errorf("%s: the error has %d bytes, want a line", name, len(err.Error()))
		}
	}
}

func TestDiscoveryIsRememberedForAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const issuer = "https://idp.example.com"
		client, requests := answering(http.StatusOK, goodMetadata(issuer))
		c := New(client, time.Now)
		for _, step := range []struct {
			wait time.Duration
			want int64
		}{{0, 1}, {0, 1}, {59 * time.Minute, 1}, {time.Minute, 2}, {time.Minute, 2}} {
			time.Sleep(step.wait)
			if _, err := authCodeURL(t, c, issuer); err != nil {
				t.Fatal(err)
			}
			if got := requests.Load(); got != step.want {
				t.Errorf("after %v more: %d requests, want %d", step.wait, got, step.want)
			}
		}
	})
}

// clock is a time that a test sets.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time { return c.now }

// asks begins a sign-in and returns how often the provider was asked for its metadata.
func asks(t *testing.T, c *Client, idp *idptest.Provider) (requests int, err error) {
	t.Helper()
	before := idp.Requests(idptest.PathDiscovery)
	_, err = authCodeURL(t, c, idp.Issuer)
	return idp.Requests(idptest.PathDiscovery) - before, err
}

func TestFailedDiscoveryIsRememberedForTenSeconds(t *testing.T) {
	t.Parallel()
	idp, _ := start(t)
	at := newClock()
	c := New(nil, at.Now)
	idp.Set(func(f *idptest.Faults) { f.FailAt = idptest.PathDiscovery })
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{0, 1}, {0, 0}, {9 * time.Second, 0}, {time.Second, 1}, {9 * time.Second, 0}} {
		at.now = at.now.Add(step.wait)
		if got, err := asks(t, c, idp); got != step.want || !errors.Is(err, ErrUnavailable) {
			t.Errorf("provider away, %v later: %d requests, %v; want %d and ErrUnavailable", step.wait, got, err, step.want)
		}
	}
	idp.Set(func(f *idptest.Faults) { f.FailAt = "" })
	at.now = at.now.Add(time.Second)
	if got, err := asks(t, c, idp); got != 1 || err != nil {
		t.Errorf("provider back: %d requests, %v; want 1 and no error", got, err)
	}
}

func TestOldMetadataGoOnForADay(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*idptest.Faults){
		"away":                   func(f *idptest.Faults) { f.FailAt = idptest.PathDiscovery },
		"speaks as another":      func(f *idptest.Faults) { f.DiscoveryIssuer = true },
		"endpoint without https": func(f *idptest.Faults) { f.DiscoveryHTTPEndpoint = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp, _ := start(t)
			at := newClock()
			c := New(nil, at.Now)
			began := at.now
			if got, err := asks(t, c, idp); got != 1 || err != nil {
				t.Fatalf("first: %d requests, %v; want 1 and no error", got, err)
			}
			idp.Set(fault)
			for _, step := range []struct {
				after time.Duration
				want  int
				good  bool
			}{
				{time.Hour - 1, 0, true},
				{time.Hour, 1, true},
				{time.Hour + 9*time.Second, 0, true}, // a failed refresh is remembered too
				{time.Hour + 10*time.Second, 1, true},
				{24*time.Hour - 10*time.Second, 1, true},
				{24*time.Hour - 1, 0, true},
				{24 * time.Hour, 1, false},
				{24*time.Hour + time.Second, 0, false},
			} {
				at.now = began.Add(step.after)
				got, err := asks(t, c, idp)
				if got != step.want || (err == nil) != step.good || !step.good && !errors.Is(err, ErrUnavailable) {
					t.Errorf("after %v: %d requests, %v; want %d, sign-in possible: %v", step.after, got, err, step.want, step.good)
				}
			}
			idp.Set(func(f *idptest.Faults) { *f = idptest.Faults{} })
			at.now = began.Add(25 * time.Hour)
			if got, err := asks(t, c, idp); got != 1 || err != nil {
				t.Errorf("provider back: %d requests, %v; want 1 and no error", got, err)
			}
		})
	}
}

// gated returns a client whose requests wait until the gate is opened.
func gated(body string) (client *http.Client, requests *atomic.Int64, open func()) {
	gate := make(chan struct{})
	answer, requests := answering(http.StatusOK, body)
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		select {
		case <-gate:
			return answer.Transport.RoundTrip(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})}, requests, func() { close(gate) }
}

func TestParallelDiscoveriesAreOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const issuer, callers = "https://idp.example.com", 20
		client, requests, open := gated(goodMetadata(issuer))
		c := New(client, time.Now)
		gaveUp, giveUp := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := c.discover(gaveUp, issuer) // the one for whom the request is sent
			ended <- err
		}()
		synctest.Wait()
		results := make(chan error, callers)
		for range callers {
			go func() {
				_, err := c.discover(t.Context(), issuer)
				results <- err
			}()
		}
		synctest.Wait()
		giveUp()
		if err := <-ended; !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up: got %v, want ErrUnavailable and context.Canceled", err)
		}
		open()
		for range callers {
			if err := <-results; err != nil {
				t.Errorf("who waited: %v", err)
			}
		}
		if got := requests.Load(); got != 1 {
			t.Errorf("%d requests for %d callers, want 1", got, callers+1)
		}
	})
}

// TestHangingProviderIsWaitedForOnce: all wait ten seconds together, those who
// come right after do not wait at all.
func TestHangingProviderIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const issuer = "https://idp.example.com"
		client, _, _ := gated(goodMetadata(issuer))
		c := New(client, time.Now)
		for _, want := range []time.Duration{timeout, 0, 0} {
			began := time.Now()
			if _, err := authCodeURL(t, c, issuer); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("it took %v, want %v", took, want)
			}
		}
	})
}

func TestKeysAreFetchedOnce(t *testing.T) {
	t.Parallel()
	idp, p := start(t)
	c := New(nil, time.Now)
	for range 3 {
		if _, err := signIn(t, c, idp, p); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{idptest.PathDiscovery, idptest.PathJWKS} {
		if n := idp.Requests(path); n != 1 {
			t.Errorf("%s: %d requests for 3 sign-ins, want 1", path, n)
		}
	}
}

func TestRememberedIssuersAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	c := New(nil, func() time.Time { return now })
	for i := range maxKnown + 10 {
		now = now.Add(time.Millisecond)
		c.remember(fmt.Sprint(i), finding{until: now.Add(freshFor)})
	}
	if len(c.found) != maxKnown {
		t.Errorf("%d issuers are remembered, want %d", len(c.found), maxKnown)
	}
	for i, want := range map[int]bool{0: false, 9: false, 10: true, maxKnown + 9: true} {
		if _, got := c.remembered(fmt.Sprint(i)); got != want {
			t.Errorf("issuer %d: remembered %v, want %v: the oldest go first", i, got, want)
		}
	}
}

func TestRequestsEndAfterTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hanging := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		began := time.Now()
		_, err := authCodeURL(t, New(hanging, time.Now), "https://idp.example.com")
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v, want 10s", took)
		}
	})
}

func TestAlgorithmsNeverNoneOrHMAC(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ listed, want []string }{
		"nothing listed":  {nil, []string{"RS256"}},
		"only useless":    {[]string{"none", "HS256", "HS384", "HS512", "NONE", "rs256"}, []string{"RS256"}},
		"one among them":  {[]string{"HS256", "ES256", "none"}, []string{"ES256"}},
		"all good ones":   {[]string{"RS256", "PS512", "EdDSA"}, []string{"RS256", "PS512", "EdDSA"}},
		"not RS256 then":  {[]string{"ES384"}, []string{"ES384"}},
		"unknown to all":  {[]string{"ML-DSA-65"}, []string{"RS256"}},
		"encryption only": {[]string{"RSA-OAEP"}, []string{"RS256"}},
	} {
		if got := (metadata{Algorithms: c.listed}).algorithms(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q: got %q, want %q", name, c.listed, got, c.want)
		}
	}
}

func TestAuthStyle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret  string
		methods []string
		want    oauth2.AuthStyle
	}{
		"nothing listed: basic is the rule": {"s", nil, oauth2.AuthStyleInHeader},
		"both":                              {"s", []string{"client_secret_post", "client_secret_basic"}, oauth2.AuthStyleInHeader},
		"post only":                         {"s", []string{"private_key_jwt", "client_secret_post"}, oauth2.AuthStyleInParams},
		"public client":                     {"", []string{"client_secret_basic"}, oauth2.AuthStyleInParams},
	} {
		k := &known{metadata: metadata{AuthMethods: c.methods}}
		if got := k.authStyle(Provider{ClientSecret: c.secret}); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestErrorCodeIsNotAnythingTheServerSays: a code is a word, not a place for text.
func TestErrorCodeIsNotAnythingTheServerSays(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"invalid_grant":            "invalid_grant",
		"":                         "without a known error code",
		"eyJhbGciOiJub25lIn0":      "without a known error code",
		"code 1234":                "without a known error code",
		strings.Repeat("long", 11): "without a known error code",
	} {
		if got := errorCode(code); got != want {
			t.Errorf("errorCode(%q): got %q, want %q", code, got, want)
		}
	}
}
