package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/server"
)

// TestR21CheckRefusals: all that is wrong with a person's words is one answer, byte for byte.
func TestR21CheckRefusals(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	_, alone := forIssuer(t, s)
	as := func(username string) func(own string) (string, string) {
		return func(own string) (string, string) { return username, own }
	}
	with := func(password string) func(own string) (string, string) {
		return func(string) (string, string) { return aliceAddress, password }
	}
	for name, c := range map[string]struct {
		typed func(own string) (username, password string)
		at    edit
	}{
		"another person's name":         {as("bob@example.test"), asMail},
		"the name without its domain":   {as("alice"), asMail},
		"an empty name":                 {as(""), asMail},
		"a letter of another alphabet":  {as("\u0430lice@example.test"), asMail},
		"a zero byte in the name":       {as(aliceAddress + "\x00"), asMail},
		"of another service":            {as(aliceAddress), asDav},
		"another secret":                {func(own string) (string, string) { return aliceAddress, otherSecret(own) }, asMail},
		"the selector alone":            {func(own string) (string, string) { return aliceAddress, own[:9] }, asMail},
		"the password as the name, too": {func(own string) (string, string) { return own, own }, asMail},
		"an unknown one":                {with("0000-0000-00000-00000-00000-00000-000000"), asMail},
		"an empty one":                  {with(""), asMail},
		"some other password":           {with("correct horse battery staple"), asMail},
	} {
		username, password := c.typed(token(t, s.URL, passwordForm(alone.AccessToken, imapHost)).AccessToken)
		checked(t, s.URL, username, password, c.at).isInactive(t, name)
		if got := byStatus(t, s.URL, username, password, c.at); got.status != http.StatusForbidden || got.body != "" {
			t.Errorf("%s, by status: %d %q, want 403 and nothing else", name, got.status, got.body)
		}
	}
	_, password := passwordFor(t, s, imapHost)
	if got := byStatus(t, s.URL, aliceAddress, password, asMail); got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("right, by status: %d %q, want 204", got.status, got.body)
	}
	checked(t, s.OtherURL(), aliceAddress, password, asMail).isError(t, "at another tenant", http.StatusUnauthorized, oidc.CodeInvalidClient)
	checked(t, s.URL, aliceAddress, password).isError(t, "by nobody", http.StatusUnauthorized, oidc.CodeInvalidClient)
	checked(t, s.URL, aliceAddress, password, basic(mailServer, "wrong")).isError(t, "with a wrong secret", http.StatusUnauthorized, oidc.CodeInvalidClient)
	for name, form := range map[string]url.Values{
		"no username":   {"password": {password}},
		"no password":   {"username": {aliceAddress}},
		"two names":     {"username": {aliceAddress, "bob@example.test"}, "password": {password}},
		"two passwords": {"username": {aliceAddress}, "password": {password, password}},
	} {
		ask(t, http.MethodPost, s.URL+"/app-passwords/check", formBody(form), asMail).isError(t, name, http.StatusBadRequest, oidc.CodeInvalidRequest)
	}
	checked(t, s.URL, aliceAddress, password, asMail).isActive(t, "after all of that")
}

// isError checks for a failure as OAuth has it.
func (p page) isError(t testing.TB, what string, status int, code string) {
	t.Helper()
	var o object
	p.json(t, &o)
	if p.status != status || o["error"] != code {
		t.Errorf("%s: %d %s, want %d %s", what, p.status, p.body, status, code)
	}
}

