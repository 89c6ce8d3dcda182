package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
	"signpost/oidc"
)

const (
	passwordScope  = "urn:signpost:scope:app-password"
	imapHost       = "imap.example.test"
	calendarURL    = "https://dav.example.test/calendars/"
	filesURL       = "https://files.example.test/dav/"
	aliceAddress   = "alice@example.test"
	scopesForThree = "openid offline_access " + mailScope + " " + calendarScope + " urn:signpost:scope:files " + passwordScope
)

// withPasswords declares that mail, calendar and files take app passwords; at the files people have another login name.
func withPasswords(declaration string) string {
	for _, id := range []string{"imap", "calendar"} {
		declaration = strings.Replace(declaration, "{id: "+id+",", "{id: "+id+", app_passwords: true,", 1)
	}
	return strings.Replace(declaration, "{id: files,", `{id: files, app_passwords: true, username: "{local}",`, 1)
}

func startPasswords(t testing.TB) *servertest.Server {
	t.Helper()
	s := servertest.Start(t)
	declare(t, s, withPasswords(withPrograms(s.Declaration())), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return len(r.ResourceServers) == 2
	})
	return s
}

// forIssuer signs in and returns the sign-in, and a token for the issuer alone with the scope of app passwords.
func forIssuer(t testing.TB, s *servertest.Server) (in, alone answer) {
	t.Helper()
	in = signedIn(t, s.URL, set("scope", scopesForThree))
	form := refreshForm(in.RefreshToken)
	form.Set("resource", s.URL)
	if alone = token(t, s.URL, form); alone.Status != http.StatusOK {
		t.Fatalf("token for the issuer alone: %d %s %s", alone.Status, alone.Error, alone.Description)
	}
	return in, alone
}

func passwordForm(subject string, audiences ...string) url.Values {
	form := exchangeForm(subject, "")
	form["audience"] = audiences
	form.Set("requested_token_type", oidc.TokenTypeAppPassword)
	return form
}

// passwordFor makes an app password by exchange.
func passwordFor(t testing.TB, s *servertest.Server, audiences ...string) (in answer, password string) {
	t.Helper()
	in, alone := forIssuer(t, s)
	made := token(t, s.URL, passwordForm(alone.AccessToken, audiences...))
	if made.Status != http.StatusOK {
		t.Fatalf("make an app password: %d %s %s", made.Status, made.Error, made.Description)
	}
	return in, made.AccessToken
}

// checked asks whether a login name and a password go together.
func checked(t testing.TB, at, username, password string, edits ...edit) page {
	t.Helper()
	form := url.Values{"username": {username}, "password": {password}}
	return ask(t, http.MethodPost, at+"/app-passwords/check", append([]edit{formBody(form)}, edits...)...)
}

// byStatus asks as checked does, for the status alone.
func byStatus(t testing.TB, at, username, password string, edits ...edit) page {
	t.Helper()
	form := url.Values{"username": {username}, "password": {password}, "status": {"1"}}
	return ask(t, http.MethodPost, at+"/app-passwords/check", append([]edit{formBody(form)}, edits...)...)
}

// otherSecret is a password with the same selector.
func otherSecret(password string) string {
	if strings.HasSuffix(password, "0") {
		return password[:len(password)-1] + "1"
	}
	return password[:len(password)-1] + "0"
}

