package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"signpost/oidc"
)

// kindsAtPlaces says what becomes of every kind of value (lines) at every place that takes
// one (columns): "yes", or how it is refused. Tokens are of the client "open" at the tenant
// at the base URL, where nothing else is said.
//
//	yes  taken                           off  200 {"active":false}
//	tok  401 invalid_token               nil  200, and nothing was revoked
//	prf  400 invalid_dpop_proof          ask  200 the page with a question, and nobody was signed out
//	req  400 invalid_request             told the client is told invalid_request by redirect
//	gnt  400 invalid_grant               bad  400 a page for people that leads nowhere
//	cli  401 invalid_client              no   go-oidc does not take it
//	typ  400 unsupported_token_type
var kindsAtPlaces = []string{
	// Access tokens: Authorization at the issuer's own resources, with a proof where the scheme is
	// DPoP; the same for a bundle; subject_token at /token, without and with a proof; token at
	// /introspect by each server; password at /app-passwords/check.
	`
	                   conf:bearer info:bearer conf:dpop info:dpop  bundle:bearer bundle:dpop  subject subject:dpop  mail dav files  password
	id:rs256           tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	id:es256           tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	broad              yes         yes         tok       tok        yes           tok         yes     yes           off  yes off    off
	broad:bound        tok         tok         yes       yes        tok           yes         prf     yes           off  yes off    off
	broad:opaque       yes         yes         tok       tok        yes           tok         yes     yes           off  off off    off
	broad:expired      tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	broad:ended        tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	narrow             tok         tok         tok       tok        tok           tok         req     req           off  yes off    off
	narrow:dovecot     tok         tok         tok       tok        tok           tok         req     req           yes  off off    off
	narrow:rs256       tok         tok         tok       tok        tok           tok         req     req           off  off yes    off
	narrow:opaque      tok         tok         tok       tok        tok           tok         req     req           off  yes off    off
	narrow:own         tok         tok         tok       tok        tok           tok         req     req           off  off yes    off
	narrow:cyrus       tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	app-password       tok         tok         tok       tok        tok           tok         req     req           yes  off off    yes
	refresh            tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	code               tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	device-code        tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	user-code          tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	request-uri        tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	registered-id      tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	signed-answer      tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	client-assertion   tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	server-assertion   tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	proof              tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	upstream:id        tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	upstream:access    tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	far:id             tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	far:broad          tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	far:narrow         tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	far:refresh        tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	far:registered-id  tok         tok         tok       tok        tok           tok         req     req           off  off off    off
	`,
	// What programs send in a form: code, refresh_token, device_code at /token; client_assertion
	// at /token and /introspect; the header DPoP at /token; token at /revoke.
	`
	                   code refresh device-code  client-assertion server-assertion  proof  revoke
	id:rs256           gnt  gnt     gnt          cli              cli               prf    nil
	id:es256           gnt  gnt     gnt          cli              cli               prf    nil
	broad              gnt  gnt     gnt          cli              cli               prf    typ
	broad:bound        gnt  gnt     gnt          cli              cli               prf    typ
	broad:opaque       gnt  gnt     gnt          cli              cli               prf    yes
	broad:expired      gnt  gnt     gnt          cli              cli               prf    nil
	broad:ended        gnt  gnt     gnt          cli              cli               prf    typ
	narrow             gnt  gnt     gnt          cli              cli               prf    typ
	narrow:dovecot     gnt  gnt     gnt          cli              cli               prf    typ
	narrow:rs256       gnt  gnt     gnt          cli              cli               prf    typ
	narrow:opaque      gnt  gnt     gnt          cli              cli               prf    typ
	narrow:own         gnt  gnt     gnt          cli              cli               prf    typ
	narrow:cyrus       gnt  gnt     gnt          cli              cli               prf    nil
	app-password       gnt  gnt     gnt          cli              cli               prf    nil
	refresh            gnt  yes     gnt          cli              cli               prf    yes
	code               yes  gnt     gnt          cli              cli               prf    nil
	device-code        gnt  gnt     yes          cli              cli               prf    nil
	user-code          gnt  gnt     gnt          cli              cli               prf    nil
	request-uri        gnt  gnt     gnt          cli              cli               prf    nil
	registered-id      gnt  gnt     gnt          cli              cli               prf    nil
	signed-answer      gnt  gnt     gnt          cli              cli               prf    nil
	client-assertion   gnt  gnt     gnt          yes              cli               prf    nil
	server-assertion   gnt  gnt     gnt          cli              yes               prf    nil
	proof              gnt  gnt     gnt          cli              cli               yes    nil
	upstream:id        gnt  gnt     gnt          cli              cli               prf    nil
	upstream:access    gnt  gnt     gnt          cli              cli               prf    nil
	far:id             gnt  gnt     gnt          cli              cli               prf    nil
	far:broad          gnt  gnt     gnt          cli              cli               prf    nil
	far:narrow         gnt  gnt     gnt          cli              cli               prf    nil
	far:refresh        gnt  gnt     gnt          cli              cli               prf    nil
	far:registered-id  gnt  gnt     gnt          cli              cli               prf    nil
	`,
	// ID tokens and names: id_token_hint at /authorize by the client "open" and by "signer", and at
	// /logout; the check that these two clients make of an ID token; client_id at /authorize and
	// /token; request_uri at /authorize; user_code at /device.
	`
	                   hint hint:es256 logout  check check:es256  authorize:id token:id  request-uri  user-code
	id:rs256           yes  told       yes     yes   no           bad          cli       bad          bad
	id:es256           told yes        yes     no    yes          bad          cli       bad          bad
	broad              told told       ask     no    no           bad          cli       bad          bad
	broad:bound        told told       ask     no    no           bad          cli       bad          bad
	broad:opaque       told told       ask     no    no           bad          cli       bad          bad
	broad:expired      told told       ask     no    no           bad          cli       bad          bad
	broad:ended        told told       ask     no    no           bad          cli       bad          bad
	narrow             told told       ask     no    no           bad          cli       bad          bad
	narrow:dovecot     told told       ask     no    no           bad          cli       bad          bad
	narrow:rs256       told told       ask     no    no           bad          cli       bad          bad
	narrow:opaque      told told       ask     no    no           bad          cli       bad          bad
	narrow:own         told told       ask     no    no           bad          cli       bad          bad
	narrow:cyrus       told told       ask     no    no           bad          cli       bad          bad
	app-password       told told       ask     no    no           bad          cli       bad          bad
	refresh            told told       ask     no    no           bad          cli       bad          bad
	code               told told       ask     no    no           bad          cli       bad          bad
	device-code        told told       ask     no    no           bad          cli       bad          bad
	user-code          told told       ask     no    no           bad          cli       bad          yes
	request-uri        told told       ask     no    no           bad          cli       yes          bad
	registered-id      told told       ask     no    no           yes          yes       bad          bad
	signed-answer      told told       ask     no    no           bad          cli       bad          bad
	client-assertion   told told       ask     no    no           bad          cli       bad          bad
	server-assertion   told told       ask     no    no           bad          cli       bad          bad
	proof              told told       ask     no    no           bad          cli       bad          bad
	upstream:id        told told       ask     no    no           bad          cli       bad          bad
	upstream:access    told told       ask     no    no           bad          cli       bad          bad
	far:id             told told       ask     no    no           bad          cli       bad          bad
	far:broad          told told       ask     no    no           bad          cli       bad          bad
	far:narrow         told told       ask     no    no           bad          cli       bad          bad
	far:refresh        told told       ask     no    no           bad          cli       bad          bad
	far:registered-id  told told       ask     no    no           bad          cli       bad          bad
	`,
}

