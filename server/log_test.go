package server_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/audit"
	"signpost/internal/cache"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/upstream"
	"signpost/server"
)

// TestLogHoldsNothingSecret: after a whole way and many failures, on the level that
// says most, nothing is in the log that passed between browser, client, service and
// identity provider and is secret, nor anybody's address or name.
func TestLogHoldsNothingSecret(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	w := watch(t, s.URL, s.IDP.Issuer, s.FarIDP.Issuer)
	b := newBrowser(t)
	authorize := authorizeURL(s.URL, func(q url.Values) {
		q.Set("state", "state-of-the-client")
		q.Set("nonce", "nonce-of-the-client")
		q.Set("login_hint", "alice@example.test")
	})

	// The whole way.
	q := b.signIn(authorize)
	code := codeForm(q.Get("code"))
	broad := token(t, s.URL, code)
	narrow := token(t, s.URL, exchangeForm(broad.AccessToken, "imap.example.test"))
	next := token(t, s.URL, refreshForm(broad.RefreshToken))
	configuration(t, s.URL, next.AccessToken, "")
	ask(t, http.MethodGet, finger(s.URL, "resource", "acct:alice@example.test"))
	far := signedIn(t, s.OtherURL(), set("scope", "openid offline_access "+mailScope))

	// Failures of every kind.
	var refused []page
	fails := func(p page) { refused = append(refused, p) }
	fails(ask(t, http.MethodGet, finger(s.URL, "resource", "alice@example.test")))
	fails(ask(t, http.MethodGet, finger(s.URL, "resource", "acct:alice@nowhere.test")))
	fails(ask(t, http.MethodGet, s.URL+"/alice@example.test?state=state-of-the-client"))
	fails(ask(t, http.MethodGet, authorizeURL(s.URL, set("redirect_uri", "https://evil.example/alice"))))
	fails(ask(t, http.MethodGet, authorizeURL(s.URL, set("client_id", "alice"))))
	fails(ask(t, http.MethodGet, authorizeURL(s.URL, set("scope", "alice@example.test"))))
	fails(ask(t, http.MethodGet, s.URL+"/sign-in/staff?ticket=state-of-the-client"))
	fails(ask(t, http.MethodGet, s.URL+"/callback/alice?state=state-of-the-client&code=x"))
	fails(ask(t, http.MethodGet, s.URL+"/consent?ticket=state-of-the-client"))
	fails(posted(t, s.URL, refreshForm("spr_alice")))
	fails(posted(t, s.URL, exchangeForm(narrow.AccessToken, "imap.example.test")))
	fails(posted(t, s.URL, exchangeForm(next.AccessToken, "alice@example.test")))
	fails(posted(t, s.URL, exchangeForm(next.IDToken+"alice", "imap.example.test")))
	fails(posted(t, s.URL, url.Values{"grant_type": {"alice"}, "client_id": {"open"}}))
	fails(ask(t, http.MethodGet, s.URL+"/configuration?access_token="+next.AccessToken))
	fails(ask(t, http.MethodGet, s.URL+"/configuration", header("Authorization", "Bearer "+narrow.AccessToken)))
	fails(ask(t, http.MethodGet, s.URL+"/jwks", host("alice.example.test")))
	fails(ask(t, http.MethodPut, s.URL+"/token?code="+q.Get("code")))
	fails(ask(t, http.MethodGet, s.URL+"/authorize?x="+strings.Repeat("alice", 2000)))
	fails(ask(t, http.MethodPost, s.URL+"/consent", formBody(allow("state-of-the-client")), header("Origin", "https://evil.example")))
	fails(posted(t, s.URL, code))                             // a replay
	fails(posted(t, s.URL, refreshForm(broad.RefreshToken)))  // of a family that has ended
	fails(ask(t, http.MethodGet, s.URL+"/t/alice/authorize")) // no tenant

	// The identity provider repeats code and verifier in its refusal.
	back := b.atCallback(s.IDP, authorize)
	back.Set("code", "code-that-is-refused")
	b.comesBack(s.URL, "staff", back)
	for _, fault := range []func(*idptest.Faults){
		func(f *idptest.Faults) { f.WrongNonce = true }, func(f *idptest.Faults) { f.WrongIssuer = true }, func(f *idptest.Faults) { f.WrongAudience = true },
		func(f *idptest.Faults) { f.OtherKey = true }, func(f *idptest.Faults) { f.AlgNone = true }, func(f *idptest.Faults) { f.Expired = true },
		func(f *idptest.Faults) { f.OtherSubject = true }, func(f *idptest.Faults) { f.FailAt = idptest.PathToken }, func(f *idptest.Faults) { f.FailAt = idptest.PathUserinfo },
		func(f *idptest.Faults) { f.ResponseIssuer = true },
	} {
		s.IDP.Set(func(f *idptest.Faults) { *f = idptest.Faults{}; fault(f) })
		b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorize))
	}
	s.IDP.Set(func(f *idptest.Faults) { *f = idptest.Faults{} })
	s.IDP.AddPerson(idptest.Person{Subject: "x1", Name: "mallory", Email: "alice@example.test", EmailVerified: true, Login: "mallory"})
	s.IDP.SignInAs("x1")
	taken, _ := b.comesBack(s.URL, "staff", b.atCallback(s.IDP, authorize))
	fails(taken)

	// A request is logged when its answer is on its way, so the last one is waited for.
	last := ask(t, http.MethodGet, s.URL+"/jwks").header.Get("X-Request-Id")
	eventually(t, "the last request is logged", func() bool { return strings.Contains(s.Log.String(), last) })
	log := s.Log.String()
	for _, leak := range w.leaks(log) {
		t.Errorf("the log holds the %s", leak)
	}
	// Words that are too short for the witness, or that only tests know for what they are.
	for what, word := range map[string]string{
		"local part": "alice", "name": "Alice Example", "far local part": "carol", "far name": "Carol Other", "claimant": "mallory", "upstream subject": `"a1"`,
	} {
		if strings.Contains(strings.ToLower(log), strings.ToLower(word)) {
			t.Errorf("the log holds the %s %q", what, word)
		}
	}
	// The witness was there: at the browser, at the client, and between the servers.
	for what, value := range map[string]string{
		"address": "alice@example.test", "state": "state-of-the-client", "nonce": "nonce-of-the-client", "verifier": verifier,
		"code": q.Get("code"), "broad": broad.AccessToken, "refresh": broad.RefreshToken, "ID token": broad.IDToken,
		"narrow": narrow.AccessToken, "next": next.AccessToken, "next refresh": next.RefreshToken,
		"refused code": "code-that-is-refused", "client secret": s.IDP.ClientSecret,
		"far broad": far.AccessToken, "far client secret": s.FarIDP.ClientSecret, "far address": "carol@other.test", "state upstream": back.Get("state"),
		"nonce upstream": s.IDP.LastRequest().Get("nonce"), "challenge upstream": s.IDP.LastRequest().Get("code_challenge"),
	} {
		if !w.saw(value) {
			t.Errorf("the %s %q passed unseen", what, value)
		}
	}
	checkRefusals(t, log, refused)
}

