package server_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc"
	"signpost/oidc/upstream"
	"signpost/server"
)

// makes presses the button of the form for a new app password.
func (b *browser) makes(issuer string, at page, label string, services ...string) page {
	b.t.Helper()
	return b.post(issuer+"/account", makeForm(b.t, at, label, services...))
}

// makeForm is the form of a page for a new app password, filled in.
func makeForm(t testing.TB, at page, label string, services ...string) url.Values {
	t.Helper()
	form := url.Values{"token": {tokenOf(t, at)}, "decision": {"make"}, "label": {label}, "service": services, "once": {""}}
	if once := onceField.FindStringSubmatch(at.body); once != nil {
		form.Set("once", once[1])
	}
	return form
}

var onceField = regexp.MustCompile(`name="once" value="([^"]{43})"`)

var shownPassword = regexp.MustCompile(`[0-9a-z]{4}-[0-9a-z]{4}(-[0-9a-z]{5}){4}-[0-9a-z]{6}`)

// TestR21MadeAtTheAccountPage: chosen, named, shown once, and good for what was chosen.
func TestR21MadeAtTheAccountPage(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	for _, want := range []string{
		"You have no app passwords.", `value="` + imapHost + `"`, `value="` + calendarURL + `"`, `value="` + filesURL + `"`,
		"as alice@example.test", "as alice<",
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, p.body)
		}
	}
	if strings.Contains(p.body, `value="submission.example.test"`) {
		t.Error("the page offers a service that takes no app passwords")
	}
	made := b.makes(s.URL, p, " Printer\tin the <hall>\u202e ", imapHost, calendarURL)
	password := shownPassword.FindString(made.body)
	if made.status != http.StatusOK || password == "" || made.header.Get("Cache-Control") != "no-store" || made.url.RawQuery != "" ||
		!strings.Contains(made.body, "The login name that belongs to it: alice@example.test") || !strings.Contains(made.body, "Printer in the &lt;hall&gt;<") {
		t.Fatalf("made: %d\n%s", made.status, made.body)
	}
	checked(t, s.URL, aliceAddress, password, asMail).isActive(t, "at the mail server")
	checked(t, s.URL, aliceAddress, password, asDav).isActive(t, "at the calendar server")
	if got := introspected(t, s.URL, password, asMail).isActive(t, "introspected"); got["client_id"] != "account-page" {
		t.Errorf("client_id %v, want the page itself", got["client_id"])
	}
	again := b.get(s.URL + "/account")
	if shownPassword.MatchString(again.body) || !strings.Contains(again.body, "Mail, Calendar") || !strings.Contains(again.body, "last used on "+time.Now().UTC().Format("2 January 2006")) {
		t.Errorf("the page afterwards:\n%s", again.body)
	}
	if log := s.Log.String(); strings.Contains(log, password) || strings.Contains(log, "<hall>") {
		t.Error("the password or its name is in the log")
	}

	// Bob can do nothing about it, and does not see it.
	s.IDP.SignInAs("b2")
	bob := newBrowser(t)
	his := bob.toAccount(s.URL)
	if strings.Contains(his.body, "&lt;hall&gt;") {
		t.Error("bob sees alice's app password")
	}
	if got := bob.ends(s.URL, his, "app_password", passwordsOn(t, again)[0]); !strings.Contains(got.body, "There was nothing to end.") {
		t.Errorf("bob ends alice's:\n%s", got.body)
	}
	bob.ends(s.URL, his, "decision", "end-all")
	checked(t, s.URL, aliceAddress, password, asMail).isActive(t, "after bob ended all of his")

	after := b.ends(s.URL, again, "decision", "end-all")
	if !strings.Contains(after.body, "You have no app passwords.") || !strings.Contains(after.body, "has ended") {
		t.Errorf("after the end of everything:\n%s", after.body)
	}
	checked(t, s.URL, aliceAddress, password, asMail).isInactive(t, "after the end of everything")
	events := rows(t, s, `SELECT rule || '|' || outcome || '|' || client_id || '|' || grant_id FROM audit_events WHERE kind = 'app-password' ORDER BY id`)
	if want := []string{"made|allowed|account-page|", "ended/person|allowed||"}; !slices.Equal(events, want) {
		t.Errorf("audit %q, want %q", events, want)
	}
}