// pair is one cell of the tables.
type pair struct{ kind, place, want string }

// pairs reads the tables, with the taking at the end: a value that is taken may be used up.
func pairs(t testing.TB, kinds map[string]string, places map[string]func(string) string) (refused, taken []pair) {
	t.Helper()
	var columns int
	for _, table := range kindsAtPlaces {
		lines := strings.Split(strings.TrimSpace(table), "\n")
		head := strings.Fields(lines[0])
		columns += len(head)
		seen := map[string]bool{}
		for _, line := range lines[1:] {
			cells := strings.Fields(line)
			if len(cells) != len(head)+1 || kinds[cells[0]] == "" || seen[cells[0]] {
				t.Fatalf("line %q: want a kind that there is, once, with %d words", line, len(head))
			}
			seen[cells[0]] = true
			for i, place := range head {
				p := pair{cells[0], place, cells[i+1]}
				switch {
				case places[place] == nil:
					t.Fatalf("there is no place %q", place)
				case p.want == "yes":
					taken = append(taken, p)
				default:
					refused = append(refused, p)
				}
			}
		}
		if len(seen) != len(kinds) {
			t.Fatalf("the table of %q has %d kinds of %d", head, len(seen), len(kinds))
		}
	}
	if columns != len(places) {
		t.Fatalf("the tables have %d places of %d", columns, len(places))
	}
	return refused, taken
}