// TestLogSearchFindsWhatIsPlanted: the search above is worth something only if it sees a
// secret of an endpoint that it does not know, in whatever form it is logged.
func TestLogSearchFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	const (
		random = "Zk3vTq8LxW0aR7bYp2Nc5HdJ6mFg1sUe"
		jwt    = "eyJhbGciOiJFUzI1NiJ9.eyJuZXdfY2xhaW0iOiJvZi1hLW5ldy10b2tlbiJ9.c2lnbmF0dXJlLW9mLWl0LXRoYXQtaXMtbG9uZw"
	)
	passing := func(t *testing.T, request edit, answer http.HandlerFunc) *witness {
		t.Helper()
		unknown := httptest.NewServer(answer)
		t.Cleanup(unknown.Close)
		w := watch(t, unknown.URL)
		ask(t, http.MethodGet, unknown.URL+"/public")
		ask(t, http.MethodPost, unknown.URL+"/new", request)
		return w
	}
	nothing := func(*http.Request) {}
	silence := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public" {
			_, _ = w.Write([]byte(`{"new_member":"a value for everybody"}`))
		}
	}
	answers := func(mediaType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/new" {
				w.Header().Set("Content-Type", mediaType)
				_, _ = w.Write([]byte(text))
			}
		}
	}
	for name, c := range map[string]struct {
		request edit
		answer  http.HandlerFunc
		logged  string // as a value in a JSON line
		found   bool
	}{
		"query":             {func(r *http.Request) { r.URL.RawQuery = "new=" + random }, silence, random, true},
		"form":              {formBody(url.Values{"new": {"two words"}}), silence, "err: two words", true},
		"JSON sent":         {body("application/json", `{"new":[{"deep":"`+random+`"}]}`), silence, random, true},
		"cookie sent":       {header("Cookie", "new="+random), silence, random, true},
		"bearer":            {header("Authorization", "Bearer "+random), silence, random, true},
		"Basic":             {func(r *http.Request) { r.SetBasicAuth("client", random) }, silence, random, true},
		"address in a path": {func(r *http.Request) { r.URL.Path = "/bob@example.test" }, silence, "bob@example.test", true},
		"cookie set": {nothing, func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "new", Value: random})
		}, random, true},
		"redirect": {nothing, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/?new="+random, http.StatusSeeOther)
		}, random, true},
		"JSON answered":     {nothing, answers("application/new+json", `{"new":"`+random+`"}`), random, true},
		"field":             {nothing, answers("text/html", `<input name=new value="`+random+`">`), random, true},
		"link":              {nothing, answers("text/html", `<a href="/next?new=`+random+`">`), random, true},
		"address on a page": {nothing, answers("text/html", "<p>Signed in as bob@example.test.</p>"), "BOB@example.test", true},
		"claim":             {nothing, answers("application/json", `{"new_token":"`+jwt+`"}`), "of-a-new-token", true},
		"signature":         {header("Authorization", "Bearer "+jwt), silence, "c2lnbmF0dXJlLW9mLWl0LXRoYXQtaXMtbG9uZw", true},

		"inside of a text":      {header("Cookie", "new="+random), silence, `Post "http://x/?a=` + random + `": refused`, true},
		"in a URL":              {formBody(url.Values{"new": {"two words"}}), silence, "http://x/?y=two%20words&bad=%zz", true},
		"in a URL in a URL":     {formBody(url.Values{"new": {"a/b c@d&e"}}), silence, "http://x/?y=http%3A%2F%2Fz%3Fq%3Da%252Fb%2520c%2540d%2526e", true},
		"in small letters":      {header("Cookie", "new="+random), silence, strings.ToLower(random), true},
		"in base64":             {header("Cookie", "new="+random), silence, base64.StdEncoding.EncodeToString([]byte(random)), true},
		"its beginning":         {header("Cookie", "new="+random), silence, random[:12] + "...", true},
		"its end":               {header("Cookie", "new="+random), silence, "..." + random[20:], true},
		"with quotes":           {formBody(url.Values{"new": {`say "friend"`}}), silence, `say "friend"`, true},
		"nothing of it":         {header("Cookie", "new="+random), silence, "an ordinary line", false},
		"a few letters":         {header("Cookie", "new="+random), silence, random[:6], false},
		"a public name":         {formBody(url.Values{"audience": {"imap.example.test"}}), silence, "imap.example.test", false},
		"a public document":     {formBody(url.Values{"new": {"a value for everybody"}}), silence, "a value for everybody", false},
		"an address by a name":  {formBody(url.Values{"audience": {"bob@example.test"}}), silence, "bob@example.test", true},
		"a value of the answer": {nothing, answers("application/problem+json", `{"detail":"a sentence","request_id":"12345678"}`), "a sentence 12345678", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, err := json.Marshal(object{"msg": "refused", "request_id": "x", "err": c.logged})
			must(t, err)
			leaks := passing(t, c.request, c.answer).leaks(string(line) + "\n")
			if (len(leaks) > 0) != c.found {
				t.Errorf("in %s the search finds %q, want something: %v", line, leaks, c.found)
			}
		})
	}
}

