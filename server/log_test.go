package server_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"signpost/internal/idptest"
	"signpost/internal/servertest"
)

// witness is a transport that remembers what must not be in a log: the secret
// parameters of every request and redirect, and every cookie.
type witness struct {
	secrets map[string]string // value by what it is
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	w.see("query", r.URL.Query())
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if to, err := res.Location(); err == nil {
		w.see("redirect", to.Query())
	}
	for _, c := range res.Cookies() {
		w.secrets["cookie "+c.Name] = c.Value
	}
	return res, nil
}

func (w *witness) see(where string, q url.Values) {
	for _, name := range []string{"state", "code", "nonce", "code_challenge", "ticket", "login_hint"} {
		if value := q.Get(name); value != "" {
			w.secrets[where+" "+name+" "+value] = value
		}
	}
}

// TestLogHoldsNothingSecret: after a whole way and many failures, on the level that
// says most, neither a secret nor anybody's address is in the log.
func TestLogHoldsNothingSecret(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	w := &witness{secrets: map[string]string{
		"address": "alice@example.test", "local part": "alice", "name": "Alice Example", "verifier": verifier,
		"client secret": s.IDP.ClientSecret, "far client secret": s.FarIDP.ClientSecret, "upstream subject": `"a1"`,
		"claimant": "mallory", "escaped address": "alice%40example.test", "state": "state-of-the-client", "nonce": "nonce-of-the-client",
	}}
	b := newBrowser(t)
	b.Transport = w
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
	for name, value := range map[string]string{
		"code": q.Get("code"), "broad": broad.AccessToken, "refresh": broad.RefreshToken, "ID token": broad.IDToken,
		"narrow": narrow.AccessToken, "next": next.AccessToken, "next refresh": next.RefreshToken,
	} {
		if value == "" {
			t.Fatalf("no %s: the way was not whole", name)
		}
		w.secrets[name] = value
	}

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
	w.secrets["refused code"] = "code-that-is-refused"
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
	lower := strings.ToLower(log)
	for what, secret := range w.secrets {
		if strings.Contains(lower, strings.ToLower(secret)) {
			t.Errorf("the log holds the %s %q", what, secret)
		}
	}
	checkRefusals(t, log, refused)
}

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