// TestR7EveryKindAtEveryPlace: every kind of value is presented at every place. After all
// the refusals nothing has changed, and the very same values are good where they belong.
func TestR7EveryKindAtEveryPlace(t *testing.T) {
	t.Parallel()
	r := newKindsRig(t)
	kinds, places := r.kinds(), r.places()
	refused, taken := pairs(t, kinds, places)
	before := r.state()
	for _, p := range refused {
		if got := places[p.place](kinds[p.kind]); got != p.want {
			t.Errorf("%s at %s: %s, want %s", p.kind, p.place, got, p.want)
		}
	}
	if after := r.state(); !slices.Equal(after, before) {
		t.Errorf("refusals changed what is kept:\n got %q\nwant %q", after, before)
	}
	alive(t, r.s.URL, r.bystander, "refusals")
	alive(t, r.s.OtherURL(), r.far, "refusals")
	for _, p := range taken {
		if got := places[p.place](kinds[p.kind]); got != p.want {
			t.Errorf("%s at %s: %s, want it taken", p.kind, p.place, got)
		}
	}
	if next := token(t, r.s.URL, refreshForm(r.bystander.RefreshToken)); next.Status != http.StatusOK {
		t.Errorf("refresh of another sign-in: %d %s", next.Status, next.Error)
	}
	alive(t, r.s.URL, r.bystander, "others were revoked")
}

// refusals are the words of the tables for answers that are errors in JSON.
var refusals = map[string]string{
	"401 " + oidc.CodeInvalidToken: "tok", "400 " + oidc.CodeInvalidDPoPProof: "prf", "400 " + oidc.CodeInvalidRequest: "req",
	"400 " + oidc.CodeInvalidGrant: "gnt", "401 " + oidc.CodeInvalidClient: "cli", "400 " + oidc.CodeUnsupportedTokenType: "typ",
}

// word says what became of a value. What no table speaks of is said as it is.
func (p page) word(t testing.TB, taken bool) string {
	t.Helper()
	to, err := url.Parse(p.header.Get("Location"))
	must(t, err)
	refused := answer{Error: to.Query().Get("error")}
	switch kind := p.header.Get("Content-Type"); {
	case taken:
		return "yes"
	case p.status == http.StatusSeeOther && refused.Error == oidc.CodeInvalidRequest:
		return "told"
	case p.status == http.StatusBadRequest && strings.HasPrefix(kind, "text/html") && to.String() == "":
		return "bad"
	case kind == "application/json":
		p.json(t, &refused)
	}
	code := strconv.Itoa(p.status) + " " + refused.Error
	if word, known := refusals[code]; known {
		return word
	}
	return code
}

// places are where a value can be presented; each says what became of it.
func (r *kindsRig) places() map[string]func(value string) string {
	return map[string]func(string) string{
		"conf:bearer": r.resource("/configuration", oidc.Bearer), "conf:dpop": r.resource("/configuration", oidc.DPoP),
		"info:bearer": r.resource("/userinfo", oidc.Bearer), "info:dpop": r.resource("/userinfo", oidc.DPoP),
		"bundle:bearer": r.resourceBy(http.MethodPost, "/configuration", oidc.Bearer), "bundle:dpop": r.resourceBy(http.MethodPost, "/configuration", oidc.DPoP),
		"password":     r.password,
		"subject":      func(v string) string { return r.granted(exchangeForm(v, "imap.example.test")) },
		"subject:dpop": func(v string) string { return r.granted(exchangeForm(v, "imap.example.test"), r.proof()) },
		"mail":         func(v string) string { return r.worth(v, asMail) },
		"dav":          func(v string) string { return r.worth(v, asDav) },
		"files":        func(v string) string { return r.asserted(v, r.assertionOf("files-server")) },

		"code":        func(v string) string { return r.granted(codeForm(v)) },
		"refresh":     func(v string) string { return r.granted(refreshForm(v)) },
		"device-code": func(v string) string { return r.granted((&waiting{DeviceCode: v}).form()) },
		"client-assertion": func(v string) string {
			form := refreshForm("spr_unknown")
			form.Set("client_id", "keyed")
			form.Set("client_assertion_type", assertionType)
			form.Set("client_assertion", v)
			return r.known(form)
		},
		"server-assertion": func(v string) string { return r.asserted(r.narrow, v) },
		"proof":            func(v string) string { return r.known(refreshForm("spr_unknown"), header("DPoP", v)) },
		"revoke":           r.revoke,

		"hint":         r.hint("open"),
		"hint:es256":   r.hint("signer"),
		"logout":       r.logout,
		"check":        r.check("open"),
		"check:es256":  r.check("signer"),
		"authorize:id": func(v string) string { return r.authorize(authorizeURL(r.s.URL, set("client_id", v))) },
		"token:id": func(v string) string {
			form := refreshForm("spr_unknown")
			form.Set("client_id", v)
			return r.known(form)
		},
		"request-uri": func(v string) string { return r.authorize(pushedURL(r.s.URL, "open", v)) },
		"user-code":   r.userCode,
	}
}