// TestR21Limits by selector and by the address that the server names, never by account, and not for right ones.
func TestR21Limits(t *testing.T) {
	t.Parallel()
	s := startPasswords(t)
	_, first := passwordFor(t, s, imapHost)
	_, second := passwordFor(t, s, imapHost)
	for range 50 {
		checked(t, s.URL, aliceAddress, first, asMail).isActive(t, "a right one")
	}
	for range 12 {
		checked(t, s.URL, aliceAddress, otherSecret(first), asMail).isInactive(t, "a wrong one")
	}
	checked(t, s.URL, aliceAddress, first, asMail).isInactive(t, "the right one after too many wrong ones")
	checked(t, s.URL, aliceAddress, second, asMail).isActive(t, "another one of the same account")
	if events := rows(t, s, `SELECT rule || ' ' || outcome || ' ' || service || ' ' || account_id FROM audit_events WHERE rule = 'check/too-many'`); !slices.Equal(events, []string{"check/too-many refused " + imapHost + " "}) {
		t.Errorf("audit %q, want one event that says where", events)
	}
	for n := range 5 * 12 { // five that nobody has
		checked(t, s.URL, aliceAddress, fmt.Sprintf("%08d%026d", n%5, n), asMail).isInactive(t, "one that nobody has")
	}
	if events := rows(t, s, `SELECT id FROM audit_events WHERE rule = 'check/too-many'`); len(events) != 1 {
		t.Errorf("%d events, want that strangers add none", len(events))
	}
	from := func(address string) edit {
		return formBody(url.Values{"username": {aliceAddress}, "password": {second}, "remote_address": {address}})
	}
	for n := range 101 {
		unknown := fmt.Sprintf("%034d", n)
		ask(t, http.MethodPost, s.URL+"/app-passwords/check", formBody(url.Values{"username": {aliceAddress}, "password": {unknown}, "remote_address": {"192.0.2.7"}}), asMail)
	}
	ask(t, http.MethodPost, s.URL+"/app-passwords/check", from("192.0.2.7"), asMail).isInactive(t, "from the address of many wrong ones")
	ask(t, http.MethodPost, s.URL+"/app-passwords/check", from("192.0.2.8"), asMail).isActive(t, "from another address")
	for n := range 101 {
		ask(t, http.MethodPost, s.URL+"/app-passwords/check", formBody(url.Values{"username": {"x"}, "password": {fmt.Sprintf("%034d", n)}, "remote_address": {"192.0.2.9"}}), asDav)
	}
	ask(t, http.MethodPost, s.URL+"/app-passwords/check", from("192.0.2.9"), asMail).isActive(t, "from an address that another server shut out")
}

// TestR21WithoutTheDatabase nobody can tell, and nobody says no: a mail server tries again.
func TestR21WithoutTheDatabase(t *testing.T) {
	t.Parallel()
	var shelf awayShelf
	a := newAlone(t, https, inExample(withPasswords(declared), `    resource_servers:
      - {name: mail-server, audiences: [imap.example.test], secret: `+secretMail+`}
`), func(d *server.Deps) {
		shelf.Store = d.Issuer.AppPasswords.Store
		d.Issuer.AppPasswords.Store = &shelf
	})
	check := func(path string, form url.Values) page {
		return a.ask(http.MethodPost, https+path, formBody(form), asMail)
	}
	const password = "0000-0000-00000-00000-00000-00000-000000"
	check("/app-passwords/check", url.Values{"username": {aliceAddress}, "password": {password}}).isInactive(t, "with the database")
	shelf.away = errors.New("database is away")
	check("/app-passwords/check", url.Values{"username": {aliceAddress}, "password": {password}}).isError(t, "check", http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
	check("/app-passwords/check", url.Values{"username": {aliceAddress}, "password": {password}, "status": {"1"}}).isError(t, "check by status", http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
	check("/introspect", url.Values{"token": {password}}).isError(t, "introspection", http.StatusServiceUnavailable, oidc.CodeTemporarilyUnavailable)
}

// awayShelf is a store of app passwords that fails when told to.
type awayShelf struct {
	apppassword.Store
	away error
}

func (s *awayShelf) AppPassword(ctx context.Context, tenant, selector string) (apppassword.Kept, error) {
	if s.away != nil {
		return apppassword.Kept{}, s.away
	}
	return s.Store.AppPassword(ctx, tenant, selector)
}
