package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
	"signpost/server"
)

// TestR21OneFormMakesOne: a page that is loaded again, or a button that is pressed twice, sends the form anew.
func TestR21OneFormMakesOne(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	b := newBrowser(t)
	p := b.toAccount(s.URL)
	if got := b.makes(s.URL, p, "Printer"); !strings.Contains(got.body, "choose at least one service") {
		t.Fatalf("a form without a service:\n%s", got.body)
	}
	made := b.makes(s.URL, p, "Printer", imapHost)
	if !shownPassword.MatchString(made.body) {
		t.Fatalf("after a form that made none:\n%s", made.body)
	}
	again := b.makes(s.URL, p, "Printer", imapHost)
	if again.status != http.StatusOK || shownPassword.MatchString(again.body) || !strings.Contains(again.body, "this form was sent before") || len(passwordsOn(t, again)) != 1 {
		t.Errorf("the same form again: %d\n%s", again.status, again.body)
	}
	if next := b.makes(s.URL, made, "Scanner", imapHost); !shownPassword.MatchString(next.body) || len(passwordsOn(t, next)) != 2 {
		t.Errorf("the form of the page that followed:\n%s", next.body)
	}
	without := url.Values{"token": {tokenOf(t, p)}, "decision": {"make"}, "service": {imapHost}}
	if got := ask(t, http.MethodPost, s.URL+"/account", formBody(without), b.cookies); got.status != http.StatusBadRequest {
		t.Errorf("a form that could come twice: %d, want 400", got.status)
	}
	if kept := rows(t, s, `SELECT id FROM app_passwords`); len(kept) != 2 {
		t.Errorf("%d app passwords were made, want 2", len(kept))
	}
}

// brittle is a store, and a record, of which parts fail when told to.
type brittle struct {
	issuer.Store
	shelf apppassword.Store
	log   audit.Log

	noGrants, noKeep, noRecord bool
	thenNoGrants               bool // after an app password was kept
}

func (b *brittle) Grants(ctx context.Context, tenant, account string) ([]issuer.Grant, error) {
	if b.noGrants {
		return nil, errors.New("database is away")
	}
	return b.Store.Grants(ctx, tenant, account)
}

func (b *brittle) Record(ctx context.Context, e audit.Event) error {
	if b.noRecord {
		return errors.New("the record is full")
	}
	return b.log.Record(ctx, e)
}

// brittleShelf is what a brittle store has of app passwords.
type brittleShelf struct {
	apppassword.Store
	b *brittle
}

func (s brittleShelf) KeepAppPassword(ctx context.Context, tenant string, k apppassword.Kept, most int) error {
	if s.b.noKeep {
		return errors.New("database is away")
	}
	s.b.noGrants = s.b.thenNoGrants
	return s.Store.KeepAppPassword(ctx, tenant, k, most)
}

// TestR21MadeAndShownOrNotMade: nobody has an app password that lives and that they were never shown, and no record of
// one that there is not.
func TestR21MadeAndShownOrNotMade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breaks func(b *brittle)
		status int
		events []string
	}{
		"nothing fails":                     {func(*brittle) {}, http.StatusOK, []string{"made"}},
		"the page cannot be read":           {func(b *brittle) { b.noGrants = true }, http.StatusServiceUnavailable, nil},
		"the page cannot be read afterward": {func(b *brittle) { b.thenNoGrants = true }, http.StatusOK, []string{"made"}},
		"it cannot be kept":                 {func(b *brittle) { b.noKeep = true }, http.StatusServiceUnavailable, nil},
		"it cannot be recorded":             {func(b *brittle) { b.noRecord = true }, http.StatusServiceUnavailable, nil},
	} {
		b := &brittle{}
		a := newAlone(t, https, withPasswords(declared), func(d *server.Deps) {
			b.Store, b.shelf, b.log = d.Issuer.Store, d.Issuer.AppPasswords.Store, d.Issuer.Audit
			d.Issuer.Store, d.Issuer.AppPasswords.Store, d.Issuer.Audit = b, brittleShelf{b.shelf, b}, b
			d.Upstream = aliceSince{at: time.Now()}
		})
		a.toAccount()
		p := a.ask(http.MethodGet, https+"/account")
		form := formBody(makeForm(t, p, "Printer", imapHost))
		c.breaks(b)
		made := a.ask(http.MethodPost, https+"/account", form)
		shown := shownPassword.MatchString(made.body)
		if made.status != c.status || shown != (c.status == http.StatusOK) {
			t.Errorf("%s: %d, shown %v, want %d\n%s", name, made.status, shown, c.status, made.body)
		}
		if got := len(passwordsOn(t, made)); shown && got != 1 {
			t.Errorf("%s: the page lists %d app passwords, want the new one", name, got)
		}
		*b = brittle{Store: b.Store, shelf: b.shelf, log: b.log}
		living := len(passwordsOn(t, a.ask(http.MethodGet, https+"/account")))
		if living > 0 != shown {
			t.Errorf("%s: %d app passwords live, and one was shown: %v", name, living, shown)
		}
		if events := a.passwordEvents(b); !slices.Equal(events, c.events) {
			t.Errorf("%s: recorded %q, want %q", name, events, c.events)
		}
		if !shown && !shownPassword.MatchString(a.ask(http.MethodPost, https+"/account", form).body) {
			t.Errorf("%s: the same form, when nothing fails any more, makes none", name)
		}
	}
}