func (r *kindsRig) resource(path, scheme string) func(string) string {
	return r.resourceBy(http.MethodGet, path, scheme)
}

func (r *kindsRig) resourceBy(method, path, scheme string) func(string) string {
	return func(v string) string {
		edits := []edit{header("Authorization", scheme+" "+v)}
		if scheme == oidc.DPoP {
			edits = append(edits, header("DPoP", r.prover.proof(method, r.s.URL+path, v)))
		}
		p := ask(r.t, method, r.s.URL+path, edits...)
		return p.word(r.t, p.status == http.StatusOK)
	}
}

// granted sends a form to the token endpoint, where a token is wanted.
func (r *kindsRig) granted(form url.Values, edits ...edit) string {
	p := posted(r.t, r.s.URL, form, edits...)
	return p.word(r.t, p.status == http.StatusOK)
}

// known sends a form to the token endpoint in which all is well but the refresh token.
func (r *kindsRig) known(form url.Values, edits ...edit) string {
	p := posted(r.t, r.s.URL, form, edits...)
	return p.word(r.t, p.status == http.StatusBadRequest && strings.Contains(p.body, oidc.CodeInvalidGrant))
}

// proof is a new one for the token endpoint.
func (r *kindsRig) proof() edit {
	return header("DPoP", r.prover.proof(http.MethodPost, r.s.URL+"/token", ""))
}

// worth asks what a token is worth.
func (r *kindsRig) worth(v string, edits ...edit) string {
	p := introspected(r.t, r.s.URL, v, edits...)
	if p.status == http.StatusOK && p.body == `{"active":false}` {
		return "off"
	}
	return p.word(r.t, strings.Contains(p.body, `"active":true`))
}

// password offers a value as alice's app password for mail.
func (r *kindsRig) password(v string) string {
	p := ask(r.t, http.MethodPost, r.s.URL+"/app-passwords/check", asMail, formBody(url.Values{"username": {"alice@example.test"}, "password": {v}}))
	if p.status == http.StatusOK && p.body == `{"active":false}` {
		return "off"
	}
	return p.word(r.t, p.status == http.StatusOK && strings.Contains(p.body, `"active":true`))
}

// asserted is worth by the server that has a key.
func (r *kindsRig) asserted(v, assertion string) string {
	return r.worth(v, formBody(url.Values{
		"token": {v}, "client_id": {"files-server"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}))
}

func (r *kindsRig) revoke(v string) string {
	before := r.living()
	p := revoked(r.t, r.s.URL, giveBack(v))
	if before == r.living() && p.status == http.StatusOK {
		return "nil"
	}
	return p.word(r.t, p.status == http.StatusOK)
}

// authorize opens a page for the person, or not.
func (r *kindsRig) authorize(at string) string {
	p := ask(r.t, http.MethodGet, at)
	return p.word(r.t, p.status == http.StatusOK)
}

func (r *kindsRig) hint(client string) func(string) string {
	return func(v string) string {
		return r.authorize(authorizeURL(r.s.URL, func(q url.Values) {
			q.Set("client_id", client)
			q.Set("id_token_hint", v)
		}))
	}
}

func (r *kindsRig) logout(v string) string {
	p := ask(r.t, http.MethodGet, r.s.URL+"/logout?"+url.Values{"id_token_hint": {v}}.Encode())
	if p.status == http.StatusOK && p.header.Get("Set-Cookie") == "" && len(p.attributes(r.t, "form", "action")) == 1 {
		return "ask"
	}
	return p.word(r.t, p.endsSession())
}

// check is what a client does with an ID token
// (https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation).
func (r *kindsRig) check(client string) func(string) string {
	provider, err := gooidc.NewProvider(r.t.Context(), r.s.URL)
	must(r.t, err)
	verifier := provider.Verifier(&gooidc.Config{ClientID: client})
	return func(v string) string {
		if _, err := verifier.Verify(r.t.Context(), v); err != nil {
			return "no"
		}
		return "yes"
	}
}

// userCode enters a code, each time from another address: one may try few.
func (r *kindsRig) userCode(v string) string {
	r.entered++
	q := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, r.s.URL+"/device", nil)
	q.RemoteAddr = "192.0.2." + strconv.Itoa(r.entered) + ":1024"
	formBody(url.Values{"user_code": {v}})(q)
	header("Cookie", "signpost-example="+strings.Repeat("x", 43))(q)
	w := httptest.NewRecorder()
	r.s.Service.Handler.ServeHTTP(w, q)
	p := page{w.Code, w.Header(), w.Body.String(), q.URL}
	return p.word(r.t, strings.Contains(p.body, "Did you start this just now?"))
}