// TestR21AccountPageRefuses and says what to do.
func TestR21AccountPageRefuses(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	for name, c := range map[string]struct {
		services []string
		says     string
	}{
		"nothing chosen":                    {nil, "choose at least one service"},
		"different login names":             {[]string{imapHost, filesURL}, "different login names"},
		"a service that takes none":         {[]string{"submission.example.test"}, "not possible for these services"},
		"one that takes none among others":  {[]string{imapHost, "submission.example.test"}, "not possible for these services"},
		"another tenant's":                  {[]string{"imap.other.test"}, "not possible for these services"},
		"the issuer":                        {[]string{s.URL}, "not possible for these services"},
		"something else":                    {[]string{"' OR '1'='1"}, "not possible for these services"},
		"as many as fit into a form, wrong": {slices.Repeat([]string{"x"}, 500), "not possible for these services"},
	} {
		got := b.makes(s.URL, p, "Printer", c.services...)
		if got.status != http.StatusOK || !strings.Contains(got.body, c.says) || shownPassword.MatchString(got.body) {
			t.Errorf("%s: %d, want that it says %q\n%s", name, got.status, c.says, got.body)
		}
	}
	form := makeForm(t, p, "", imapHost)
	for name, edits := range map[string][]edit{
		"without the page's secret": {formBody(url.Values{"token": {strings.Repeat("A", 43)}, "decision": {"make"}, "service": {imapHost}}), b.cookies},
		"from another site":         {formBody(form), b.cookies, header("Origin", "https://evil.example"), header("Sec-Fetch-Site", "cross-site")},
	} {
		if got := ask(t, http.MethodPost, s.URL+"/account", edits...); got.status != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, got.status)
		}
	}
	if got := ask(t, http.MethodPost, s.URL+"/account", formBody(form)); got.status != http.StatusSeeOther {
		t.Errorf("without a session: %d, want the way in", got.status)
	}
	for name, wrong := range map[string]url.Values{
		"two labels":      {"token": form["token"], "decision": {"make"}, "service": {imapHost}, "label": {"a", "b"}, "once": {"x"}},
		"two forms":       {"token": form["token"], "decision": {"make"}, "service": {imapHost}, "once": {"x", "y"}},
		"two decisions":   {"token": form["token"], "decision": {"make", "end-all"}, "service": {imapHost}},
		"two things":      {"token": form["token"], "decision": {"make"}, "app_password": {"x"}},
		"two to be ended": {"token": form["token"], "app_password": {"x", "y"}},
	} {
		if got := ask(t, http.MethodPost, s.URL+"/account", formBody(wrong), b.cookies); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", name, got.status)
		}
	}
	if kept := rows(t, s, `SELECT id FROM app_passwords`); len(kept) != 0 {
		t.Errorf("%d app passwords were made", len(kept))
	}
	events := rows(t, s, `SELECT DISTINCT rule || ' ' || outcome FROM audit_events WHERE kind = 'app-password' ORDER BY 1`)
	if want := []string{"app-password/app-password refused", "app-password/login refused", "app-password/target refused"}; !slices.Equal(events, want) {
		t.Errorf("audit %q, want %q", events, want)
	}
}

// TestR21AccountPageWantsAFreshSignIn: ten minutes, by the identity provider's word if it says anything.
func TestR21AccountPageWantsAFreshSignIn(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	const form = `value="make"`
	b := newBrowser(t)
	b.toAccount(s.URL)
	s.Clock.Advance(9 * time.Minute)
	p := b.get(s.URL + "/account")
	if !strings.Contains(p.body, form) {
		t.Error("nine minutes after signing in there is no form")
	}
	s.Clock.Advance(2 * time.Minute)
	late := b.makes(s.URL, p, "", imapHost)
	if !strings.Contains(late.body, "you signed in too long ago") || strings.Contains(late.body, form) || shownPassword.MatchString(late.body) {
		t.Errorf("eleven minutes after signing in:\n%s", late.body)
	}
	if events := rows(t, s, `SELECT rule || ' ' || outcome FROM audit_events WHERE kind = 'app-password'`); !slices.Equal(events, []string{"app-password/fresh-sign-in refused"}) {
		t.Errorf("audit %q", events)
	}
	if !strings.Contains(late.body, `href="`+s.URL+`/account?again=1"`) {
		t.Fatalf("there is no way to sign in again:\n%s", late.body)
	}

	// Signing in again asks the identity provider not to be content with who is signed in there.
	way := b.get(s.URL + "/account?again=1")
	if !asksIn(way) {
		t.Fatalf("the way in: %d\n%s", way.status, way.body)
	}
	to, err := url.Parse(b.chosen(way))
	must(t, err)
	if got := to.Query().Get("prompt"); got != "login" {
		t.Errorf("prompt = %q, want login", got)
	}
	s.Clock.Advance(-11 * time.Minute) // the identity provider's clock did not move
	again := b.get(to.String())
	if !isAccount(again) || again.url.RawQuery != "" || !strings.Contains(again.body, form) {
		t.Fatalf("after signing in again: %d at %v\n%s", again.status, again.url, again.body)
	}
	if made := b.makes(s.URL, again, "", imapHost); !shownPassword.MatchString(made.body) {
		t.Errorf("after signing in again:\n%s", made.body)
	}
}

// aliceSince is an identity provider at which alice has been signed in since then; the zero time means that it does
// not say since when.
type aliceSince struct {
	alwaysAlice
	at time.Time
}

func (p aliceSince) Redeem(ctx context.Context, from upstream.Provider, r upstream.Request, code string) (oidc.Person, error) {
	person, err := p.alwaysAlice.Redeem(ctx, from, r, code)
	person.AuthTime = p.at
	return person, err
}

