package server_test

import (
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/server"
)

// TestStrangersParametersAreBounded: what a request that nobody signed in for
// leaves behind for half an hour is small.
func TestStrangersParametersAreBounded(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, name := range []string{"state", "nonce"} {
		if q := asked(t, s.URL, set(name, strings.Repeat("x", 1024))); q != nil {
			t.Errorf("%s of 1024 bytes: refused with %v, want the page", name, q)
		}
		q := asked(t, s.URL, set(name, strings.Repeat("x", 1025)))
		if q.Get("error") != oidc.CodeInvalidRequest || q.Get("iss") != s.URL || len(q.Get("state")) > 2 {
			t.Errorf("%s of 1025 bytes: answer %v, want invalid_request by redirect, and nothing long repeated", name, q)
		}
	}
	filled := func(size int) edit {
		return body("application/x-www-form-urlencoded", "x="+strings.Repeat("x", size-2))
	}
	const most = 16 << 10
	tokenError(t, "a body of 16 KiB", ask(t, http.MethodPost, s.URL+"/token", filled(most)), http.StatusBadRequest, oidc.CodeInvalidRequest)
	tokenError(t, "one byte more", ask(t, http.MethodPost, s.URL+"/token", filled(most+1)), http.StatusRequestEntityTooLarge, oidc.CodeInvalidRequest)
	for _, path := range []string{"/authorize", "/consent"} {
		ask(t, http.MethodPost, s.URL+path, filled(most+1)).isPage(t, http.StatusRequestEntityTooLarge)
	}
}

// countingCache counts what is kept.
type countingCache struct {
	issuer.Cache
	kept atomic.Int64
}

func (c *countingCache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	c.kept.Add(1)
	return c.Cache.Set(ctx, key, value, ttl)
}

// TestOneEntryForEachRequest, however many identity providers might answer it.
func TestOneEntryForEachRequest(t *testing.T) {
	t.Parallel()
	const staff = `{name: staff, title: Example staff, issuer: "https://login.example.test", client_id: signpost}`
	var many []string
	for _, name := range []string{"staff", "north", "south", "east", "west"} {
		many = append(many, strings.NewReplacer("staff", name, "login.", name+".", "signpost}", "signpost, domains: [example.test]}").Replace(staff))
	}
	kept := &countingCache{}
	a := newAlone(t, https, strings.Replace(declared, staff, strings.Join(many, "\n      - "), 1), func(d *server.Deps) {
		kept.Cache, d.Issuer.Begun = d.Issuer.Begun, kept
	})
	p := a.ask(http.MethodGet, authorizeURL(https, nil))
	p.isPage(t, http.StatusOK)
	if got := strings.Count(p.body, "/sign-in/"); got != 5 {
		t.Fatalf("the page has %d identity providers, want 5", got)
	}
	if got := kept.kept.Load(); got != 1 {
		t.Errorf("one authorization request left %d entries, want 1", got)
	}
}