// TestR21MadeByExchangeCheckedAndEnded is the whole life of an app password.
func TestR21MadeByExchangeCheckedAndEnded(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	_, alone := forIssuer(t, s)
	p := posted(t, s.URL, passwordForm(alone.AccessToken, imapHost, calendarURL))
	var made object
	p.json(t, &made)
	password, _ := made["access_token"].(string)
	if p.status != http.StatusOK || made["issued_token_type"] != oidc.TokenTypeAppPassword || made["token_type"] != "N_A" || made["scope"] != mailScope+" "+calendarScope ||
		!regexp.MustCompile(`^[0-9a-z]{4}-[0-9a-z]{4}(-[0-9a-z]{5}){4}-[0-9a-z]{6}$`).MatchString(password) || p.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("made: %d %s", p.status, p.body)
	}
	for _, name := range []string{"expires_in", "refresh_token", "id_token"} {
		if _, found := made[name]; found {
			t.Errorf("the answer has %s: %s", name, p.body)
		}
	}

	for name, c := range map[string]struct {
		username, password string
		as                 edit
		aud, scope         string
	}{
		"mail":     {aliceAddress, password, asMail, imapHost, mailScope},
		"calendar": {aliceAddress, password, asDav, calendarURL, calendarScope},
		"as typed": {"ALICE@Example.test", " " + strings.ToUpper(strings.ReplaceAll(password, "-", "")) + "\n", asMail, imapHost, mailScope},
	} {
		p := checked(t, s.URL, c.username, c.password, c.as)
		got := p.isActive(t, name)
		if got["username"] != aliceAddress || got["aud"] != c.aud || got["scope"] != c.scope || got["sub"] == "" || len(got) != 5 || p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, want who it is and what concerns the server that asks", name, p.body)
		}
	}
	times := rows(t, s, `SELECT COALESCE(CAST(last_used_at AS TEXT), 'never') FROM app_passwords`)
	if len(times) != 1 || times[0] == "never" {
		t.Errorf("last used %q, want a time", times)
	}

	b := newBrowser(t)
	account := b.toAccount(s.URL)
	if !strings.Contains(account.body, "Mail, Calendar") || strings.Contains(account.body, password) {
		t.Errorf("the account page does not list the password for Mail and Calendar, or shows it:\n%s", account.body)
	}
	ids := passwordsOn(t, account)
	account = b.ends(s.URL, account, "app_password", ids[0])
	if !strings.Contains(account.body, "The app password has ended.") || len(passwordsOn(t, account)) != 0 {
		t.Errorf("after it was ended:\n%s", account.body)
	}
	checked(t, s.URL, aliceAddress, password, asMail).isInactive(t, "ended, at the mail server")
	checked(t, s.URL, aliceAddress, password, asDav).isInactive(t, "ended, at the calendar server")
	introspected(t, s.URL, password, asMail).isInactive(t, "ended, introspected")
	alive(t, s.URL, alone, "the end of an app password")

	if log := s.Log.String(); strings.Contains(log, password) || strings.Contains(log, password[10:]) {
		t.Error("the password is in the log")
	}
	events := rows(t, s, `SELECT rule || '|' || outcome || '|' || service || '|' || scope FROM audit_events WHERE kind = 'app-password' ORDER BY id`)
	if want := []string{"made|allowed|" + imapHost + " " + calendarURL + "|" + mailScope + " " + calendarScope, "ended/person|allowed||"}; !slices.Equal(events, want) {
		t.Errorf("audit %q, want %q and nothing of the checks", events, want)
	}
	if kept := rows(t, s, `SELECT selector || label || username || audiences || scopes || client_id FROM app_passwords`); strings.Contains(strings.Join(kept, ""), password[10:20]) {
		t.Errorf("the database has the secret: %q", kept)
	}
}

// passwordsOn lists the app passwords that a page can end.
func passwordsOn(t testing.TB, p page) (ids []string) {
	t.Helper()
	for _, match := range regexp.MustCompile(`name="app_password" value="([^"]*)"`).FindAllStringSubmatch(p.body, -1) {
		ids = append(ids, match[1])
	}
	return ids
}

