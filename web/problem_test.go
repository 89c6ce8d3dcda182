package web_test

import (
	"io"
	"strings"
	"testing"

	"signpost/web"
)

var problemKeys = []string{
	web.ProblemExpired, web.ProblemWrongBrowser, web.ProblemBadClient, web.ProblemBadRedirect, web.ProblemBadRequest,
	web.ProblemNotServed, web.ProblemAddressTaken, web.ProblemNoAddress, web.ProblemProviderUnavailable, web.ProblemProviderRefused,
	web.ProblemNoProvider, web.ProblemTooMany, web.ProblemNotFound, web.ProblemMethodNotAllowed, web.ProblemInternal,
	web.ProblemUnavailable,
}

func problemText(t *testing.T, p *web.Pages, lang string, v web.Problem) string {
	t.Helper()
	write := func(w io.Writer, lang string) error { return p.Problem(w, lang, v) }
	return text(elements(render(t, write, lang), "main")[0])
}

func TestEveryProblemHasItsOwnWords(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for _, lang := range testLanguages {
		seen := map[string]string{}
		for _, key := range problemKeys {
			got := problemText(t, p, lang, web.Problem{Title: key, RequestID: "7f3kq9m2xw"})
			if other, ok := seen[got]; ok {
				t.Errorf("%s: %q and %q say the same: %s", lang, key, other, got)
			}
			seen[got] = key
			if !strings.Contains(got, "7f3kq9m2xw") {
				t.Errorf("%s: %q lacks the request id: %s", lang, key, got)
			}
		}
	}
}

func TestUnknownProblemIsInternal(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	want := problemText(t, p, "en", web.Problem{Title: web.ProblemInternal})
	for _, v := range []web.Problem{
		{},
		{Title: "no such key"},
		{Title: "expired.title"},
	} {
		if got := problemText(t, p, "en", v); got != want {
			t.Errorf("%+v = %q, want %q", v, got, want)
		}
	}
}

func TestHomeLeadsToThePublicDocuments(t *testing.T) {
	t.Parallel()
	tree := render(t, testPages(newPages(t))["home"], "en")
	var got []string
	for _, a := range elements(elements(tree, "main")[0], "a") {
		href, _ := attribute(a, "href")
		got = append(got, href)
	}
	want := "/account https://id.example.test/scopes https://id.example.test/.well-known/openid-configuration"
	if strings.Join(got, " ") != want {
		t.Errorf("links = %q, want %q", got, want)
	}
	if body := text(tree); !strings.Contains(body, "alice@example.test") {
		t.Errorf("page lacks the example address: %s", body)
	}
}

func TestEmptyInstallationSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	body := text(render(t, testPages(newPages(t))["home, nothing declared"], "en"))
	for _, want := range []string{"https://id.example.test/callback/staff", "identity_providers:", "signpost apply -f tenants.yaml"} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %q: %s", want, body)
		}
	}
}
