package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
)

// Services of the tenant example besides those that every test server has, one for each further form of tokens.
const (
	contacts = "https://dav.example.test/contacts/" // opaque
	chat     = "https://chat.example.test/"         // a profile of the tenant's own
)

// secretAll is that of a resource server which asks about the tokens of all services.
const secretAll = "all-server-secret-that-a-machine-made"

// withForms declares a service for every form of tokens, and a server that may ask about each.
func withForms(declaration string) string {
	declaration = strings.Replace(declaration, "    title: Example Organisation\n", `    title: Example Organisation
    token_profiles:
      - {name: own, based_on: rfc9068, typ: JWT, azp: true, aud: array, nbf: true, backdate: 5s, user_claim: login}
    resource_servers:
      - {name: all-server, audiences: [imap.example.test, submission.example.test, "`+calendar+`", "https://files.example.test/dav/", "`+contacts+`", "`+chat+`"], secret: `+secretAll+`}
`, 1)
	return strings.Replace(declaration, "    services:\n      - {id: imap,", `    services:
      - {id: contacts, protocol: carddav, title: Contacts, endpoints: [{url: "`+contacts+`"}], scopes: ["`+calendarScope+`"], profile: opaque, in_broad: false}
      - {id: chat, protocol: https, title: Chat, endpoints: [{url: "`+chat+`"}], scopes: ["`+filesScope+`"], profile: own}
      - {id: imap, app_passwords: true,`, 1)
}

// asAll shows the credentials of that server.
var asAll = basic("all-server", secretAll)

// mutantsRig is a server with tokens of every form, asked without a network: there are
// thousands of mutants.
type mutantsRig struct {
	t        testing.TB
	s        *servertest.Server
	in       answer            // what nothing is done with
	access   map[string]string // access tokens that mutants are made of, by form
	stranger *ecdsa.PrivateKey // of somebody who is not the issuer
	asked    int
}

func newMutantsRig(t testing.TB) *mutantsRig {
	t.Helper()
	s := servertest.Start(t)
	declare(t, s, withForms(s.Declaration()), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return len(r.ResourceServers) == 1
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	r := &mutantsRig{t: t, s: s, in: signedIn(t, s.URL, nil), stranger: key, access: map[string]string{}}
	for name, audience := range map[string]string{
		"dovecot": imap, "rfc9068": calendar, "rfc9068 by RS256": "https://files.example.test/dav/", "opaque": contacts, "own": chat,
	} {
		a := token(t, s.URL, exchangeForm(r.in.AccessToken, audience))
		if a.Status != http.StatusOK {
			t.Fatalf("token for %s: %d %s", audience, a.Status, a.Error)
		}
		r.access[name] = a.AccessToken
	}
	r.access["broad"] = r.in.AccessToken
	return r
}

// ask sends a request to the handler itself, each from another address: wrong credentials are counted by address.
func (r *mutantsRig) ask(method, path string, edits ...edit) page {
	r.t.Helper()
	r.asked++
	q := httptest.NewRequestWithContext(r.t.Context(), method, r.s.URL+path, nil)
	q.RemoteAddr = "192.0." + strconv.Itoa(r.asked/250%250) + "." + strconv.Itoa(r.asked%250+1) + ":1024"
	for _, e := range edits {
		e(q)
	}
	w := httptest.NewRecorder()
	r.s.Service.Handler.ServeHTTP(w, q)
	return page{w.Code, w.Header(), w.Body.String(), q.URL}
}

// notOurs is what is said of every subject token that cannot be vouched for (R24).
const notOurs = `{"error":"invalid_request","error_description":"the subject token is not valid here; send an access token of this issuer, whole and as received"}`

// mutantPlaces are where access tokens are presented; each says what is wrong with the refusal, "" if nothing is.
func (r *mutantsRig) mutantPlaces() map[string]func(v string) string {
	resource := func(method, path string) func(string) string {
		return func(v string) string {
			if !sendable(v) {
				return ""
			}
			p := r.ask(method, path, header("Authorization", "Bearer "+v))
			if challenge := p.header.Get("WWW-Authenticate"); p.status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) {
				return p.told()
			}
			return ""
		}
	}
	return map[string]func(string) string{
		"exchange": func(v string) string {
			p := r.ask(http.MethodPost, "/token", formBody(exchangeForm(v, imap)))
			if p.status != http.StatusBadRequest || strings.TrimSpace(p.body) != notOurs {
				return p.told()
			}
			return ""
		},
		"introspection": func(v string) string {
			p := r.ask(http.MethodPost, "/introspect", formBody(url.Values{"token": {v}}), asAll)
			if p.status != http.StatusOK || p.body != `{"active":false}` {
				return p.told()
			}
			return ""
		},
		"configuration": resource(http.MethodGet, "/configuration"), "bundle": resource(http.MethodPost, "/configuration"), "userinfo": resource(http.MethodGet, "/userinfo"),
		"revocation": func(v string) string {
			if p := r.ask(http.MethodPost, "/revoke", formBody(giveBack(v))); p.status != http.StatusOK || p.body != "" {
				return p.told()
			}
			return "" // that nothing ended is seen at the end
		},
	}
}

func (p page) told() string {
	return strconv.Itoa(p.status) + " " + p.header.Get("WWW-Authenticate") + " " + p.body
}

// sendable reports whether a text can stand in a header: HTTP itself refuses or trims the rest.
func sendable(v string) bool {
	return !strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// refuses presents mutants everywhere, and then the tokens that they were made of, which are good as before.
func (r *mutantsRig) refuses(form string, all map[string]string) {
	r.t.Helper()
	good := r.access[form]
	places := r.mutantPlaces()
	wrong := 0
	for name, v := range all {
		if v == good || v == "" {
			r.t.Fatalf("%s is no mutant", name)
		}
		for place, says := range places {
			if what := says(v); what != "" && wrong < 20 {
				wrong++
				r.t.Errorf("%s, %s at %s: %s\n%.200q", form, name, place, what, v)
			}
		}
	}
	p := r.ask(http.MethodPost, "/introspect", formBody(url.Values{"token": {good}}), asAll)
	p.isActive(r.t, form+" itself, after all its mutants")
	if form == "broad" {
		alive(r.t, r.s.URL, r.in, "its mutants")
	}
}

func (r *mutantsRig) token(form url.Values) page {
	return r.ask(http.MethodPost, "/token", formBody(form))
}