// TestR21Refused: each thing without which no app password is made.
func TestR21Refused(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	in, alone := forIssuer(t, s)
	narrowed := func(edit func(url.Values)) string {
		form := refreshForm(signedIn(t, s.URL, set("scope", scopesForThree)).RefreshToken)
		form.Set("resource", s.URL)
		edit(form)
		return token(t, s.URL, form).AccessToken
	}
	aloneWith := func(edits ...func(url.Values)) string {
		form := refreshForm(signedIn(t, s.URL, together(edits...)).RefreshToken)
		form.Set("resource", s.URL)
		return token(t, s.URL, form).AccessToken
	}
	s.IDP.Set(func(f *idptest.Faults) { f.NoAuthTime = true })
	without := aloneWith(set("scope", scopesForThree))
	s.IDP.Set(func(f *idptest.Faults) { f.NoAuthTime = false })
	imapToken := token(t, s.URL, exchangeForm(alone.AccessToken, imapHost)).AccessToken
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"the scope was not granted":         {passwordForm(aloneWith(), imapHost), oidc.CodeInvalidScope},
		"the token lacks the scope":         {passwordForm(narrowed(set("scope", mailScope)), imapHost), oidc.CodeInvalidScope},
		"the token is for services as well": {passwordForm(in.AccessToken, imapHost), oidc.CodeInvalidRequest},
		"the token is narrow":               {passwordForm(imapToken, imapHost), oidc.CodeInvalidRequest},
		"an ID token":                       {passwordForm(in.IDToken, imapHost), oidc.CodeInvalidRequest},
		"a refresh token":                   {passwordForm(alone.RefreshToken, imapHost), oidc.CodeInvalidRequest},
		"nobody knows when they signed in":  {passwordForm(without, imapHost), oidc.CodeInvalidRequest},
		"a service that takes none":         {passwordForm(alone.AccessToken, "submission.example.test"), oidc.CodeInvalidTarget},
		"one that takes none among others":  {passwordForm(alone.AccessToken, imapHost, "submission.example.test"), oidc.CodeInvalidTarget},
		"another tenant's service":          {passwordForm(alone.AccessToken, "imap.other.test"), oidc.CodeInvalidTarget},
		"no service":                        {passwordForm(alone.AccessToken), oidc.CodeInvalidTarget},
		"the issuer":                        {passwordForm(alone.AccessToken, s.URL), oidc.CodeInvalidTarget},
		"different login names":             {passwordForm(alone.AccessToken, imapHost, filesURL), oidc.CodeInvalidTarget},
		"a service that the scope does not open": {
			passwordForm(aloneWith(set("scope", "openid offline_access "+mailScope+" "+passwordScope)), calendarURL), oidc.CodeInvalidScope,
		},
	} {
		if got := token(t, s.URL, c.form); got.Error != c.want || got.AccessToken != "" {
			t.Errorf("%s: %d %s %s, want %s", name, got.Status, got.Error, got.Description, c.want)
		}
	}
	_, fresh := forIssuer(t, s)
	s.Clock.Advance(9 * time.Minute)
	if got := token(t, s.URL, passwordForm(fresh.AccessToken, imapHost)); got.Status != http.StatusOK {
		t.Errorf("nine minutes after signing in: %d %s, want a password", got.Status, got.Error)
	}
	s.Clock.Advance(2 * time.Minute)
	if got := token(t, s.URL, passwordForm(fresh.AccessToken, imapHost)); got.Error != oidc.CodeInvalidRequest || got.AccessToken != "" {
		t.Errorf("eleven minutes after signing in: %d %s, want invalid_request", got.Status, got.Error)
	}
	if n := len(rows(t, s, `SELECT id FROM app_passwords`)); n != 1 {
		t.Errorf("%d app passwords were kept, want the one", n)
	}
}

// TestR21NeverInTheBroadSet: who asks for everything does not ask for it, and a word of the scope document says it alone.
func TestR21NeverInTheBroadSet(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	document := jsonAt(t, s.URL+"/scopes")
	if broad, _ := document["broad"].(string); broad == "" || strings.Contains(broad, passwordScope) {
		t.Errorf("the broad set is %q", broad)
	}
	_, consent := newBrowser(t).toConsent(authorizeURL(s.URL, set("scope", scopesForThree)))
	_, less := newBrowser(t).toConsent(authorizeURL(s.URL, set("scope", "openid offline_access "+mailScope)))
	sentence := regexp.MustCompile(`(?i)app passwords?|passwords? for`)
	if !sentence.MatchString(consent.body) || sentence.MatchString(less.body) {
		t.Errorf("the consent page has no sentence of its own for app passwords:\n%s", consent.body)
	}
}