// TestR21AccountPageBelievesTheIdentityProvider: who has been signed in there for long is let in, and makes none. If it says
// nothing, it has sent them here just now.
func TestR21AccountPageBelievesTheIdentityProvider(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		since time.Time
		fresh bool
	}{
		"not said": {time.Time{}, true}, "just now": {now, true}, "nine minutes ago": {now.Add(-9 * time.Minute), true},
		"eleven minutes ago": {now.Add(-11 * time.Minute), false}, "yesterday": {now.Add(-24 * time.Hour), false},
		"by a clock that is ahead": {now.Add(30 * time.Second), true}, "in two minutes": {now.Add(2 * time.Minute), false},
		"in fifty minutes": {now.Add(50 * time.Minute), false}, "in 2100": {time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		a := newAlone(t, https, withPasswords(declared), func(d *server.Deps) { d.Upstream = aliceSince{at: c.since} })
		a.toAccount()
		p := a.ask(http.MethodGet, https+"/account")
		if !isAccount(p) || strings.Contains(p.body, `value="make"`) != c.fresh || strings.Contains(p.body, "account?again=1") == c.fresh {
			t.Errorf("%s: want the form %v\n%s", name, c.fresh, p.body)
		}
	}
}

// TestR21AccountPageWithoutAppPasswords says nothing of them where no service takes any.
func TestR21AccountPageWithoutAppPasswords(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	if p := newBrowser(t).toAccount(s.URL); strings.Contains(strings.ToLower(p.body), "app password") {
		t.Errorf("the page:\n%s", p.body)
	}
}

// TestR21NotTooMany: a program with the scope cannot fill the database. What has ended counts no more, however it ended.
func TestR21NotTooMany(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	in, alone := forIssuer(t, s)
	for n := range 100 {
		if got := token(t, s.URL, passwordForm(alone.AccessToken, imapHost)); got.Status != http.StatusOK {
			t.Fatalf("the %dth: %d %s %s", n+1, got.Status, got.Error, got.Description)
		}
	}
	if got := token(t, s.URL, passwordForm(alone.AccessToken, imapHost)); got.Error != oidc.CodeInvalidRequest {
		t.Errorf("the 101st: %d %s, want invalid_request", got.Status, got.Error)
	}
	b := newBrowser(t)
	if p := b.makes(s.URL, b.toAccount(s.URL), "", imapHost); !strings.Contains(p.body, "you have too many already") {
		t.Errorf("at the account page:\n%s", p.body)
	}
	must(t, s.EndGrant(t, servertest.Tenant, grantOf(t, in)))
	if p := b.makes(s.URL, b.get(s.URL+"/account"), "", imapHost); !shownPassword.MatchString(p.body) || len(passwordsOn(t, p)) != 1 {
		t.Errorf("after the sign-in has ended that all were made from:\n%s", p.body)
	}
	b.ends(s.URL, b.get(s.URL+"/account"), "decision", "end-all")
	if got, fresh := forIssuer(t, s); got.Status != http.StatusOK || token(t, s.URL, passwordForm(fresh.AccessToken, imapHost)).Status != http.StatusOK {
		t.Error("after all have ended there can be no new one")
	}
}

// TestR21AccountPageHonoursConditions: a service whose condition does not hold is not offered, and not given.
func TestR21AccountPageHonoursConditions(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	declaration := strings.Replace(withPasswords(withPrograms(s.Declaration())), "{id: imap,", `{id: imap, condition: 'claims.address == "bob@example.test"',`, 1)
	declare(t, s, declaration, func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		service, _ := r.Service(imapHost)
		return service.Condition != ""
	})
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	if strings.Contains(p.body, `value="`+imapHost+`"`) || !strings.Contains(p.body, `value="`+calendarURL+`"`) {
		t.Errorf("alice is offered the mail of bob, or no calendar:\n%s", p.body)
	}
	if got := b.makes(s.URL, p, "", imapHost); shownPassword.MatchString(got.body) {
		t.Error("alice got an app password for the mail of bob")
	}
	s.IDP.SignInAs("b2")
	bob := newBrowser(t)
	made := bob.makes(s.URL, bob.toAccount(s.URL), "", imapHost)
	checked(t, s.URL, "bob@example.test", shownPassword.FindString(made.body), asMail).isActive(t, "bob's")
}

// TestR21AdministratorEndsWhatHasNoSignIn: app passwords of the account page come from no program, and end with all
// of a person's sign-ins, not with those of one program.
func TestR21AdministratorEndsWhatHasNoSignIn(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	b := newBrowser(t)
	password := shownPassword.FindString(b.makes(s.URL, b.toAccount(s.URL), "", imapHost).body)
	_, err := s.EndGrants(t, servertest.Tenant, aliceAddress, "open")
	must(t, err)
	checked(t, s.URL, aliceAddress, password, asMail).isActive(t, "after the end of one program")
	_, err = s.EndGrants(t, servertest.Tenant, aliceAddress, "")
	must(t, err)
	checked(t, s.URL, aliceAddress, password, asMail).isInactive(t, "after the end of all")
	events := rows(t, s, `SELECT rule || ' ' || outcome FROM audit_events WHERE kind = 'app-password' ORDER BY rule DESC`)
	if want := []string{"made allowed", "ended/administrator allowed"}; !slices.Equal(events, want) {
		t.Errorf("audit %q, want %q", events, want)
	}
}
