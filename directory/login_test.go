package directory

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestR1LoginName(t *testing.T) {
	t.Parallel()
	tenant := Tenant{Domains: []Domain{{Name: "example.test"}, {Name: "xn--bcher-kva.example"}}}
	alice := Holder{Subject: "s-1", Address: "alice@example.test", Login: "al"}
	for what, c := range map[string]struct {
		template string
		holder   Holder
		want     string // empty if the service is not for this person
	}{
		"address":                              {"{address}", alice, "alice@example.test"},
		"login":                                {"{login}", alice, "al"},
		"local part":                           {"{local}", alice, "alice"},
		"subject":                              {"{subject}", alice, "s-1"},
		"several":                              {"x-{local}.{login}@{domain}", alice, "x-alice.al@example.test"},
		"fixed":                                {"shared", alice, "shared"},
		"login with a domain of the tenant":    {"{login}", Holder{Login: "alice@EXAMPLE.test"}, "alice@EXAMPLE.test"},
		"domain in U-labels":                   {"{login}", Holder{Login: "alice@bücher.example"}, "alice@bücher.example"},
		"login with a foreign domain":          {"{login}", Holder{Login: "alice@gmail.com"}, ""},
		"address in a foreign domain":          {"{address}", Holder{Address: "alice@gmail.com"}, ""},
		"fixed foreign domain":                 {"{local}@gmail.com", alice, ""},
		"domain below the tenant's":            {"{login}", Holder{Login: "alice@sub.example.test"}, ""},
		"foreign name with our domain inside":  {"{login}", Holder{Login: "alice@example.test@gmail.com"}, ""},
		"nothing after the @":                  {"{login}", Holder{Login: "alice@"}, ""},
		"no address":                           {"{address}", Holder{Login: "al"}, ""},
		"address without a domain":             {"{domain}", Holder{Address: "alice"}, ""},
		"no login":                             {"{login}", Holder{Address: "alice@example.test"}, ""},
		"one of several is missing":            {"{local}.{login}", Holder{Address: "alice@example.test"}, ""},
		"empty template":                       {"", alice, ""},
		"unknown placeholder":                  {"{name}", alice, ""},
		"unclosed placeholder":                 {"{login", alice, ""},
		"a control character in the login":     {"{login}", Holder{Login: "al\x01ice"}, ""},
		"a placeholder in a value stays as is": {"{login}", Holder{Login: "{address}"}, "{address}"},
	} {
		got, ok := tenant.LoginName(Service{Username: c.template}, c.holder)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: LoginName(%q, %+v) = %q, %v; want %q", what, c.template, c.holder, got, ok, c.want)
		}
	}
}

// Whatever an identity provider calls somebody, a name with a domain is in one
// of the tenant's.
func TestR1LoginNameStaysAtHome(t *testing.T) {
	t.Parallel()
	tenant := Tenant{Domains: []Domain{{Name: "example.test"}}}
	name := rapid.StringMatching(`[a-z@.{}]{0,20}(@example\.test|@foreign\.test)?`)
	rapid.Check(t, func(t *rapid.T) {
		template := rapid.SampledFrom([]string{"{address}", "{login}", "{local}", "{local}@{domain}", "{login}@example.test"}).Draw(t, "template")
		h := Holder{Address: name.Draw(t, "address"), Login: name.Draw(t, "login"), Subject: "s"}
		got, ok := tenant.LoginName(Service{Username: template}, h)
		if ok && strings.Contains(got, "@") && !strings.HasSuffix(got, "@example.test") {
			t.Errorf("LoginName(%q, %+v) = %q, outside the tenant", template, h, got)
		}
	})
}

func TestFillURL(t *testing.T) {
	t.Parallel()
	h := Holder{Subject: "s-1", Address: "alice@example.test", Login: "a/b c"}
	for template, want := range map[string]string{
		"https://dav.test/":                     "https://dav.test/",
		"https://dav.test/{address}/":           "https://dav.test/alice@example.test/",
		"https://dav.test/{domain}/{local}/cal": "https://dav.test/example.test/alice/cal",
		"https://dav.test/{login}/":             "https://dav.test/a%2Fb%20c/",
		"":                                      "",
	} {
		if got, ok := fillURL(template, h); !ok || got != want {
			t.Errorf("fillURL(%q) = %q, %v; want %q", template, got, ok, want)
		}
	}
	for _, login := range []string{"", ".", ".."} {
		if got, ok := fillURL("https://dav.test/{login}/", Holder{Login: login}); ok {
			t.Errorf("fillURL with the login %q = %q, want it refused", login, got)
		}
	}
}