// strict is a handler of log lines that wants the id of the request on each line that a
// request's context comes with.
type strict struct {
	slog.Handler
	seen *atomic.Int64
	t    testing.TB
}

func (h strict) Handle(ctx context.Context, r slog.Record) error {
	want := audit.RequestID(ctx)
	if want == "" {
		h.t.Errorf("the line %q comes without the context of its request", r.Message)
	}
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = found || a.Key == "request_id" && a.Value.String() == want
		return true
	})
	if !found {
		h.t.Errorf("the line %q of request %s does not name it", r.Message, want)
	}
	h.seen.Add(1)
	return nil
}

// TestEveryLineOfARequestHasItsID: also the lines of what fails on the way.
func TestEveryLineOfARequestHasItsID(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*server.Deps){
		"nothing fails":         func(*server.Deps) {},
		"the limiter":           func(d *server.Deps) { d.Limiter = noLimiter{} },
		"the limiter panics":    func(d *server.Deps) { d.Limiter = panics{} },
		"the cache":             func(d *server.Deps) { d.Issuer.Begun = noCache{} },
		"the database":          func(d *server.Deps) { d.Issuer.Store = &askedStore{} },
		"the way out":           func(d *server.Deps) { d.Upstream = noProvider{} },
		"the identity provider": func(d *server.Deps) { d.Upstream = refuses{} },
		"the audit log":         func(d *server.Deps) { d.Issuer.Audit = noAudit{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines atomic.Int64
			a := newAlone(t, https, declared, func(d *server.Deps) {
				d.Log = slog.New(strict{slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug}), &lines, t})
				change(d)
			})
			requests := int64(0)
			ask := func(method, target string, edits ...edit) page {
				requests++
				return a.ask(method, target, edits...)
			}
			ask(http.MethodGet, finger(https, "resource", "acct:alice@example.test"))
			ask(http.MethodGet, https+"/nowhere")
			ask(http.MethodPost, https+"/token", formBody(refreshForm("spr_x")))
			before := ask(http.MethodGet, authorizeURL(https, nil))
			if before.status == http.StatusOK {
				if to, err := url.Parse(ask(http.MethodGet, upstreamLink(t, before)).header.Get("Location")); err == nil {
					ask(http.MethodGet, https+"/callback/staff?code=x&state="+to.Query().Get("state"))
				}
			}
			if lines.Load() < requests {
				t.Errorf("%d lines of %d requests, want one for each at least", lines.Load(), requests)
			}
		})
	}
}

