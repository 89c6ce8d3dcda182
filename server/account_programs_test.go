package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/directory"
	"signpost/internal/servertest"
	"signpost/oidc/issuer"
	"signpost/server"
)

// TestR13AccountNamesPrograms: a client that is switched off is not known any more, and can be ended all the same.
func TestR13AccountNamesPrograms(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	id := registered(t, s.URL+"/register", `{"redirect_uris":["http://127.0.0.1/cb"],"client_name":"Bank of Example"}`)
	form := codeForm(newCode(t, s.URL, set("client_id", id)))
	form.Set("client_id", id)
	if in := token(t, s.URL, form); in.Status != http.StatusOK {
		t.Fatalf("redeem: %d %s", in.Status, in.Error)
	}
	shop := signedInShop(t, s)
	b := newBrowser(t)
	got := headings(t, b.toAccount(s.URL))
	slices.Sort(got)
	if want := []string{"A program that calls itself “Bank of Example”", "A program that says it is Shop"}; !slices.Equal(got, want) {
		t.Errorf("programs %q, want %q", got, want)
	}
	declare(t, s, s.Declaration(), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, known := r.FixedClient("shop")
		return !known
	})
	p := b.get(s.URL + "/account")
	got = headings(t, p)
	slices.Sort(got)
	if want := []string{"A program that calls itself “Bank of Example”", "A program that is not known any more"}; !slices.Equal(got, want) {
		t.Errorf("programs %q, want %q", got, want)
	}
	if p = b.ends(s.URL, p, "grant", grantOf(t, shop)); !strings.Contains(p.body, "Access has ended: A program that is not known any more.") || len(grantsOn(t, p)) != 1 {
		t.Errorf("after the end of one that is gone:\n%s", p.body)
	}
}

// TestR15AccountNamesWhoHasProvedIt: by credentials, and an answer that only its own address receives.
func TestR15AccountNamesWhoHasProvedIt(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	const secret = "a secret of the cloud that a machine made"
	fixed := `        - {id: cloud, name: Example Cloud, redirect_uris: ["` + secondRedirect + `"], secret: "` + secret + `"}
        - {id: desk, name: Desk, redirect_uris: ["` + secondRedirect + `", "` + redirectURI + `"], secret: "` + secret + `"}
        - {id: page, name: Page, redirect_uris: ["` + secondRedirect + `"]}
`
	declare(t, s, withClients(s.Declaration(), fixed), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, known := r.FixedClient("page")
		return known
	})
	b := newBrowser(t)
	for _, id := range []string{"cloud", "desk", "page"} {
		code := b.signIn(authorizeURL(s.URL, together(set("client_id", id), set("redirect_uri", secondRedirect)))).Get("code")
		form := codeForm(code)
		form.Set("client_id", id)
		form.Set("redirect_uri", secondRedirect)
		credentials := http.Header{}
		if id != "page" {
			form.Del("client_id")
			credentials.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+url.QueryEscape(secret))))
		}
		if in := tokenRaw(t, s.URL, form.Encode(), "application/x-www-form-urlencoded", credentials); in.Status != http.StatusOK {
			t.Fatalf("redeem for %s: %d %s %s", id, in.Status, in.Error, in.Description)
		}
	}
	got := headings(t, b.toAccount(s.URL))
	slices.Sort(got)
	want := []string{"A program that says it is Desk", "A program that says it is Page", "Example Cloud"}
	if !slices.Equal(got, want) {
		t.Errorf("programs %q, want %q", got, want)
	}
}

// TestR15AccountNamesURLClients by their host, which only who has the key has proved.
func TestR15AccountNamesURLClients(t *testing.T) {
	t.Parallel()
	s, key := described(t)
	b := newBrowser(t)
	for _, p := range []*program{
		{t: t, s: s, id: siteID, redirect: siteReply}, {t: t, s: s, id: nativeID, redirect: redirectURI}, (&program{t: t, s: s, id: keyedID, redirect: redirectURI}).signs(key),
	} {
		p.gets("code", p.code(b.signIn(p.asks())))
	}
	got := headings(t, b.toAccount(s.URL))
	slices.Sort(got)
	want := []string{"A program that says it comes from " + documentHost, "A program that says it comes from " + documentHost, documentHost}
	if !slices.Equal(got, want) {
		t.Errorf("programs %q, want %q", got, want)
	}
}

// TestAccountNamesWhatCannotBeRead: a program whose document cannot be read just now is named by
// its id, and can be ended.
func TestAccountNamesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	var store issuer.Store
	a := newAlone(t, https, declared, func(d *server.Deps) { store = d.Issuer.Store })
	a.toAccount()
	alice, err := store.AccountOf(t.Context(), "example", "https://login.example.test", "a1")
	must(t, err)
	must(t, store.CreateGrant(t.Context(), "example", grantFor(alice, "https://client.invalid/app.json"), nil))
	p := a.ask(http.MethodGet, https+"/account")
	if got := headings(t, p); !slices.Equal(got, []string{"A program that says it comes from client.invalid"}) {
		t.Errorf("programs %q, want the host of its id", got)
	}
	a.ask(http.MethodPost, https+"/account", formBody(url.Values{"token": {tokenOf(t, p)}, "grant": {"AAAAAAAAAAA"}}))
	if g, err := store.Grant(t.Context(), "example", "AAAAAAAAAAA"); err != nil || g.EndedReason != "person" {
		t.Errorf("grant %+v, %v, want it ended by the person", g, err)
	}
}

// grantFor is a grant of an account; its id is the same each time.
func grantFor(a issuer.Account, client string) issuer.Grant {
	now := time.Now()
	return issuer.Grant{
		ID: "AAAAAAAAAAA", AccountID: a.ID, ClientID: client, Scopes: "openid", OriginHash: make([]byte, 32), CreatedAt: now, LastUsedAt: now,
	}
}
