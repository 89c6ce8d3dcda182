package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"signpost/oidc"
)

// TestR7OneSpellingOfEverySecret: refresh tokens, codes, device codes and client ids are good as they were
// given and in no other spelling; a wrong one uses nothing up and ends nothing.
func TestR7OneSpellingOfEverySecret(t *testing.T) {
	t.Parallel()
	r := newMutantsRig(t)
	code := newCode(t, r.s.URL, nil)
	device, b := newDevice(t, r.s.URL), newBrowser(t)
	ticket, _ := b.toDeviceConsent(device)
	b.allows(device, ticket, "allow").endsWith(t, "allowed")
	deviceForm := func(v string) url.Values {
		form := device.form()
		form.Set("device_code", v)
		return form
	}
	id := registered(t, r.s.URL+"/register", `{"redirect_uris":["`+redirectURI+`"]}`)
	idForm := func(v string) url.Values {
		form := refreshForm("spr_unknown")
		form.Set("client_id", v)
		return form
	}
	for what, c := range map[string]struct {
		good   string
		form   func(string) url.Values
		status int
		code   string
	}{
		"refresh token": {r.in.RefreshToken, refreshForm, http.StatusBadRequest, oidc.CodeInvalidGrant},
		"code":          {code, codeForm, http.StatusBadRequest, oidc.CodeInvalidGrant},
		"device code":   {device.DeviceCode, deviceForm, http.StatusBadRequest, oidc.CodeInvalidGrant},
		"client id":     {id, idForm, http.StatusUnauthorized, oidc.CodeInvalidClient},
	} {
		for name, v := range respelled(c.good) {
			p := r.token(c.form(v))
			// A device code that looks like one may have been one, and has run out.
			ranOut := what == "device code" && len(v) == len(c.good) && strings.Contains(p.body, `"error":"`+oidc.CodeExpiredToken+`"`)
			if p.status != c.status || !strings.Contains(p.body, `"error":"`+c.code+`"`) && !ranOut {
				t.Errorf("%s, %s: %s, want %d %s\n%.200q", what, name, p.told(), c.status, c.code, v)
			}
		}
	}
	for what, form := range map[string]url.Values{"refresh token": refreshForm(r.in.RefreshToken), "code": codeForm(code), "device code": deviceForm(device.DeviceCode)} {
		if p := r.token(form); p.status != http.StatusOK {
			t.Errorf("the %s itself, after all its mutants: %s", what, p.told())
		}
	}
	if p := r.token(idForm(id)); !strings.Contains(p.body, oidc.CodeInvalidGrant) {
		t.Errorf("the client id itself, after all its mutants: %s", p.told())
	}
}

// TestR7OneSpellingOfIDTokens: a hint that was changed is none.
func TestR7OneSpellingOfIDTokens(t *testing.T) {
	t.Parallel()
	r := newMutantsRig(t)
	authorize := func(v string) page {
		q := authorizeForm(set("id_token_hint", v))
		return r.ask(http.MethodGet, "/authorize?"+q.Encode())
	}
	if p := authorize(r.in.IDToken); p.status != http.StatusOK {
		t.Fatalf("the ID token itself: %s", p.told())
	}
	for name, v := range respelled(r.in.IDToken) {
		p := authorize(v)
		if len(v) > 8<<10 && p.status == http.StatusRequestURITooLong {
			continue
		}
		to, err := url.Parse(p.header.Get("Location"))
		must(t, err)
		if p.status != http.StatusSeeOther || to.Query().Get("error") != oidc.CodeInvalidRequest {
			t.Errorf("%s: %d to %v, want invalid_request", name, p.status, to)
		}
	}
}

// meaning is what a person meant who typed an app password: hyphens, case and letters that look like
// digits say nothing.
func meaning(typed string) string {
	return strings.NewReplacer("-", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(strings.TrimSpace(typed)))
}

// TestR21OneMeaningOfAppPasswords: what a person may type in several ways means one password, and whatever
// means another is wrong. Few wrong ones are tried of each: then nobody is listened to for a while.
func TestR21OneMeaningOfAppPasswords(t *testing.T) {
	t.Parallel()
	r := newMutantsRig(t)
	form := codeForm(newCode(t, r.s.URL, set("scope", allScopes+" "+oidc.ScopeAppPassword)))
	form.Set("resource", r.s.URL)
	alone := token(t, r.s.URL, form).AccessToken
	made := func() string {
		form := exchangeForm(alone, imap)
		form.Set("requested_token_type", oidc.TokenTypeAppPassword)
		a := token(t, r.s.URL, form)
		if a.Status != http.StatusOK {
			t.Fatalf("app password: %d %s %s", a.Status, a.Error, a.Description)
		}
		return a.AccessToken
	}
	places := map[string]func(v string) page{
		"check": func(v string) page {
			return r.ask(http.MethodPost, "/app-passwords/check", formBody(url.Values{"username": {"alice@example.test"}, "password": {v}}), asAll)
		},
		"introspection": func(v string) page {
			return r.ask(http.MethodPost, "/introspect", formBody(url.Values{"token": {v}}), asAll)
		},
	}
	good := made()
	for name, v := range map[string]string{
		"as it was shown": good, "without hyphens": strings.ReplaceAll(good, "-", ""), "in capitals": strings.ToUpper(good),
		"with o for 0": strings.ReplaceAll(good, "0", "o"), "with l for 1": strings.ReplaceAll(good, "1", "l"), "with spaces around": "  " + good + "\n",
	} {
		for place, ask := range places {
			ask(v).isActive(t, name+" at "+place)
		}
	}
	var wrong []string
	for name, v := range respelled(good) {
		if meaning(v) != meaning(good) {
			wrong = append(wrong, name)
		}
	}
	slices.Sort(wrong)
	const of, each = 40, 2 // so many passwords, and mutants of each
	for n := range of {
		good := made()
		mutants := respelled(good)
		for i := range each {
			name := wrong[(n*each+i)*len(wrong)/(of*each)]
			v := mutants[name]
			if v == "" || meaning(v) == meaning(good) {
				continue // what looks alike differs from password to password
			}
			for place, ask := range places {
				if p := ask(v); p.status != http.StatusOK || p.body != `{"active":false}` {
					t.Errorf("%s at %s: %s\n%.200q of %q", name, place, p.told(), v, good)
				}
			}
		}
		places["check"](good).isActive(t, "the password itself, after its mutants")
	}
}