// TestScopeIsBounded: by words and by bytes, at both endpoints that read one,
// before any word is compared with another.
func TestScopeIsBounded(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	words := func(n int) string { return strings.TrimSuffix(strings.Repeat("openid ", n), " ") }
	bytes := func(n int) string { return "openid " + strings.Repeat("x", n-len("openid ")) }
	refresh := signedIn(t, s.URL, nil).RefreshToken
	for name, c := range map[string]struct {
		scope string
		taken bool
	}{
		"128 words": {words(128), true}, "129 words": {words(129), false}, "8000 bytes of words": {words(1000), false},
		"4096 bytes": {bytes(4096), true}, "4097 bytes": {bytes(4097), false},
	} {
		q := asked(t, s.URL, set("scope", c.scope))
		if c.taken != (q == nil) || !c.taken && q.Get("error") != oidc.CodeInvalidScope {
			t.Errorf("authorize with %s: answer %v, want taken %v", name, q, c.taken)
		}
	}
	form := refreshForm(refresh)
	form.Set("scope", words(129))
	tokenError(t, "token with 129 words", posted(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidScope)
	form.Set("scope", strings.TrimSpace(strings.Repeat("a ", 30<<10)))
	tokenError(t, "token with 60 KB", posted(t, s.URL, form), http.StatusRequestEntityTooLarge, oidc.CodeInvalidRequest)
	form.Set("scope", words(128))
	if a := token(t, s.URL, form); a.Status != http.StatusOK || a.Scope != oidc.ScopeOpenID {
		t.Errorf("token with 128 words: %d %s, scope %q, want openid", a.Status, a.Error, a.Scope)
	}
}

// TestAuditHoldsNoInventedWords: the record cannot be shortened, so what a caller
// made up does not get into it.
func TestAuditHoldsNoInventedWords(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil)
	const invented = "urn:invented"
	form := exchangeForm(broad.AccessToken, imap)
	form.Set("scope", mailScope+" "+invented+":1 "+invented+":2")
	tokenError(t, "invented scope", posted(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidScope)
	tokenError(t, "invented target", posted(t, s.URL, exchangeForm(broad.AccessToken, invented)), http.StatusBadRequest, oidc.CodeInvalidTarget)
	form = refreshForm(broad.RefreshToken)
	form.Set("scope", invented)
	tokenError(t, "invented scope at refresh", posted(t, s.URL, form), http.StatusBadRequest, oidc.CodeInvalidScope)

	const everything = `kind || account_id || client_id || grant_id || service || asked || scope || rule || outcome || subject_hash || request_id`
	if got := rows(t, s, `SELECT `+everything+` FROM audit_events WHERE `+everything+` LIKE '%invented%'`); len(got) != 0 {
		t.Errorf("the audit holds what a caller made up: %v", got)
	}
	want := []string{"exchange/scope: " + mailScope, "exchange/target: ", "refresh/scope: "}
	if got := rows(t, s, `SELECT rule || ': ' || asked || scope FROM audit_events WHERE kind = 'token' AND outcome = 'refused' ORDER BY rule`); !slices.Equal(got, want) {
		t.Errorf("the audit has %v, want %v", got, want)
	}
}

// TestIdentityProviderIsAskedByTheLinkOnly: showing the page asks nobody
// anything, so one that hangs holds up only those who choose it.
func TestIdentityProviderIsAskedByTheLinkOnly(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declareTwoProviders(t, s)
	s.IDP.Set(func(f *idptest.Faults) { f.HangAt = idptest.PathDiscovery })
	b := newBrowser(t)
	p := b.get(authorizeURL(s.URL, nil))
	p.isPage(t, http.StatusOK)
	for name, idp := range map[string]*idptest.Provider{"staff": s.IDP, "partners": s.FarIDP} {
		for _, path := range []string{idptest.PathDiscovery, idptest.PathAuthorize, idptest.PathToken, idptest.PathJWKS, idptest.PathUserinfo} {
			if got := idp.Requests(path); got != 0 {
				t.Errorf("the page asked %s for %s %d times, want never", name, path, got)
			}
		}
	}
	links := map[string]string{}
	for _, href := range p.attributes(t, "a", "href") {
		if _, name, ok := strings.Cut(href, "/sign-in/"); ok {
			name, _, _ = strings.Cut(name, "?")
			links[name] = href
		}
	}
	if len(links) != 2 {
		t.Fatalf("links %v, want both identity providers", links)
	}
	to := ask(t, http.MethodGet, links["partners"], b.cookies)
	if to.status != http.StatusSeeOther || !strings.HasPrefix(to.header.Get("Location"), s.FarIDP.Issuer) {
		t.Errorf("the other one's link: %d to %q, want %s", to.status, to.header.Get("Location"), s.FarIDP.Issuer)
	}
}

// TestRefusedCallbacksLeaveNoTrace: anybody can bring an error back as often as
// they like.
func TestRefusedCallbacksLeaveNoTrace(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const count = `SELECT count(*) FROM audit_events`
	before := rows(t, s, count)
	for _, code := range []string{"access_denied", "login_required", "invalid_scope"} {
		s.IDP.Deny(code)
		b := newBrowser(t)
		if _, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, nil))); told.Get("error") == "" {
			t.Errorf("%s: the client was told nothing", code)
		}
	}
	s.IDP.Deny("")
	s.IDP.Set(func(f *idptest.Faults) { f.NoAuthTime = true })
	b := newBrowser(t)
	if _, told := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorizeURL(s.URL, set("max_age", "1")))); told.Get("error") != oidc.CodeLoginRequired {
		t.Errorf("an old sign-in: the client was told %v", told)
	}
	ask(t, http.MethodGet, s.URL+"/callback/staff?error=access_denied&state=x").isPage(t, http.StatusBadRequest)
	if after := rows(t, s, count); !slices.Equal(after, before) {
		t.Errorf("%v events before, %v after, want no more", before, after)
	}
}

// TestR19OldCodeEndsNothing: a code in an old log or history must not be a switch
// with which anybody signs its owner out.
func TestR19OldCodeEndsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wait  time.Duration
		alive bool
	}{"within ten minutes": {9 * time.Minute, false}, "after ten minutes": {10*time.Minute + time.Second, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t)
			code := newCode(t, s.URL, nil)
			a := token(t, s.URL, codeForm(code))
			s.Clock.Advance(c.wait)
			tokenError(t, "replay", posted(t, s.URL, codeForm(code)), http.StatusBadRequest, oidc.CodeInvalidGrant)
			if !c.alive {
				ended(t, s.URL, a, "the replay")
				return
			}
			alive(t, s.URL, a, "the replay")
			if got := rows(t, s, `SELECT rule FROM audit_events WHERE kind = 'grant-ended'`); len(got) != 0 {
				t.Errorf("events %v, want none: nothing ended", got)
			}
		})
	}
}