// noLimiter cannot count.
type noLimiter struct{}

func (noLimiter) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	return false, 0, cache.ErrUnavailable
}

// refuses does not redeem.
type refuses struct{ alwaysAlice }

func (refuses) Redeem(context.Context, upstream.Provider, upstream.Request, string) (oidc.Person, error) {
	return oidc.Person{}, upstream.ErrUnavailable
}

// noAudit keeps no event.
type noAudit struct{}

func (noAudit) Record(context.Context, audit.Event) error { return errAway }

// checkRefusals: every refused request has a line with its id, and the line is JSON.
func checkRefusals(t testing.TB, log string, refused []page) {
	t.Helper()
	lines := map[string][]object{}
	scanner := bufio.NewScanner(strings.NewReader(log))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line object
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Errorf("not a JSON line: %s", scanner.Text())
			continue
		}
		if id, ok := line["request_id"].(string); ok {
			lines[id] = append(lines[id], line)
		}
	}
	for _, p := range refused {
		found := false
		for _, line := range lines[p.header.Get("X-Request-Id")] {
			found = found || line["msg"] == "refused" && line["status"] == float64(p.status) || line["msg"] == "denied"
		}
		if p.status < 300 || !found {
			t.Errorf("%s answered %d, and no line tells why under %s: %v", p.url.Path, p.status, p.header.Get("X-Request-Id"), lines[p.header.Get("X-Request-Id")])
		}
	}
}