// passwordEvents are the rules of what was recorded of app passwords.
func (a *alone) passwordEvents(b *brittle) (rules []string) {
	a.t.Helper()
	found, err := b.log.(audit.Reader).Events(a.t.Context(), audit.Query{Kind: audit.KindAppPassword})
	must(a.t, err)
	for _, e := range found {
		rules = append(rules, e.Rule)
	}
	return rules
}

// pickyGrants and pickyShelf take text as PostgreSQL does: UTF-8, and no zero bytes.
type (
	pickyGrants struct{ issuer.Store }
	pickyShelf  struct{ apppassword.Store }
)

func asText(id string) error {
	if !utf8.ValidString(id) || strings.Contains(id, "\x00") {
		return errors.New("invalid byte sequence for encoding")
	}
	return nil
}

func (p pickyGrants) Grant(ctx context.Context, tenant, id string) (issuer.Grant, error) {
	if err := asText(id); err != nil {
		return issuer.Grant{}, err
	}
	return p.Store.Grant(ctx, tenant, id)
}

func (p pickyShelf) EndAppPassword(ctx context.Context, tenant, accountID, id, reason string, now time.Time) (bool, error) {
	if err := asText(id); err != nil {
		return false, err
	}
	return p.Store.EndAppPassword(ctx, tenant, accountID, id, reason, now)
}

// TestAccountTakesOddIDsForUnknownOnes, whatever the database says of them.
func TestAccountTakesOddIDsForUnknownOnes(t *testing.T) {
	t.Parallel()
	a := newAlone(t, https, withPasswords(declared), func(d *server.Deps) {
		d.Issuer.Store, d.Issuer.AppPasswords.Store = pickyGrants{d.Issuer.Store}, pickyShelf{d.Issuer.AppPasswords.Store}
	})
	a.toAccount()
	token := tokenOf(t, a.ask(http.MethodGet, https+"/account"))
	for _, field := range []string{"grant", "app_password"} {
		for _, id := range []string{"\xff", "a\x00b", "", "AAAAAAAAAAA", "AAAAAAAAAA\xff", strings.Repeat("A", 5000), "ÄÄÄÄÄA"} {
			p := a.ask(http.MethodPost, https+"/account", formBody(url.Values{"token": {token}, field: {id}}))
			if p.status != http.StatusSeeOther {
				t.Errorf("%s %q: %d, want the page", field, id, p.status)
			}
			if p := a.ask(http.MethodGet, https+"/account"); !strings.Contains(p.body, "There was nothing to end.") {
				t.Errorf("%s %q: the page does not say that there was nothing to end", field, id)
			}
		}
	}
}

// TestR21ExchangeOfAnEndedSignIn: what ended while the policy decided makes no app password.
func TestR21ExchangeOfAnEndedSignIn(t *testing.T) {
	t.Parallel()
	for why, want := range map[error]string{apppassword.ErrEnded: oidc.CodeInvalidRequest, apppassword.ErrFull: oidc.CodeInvalidRequest, errors.New("away"): oidc.CodeTemporarilyUnavailable} {
		a := newAlone(t, https, withPasswords(declared), func(d *server.Deps) {
			d.Issuer.AppPasswords.Store = refusing{d.Issuer.AppPasswords.Store, why}
			d.Upstream = aliceSince{at: time.Now()}
		})
		form := codeForm(a.code(https, set("scope", scopesForThree)))
		form.Set("resource", https)
		p := a.ask(http.MethodPost, https+"/token", formBody(form))
		var alone answer
		p.json(t, &alone)
		if status, code := a.token(https, passwordForm(alone.AccessToken, imapHost)); code != want {
			t.Errorf("%v: %d %q, want %q", why, status, code, want)
		}
	}
}

// refusing keeps no app passwords, and says why.
type refusing struct {
	apppassword.Store
	why error
}

func (r refusing) KeepAppPassword(context.Context, string, apppassword.Kept, int) error { return r.why }