// otherSignature returns the same token with the other signature that ECDSA takes
// for the same text: s replaced by n-s.
func otherSignature(t testing.TB, jwt string) string {
	t.Helper()
	at := strings.LastIndexByte(jwt, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(jwt[at:])
	must(t, err)
	if len(signature) != 64 {
		t.Fatalf("signature of %d bytes, want 64 (RFC 7518, section 3.4)", len(signature))
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return jwt[:at] + base64.RawURLEncoding.EncodeToString(signature)
}

// TestSubjectHashNamesTheToken: whoever changes the form of a token's signature
// does not look like another token in the audit.
func TestSubjectHashNamesTheToken(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	first, second := signedIn(t, s.URL, nil).AccessToken, signedIn(t, s.URL, nil).AccessToken
	for name, jwt := range map[string]string{"first": first, "its other form": otherSignature(t, first), "second": second} {
		if a := token(t, s.URL, exchangeForm(jwt, imap)); a.Status != http.StatusOK {
			t.Fatalf("exchange of %s: %d %s", name, a.Status, a.Error)
		}
	}
	got := rows(t, s, `SELECT count(*) FROM audit_events WHERE rule = 'exchange/allow-narrow' GROUP BY subject_hash ORDER BY 1`)
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("events by subject hash: %v, want two for the token in both forms and one for the other", got)
	}
}

// TestEmptyTenantIsNoTenant: every issuer has one spelling.
func TestEmptyTenantIsNoTenant(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, path := range []string{
		"/t//jwks", "/t//scopes", "/t//.well-known/openid-configuration", "/t//authorize", "/t//consent", "/t//callback/staff",
		"/t//configuration", "/t//", "/.well-known/oauth-authorization-server/t/", "/.well-known/openid-configuration/t/",
		"/.well-known/oauth-protected-resource/t//configuration",
	} {
		ask(t, http.MethodGet, s.URL+path).isNotFound(t)
	}
	if p := posted(t, s.URL+"/t/", refreshForm("x")); p.status != http.StatusNotFound {
		t.Errorf("POST %v: %d, want 404", p.url, p.status)
	}
}

// TestForeignFormEndsNoSignIn: a form that another site sends to /authorize comes
// without the browser's cookie and must not bring it a new one.
func TestForeignFormEndsNoSignIn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	b := newBrowser(t)
	before := b.get(authorizeURL(s.URL, nil))
	good, err := url.Parse(authorizeURL(s.URL, set("state", "evil")))
	must(t, err)
	p := ask(t, http.MethodPost, s.URL+"/authorize", formBody(good.Query()), header("Sec-Fetch-Site", "cross-site"))
	if p.status != http.StatusSeeOther || p.header.Get("Location") != good.String() {
		t.Errorf("a foreign form: %d to %q, want the same request as a link", p.status, p.header.Get("Location"))
	}
	b.Jar.SetCookies(good, (&http.Response{Header: p.header}).Cookies())
	if consent := b.get(upstreamLink(t, before)); consent.status != http.StatusOK {
		t.Errorf("the sign-in in flight: %d, want it to go on", consent.status)
	}
}

// panics is a limiter with a fault.
type panics struct{}

const faultText = "alice@example.test sent the code spc_secret"

func (panics) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	panic(faultText)
}

// TestPanicIsAnswered: the caller gets an id and nothing else, the operator one
// line that tells what broke.
func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	log := &servertest.Log{}
	a := newAlone(t, https, declared, func(d *server.Deps) {
		d.Limiter, d.Log = panics{}, slog.New(slog.NewJSONHandler(log, nil))
	})
	for method, rawURL := range map[string]string{http.MethodGet: authorizeURL(https, nil), http.MethodPost: https + "/token"} {
		p := a.ask(method, rawURL, formBody(url.Values{}))
		if p.status != http.StatusInternalServerError || p.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s, want a problem with 500", method, p.status, p.header.Get("Content-Type"))
		}
		checkProblem(t, method, p)
		for _, word := range []string{"alice", "spc_", "panic", "goroutine", ".go:"} {
			if strings.Contains(p.body, word) {
				t.Errorf("%s: the answer holds %q: %s", method, word, p.body)
			}
		}
		if got := panicLines(t, log, p.header.Get("X-Request-Id")); got != 1 {
			t.Errorf("%s: %d log lines tell the fault under the request's id, want 1:\n%s", method, got, log)
		}
	}
}

// panicLines counts the log lines of one request that tell what broke.
func panicLines(t testing.TB, log *servertest.Log, id string) (count int) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var o object
		must(t, json.Unmarshal([]byte(line), &o))
		if o["request_id"] == id && o["fault"] == faultText && strings.Contains(o["stack"].(string), "panics.Allow") {
			count++
		}
	}
	return count
}