// TestR21Ends: with the grant that was ended, with the service, with the program that made it and with what the
// identity provider may say; not with the end of its token.
func TestR21Ends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(t *testing.T, s *servertest.Server, in answer)
		ends bool
	}{
		"the hour of its token is over": {func(_ *testing.T, s *servertest.Server, _ answer) { s.Clock.Advance(2 * time.Hour) }, false},
		"the program gives its sign-in back": {func(t *testing.T, s *servertest.Server, in answer) {
			// The first refresh token was replaced; by it the sign-in is named all the same.
			isRevoked(t, revoked(t, s.URL, giveBack(in.RefreshToken)))
		}, true},
		"an administrator ends the sign-in": {func(t *testing.T, s *servertest.Server, in answer) {
			must(t, s.EndGrant(t, servertest.Tenant, grantOf(t, in)))
		}, true},
		"an administrator ends all": {func(t *testing.T, s *servertest.Server, _ answer) {
			_, err := s.EndGrants(t, servertest.Tenant, aliceAddress, "")
			must(t, err)
		}, true},
		"the person ends the sign-in": {func(t *testing.T, s *servertest.Server, in answer) {
			b := newBrowser(t)
			p := b.ends(s.URL, b.toAccount(s.URL), "grant", grantOf(t, in))
			if len(passwordsOn(t, p)) != 0 {
				t.Errorf("the account page lists a password whose sign-in has ended:\n%s", p.body)
			}
		}, true},
		"the person ends everything": {func(t *testing.T, s *servertest.Server, _ answer) {
			b := newBrowser(t)
			b.ends(s.URL, b.toAccount(s.URL), "decision", "end-all")
		}, true},
		"a used refresh token comes again": {func(t *testing.T, s *servertest.Server, in answer) {
			s.Clock.Advance(time.Minute)
			token(t, s.URL, refreshForm(in.RefreshToken))
		}, true},
		"the service takes none any more": {func(t *testing.T, s *servertest.Server, _ answer) {
			declare(t, s, withPrograms(s.Declaration()), func(now *directory.Snapshot) bool {
				r, _ := now.Realm(servertest.Tenant)
				service, _ := r.Service(imapHost)
				return !service.AppPasswords
			})
		}, true},
		"a condition of the service does not hold": {func(t *testing.T, s *servertest.Server, _ answer) {
			declaration := strings.Replace(withPasswords(withPrograms(s.Declaration())), "{id: imap,", `{id: imap, condition: 'claims.address == "bob@example.test"',`, 1)
			declare(t, s, declaration, func(now *directory.Snapshot) bool {
				r, _ := now.Realm(servertest.Tenant)
				service, _ := r.Service(imapHost)
				return service.Condition != ""
			})
		}, true},
		"the program is switched off": {func(t *testing.T, s *servertest.Server, _ answer) {
			declaration := inExample(withPasswords(s.Declaration()), `    clients: {open: false}
    resource_servers:
      - {name: mail-server, audiences: [imap.example.test], secret: `+secretMail+`}
`)
			declare(t, s, declaration, func(now *directory.Snapshot) bool {
				r, _ := now.Realm(servertest.Tenant)
				return r.Clients.OpenOff
			})
		}, true},
		"nobody speaks for the person": {func(t *testing.T, s *servertest.Server, _ answer) {
			declaration := strings.Replace(withPasswords(withPrograms(s.Declaration())), fmt.Sprintf("issuer: %q", s.IDP.Issuer), `issuer: "https://elsewhere.example.test"`, 1)
			declare(t, s, declaration, func(now *directory.Snapshot) bool {
				r, _ := now.Realm(servertest.Tenant)
				return r.IdentityProviders[0].Issuer != s.IDP.Issuer
			})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startPasswords(t)
			in, password := passwordFor(t, s, imapHost)
			checked(t, s.URL, aliceAddress, password, asMail).isActive(t, "before")
			c.end(t, s, in)
			p := checked(t, s.URL, aliceAddress, password, asMail)
			if !c.ends {
				p.isActive(t, "after")
				return
			}
			p.isInactive(t, "after")
			introspected(t, s.URL, password, asMail).isInactive(t, "after, introspected")
		})
	}
}

// TestR21Introspected as a token that is none: who it is and what it opens, for the server that asks alone.
func TestR21Introspected(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	_, password := passwordFor(t, s, imapHost, calendarURL)
	got := introspected(t, s.URL, password, asDav).isActive(t, "at the calendar")
	for name, want := range map[string]any{
		"username": aliceAddress, "aud": calendarURL, "scope": calendarScope, "client_id": "open", "token_type": "N_A", "iss": s.URL,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
	if _, found := got["exp"]; found || got["sub"] == "" || got["iat"] == nil || got["jti"] != nil {
		t.Errorf("answer %v, want who and since when, and no end", got)
	}
	_, mailOnly := passwordFor(t, s, imapHost)
	introspected(t, s.URL, mailOnly, asDav).isInactive(t, "of another service")
	introspected(t, s.URL, mailOnly+"0", asMail).isInactive(t, "a letter more")
	// It is a password, and nothing else anywhere.
	if p := configuration(t, s.URL, mailOnly, ""); p.status != http.StatusUnauthorized {
		t.Errorf("as a bearer token at the configuration: %d, want 401", p.status)
	}
	if got := token(t, s.URL, exchangeForm(mailOnly, imapHost)); got.Error != oidc.CodeInvalidRequest {
		t.Errorf("as a subject token: %d %s, want invalid_request", got.Status, got.Error)
	}
	if got := token(t, s.URL, refreshForm(mailOnly)); got.Error != oidc.CodeInvalidGrant {
		t.Errorf("as a refresh token: %d %s, want invalid_grant", got.Status, got.Error)
	}
}
