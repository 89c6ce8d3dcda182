package server_test

import (
	"net/http"
	"strings"
	"testing"

	"signpost/configdoc"
	"signpost/directory"
	"signpost/internal/idptest"
	"signpost/internal/servertest"
)

// TestConfigurationFollowsEveryChange: a document that was written before is sent again only as long as it is the
// right one.
func TestConfigurationFollowsEveryChange(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	broad := signedIn(t, s.URL, nil).AccessToken
	etags := map[string]string{}
	document := func(step, accessToken string) configdoc.Document {
		t.Helper()
		first, again := configuration(t, s.URL, accessToken, ""), configuration(t, s.URL, accessToken, "")
		etag := first.header.Get("ETag")
		if first.status != http.StatusOK || again.body != first.body || again.header.Get("ETag") != etag {
			t.Fatalf("%s: %d %s, then %d %s; want the same twice", step, first.status, first.body, again.status, again.body)
		}
		for before, other := range etags {
			if other == etag {
				t.Errorf("%s: the same entity tag as %s", step, before)
			}
		}
		etags[step] = etag
		d, err := configdoc.Parse([]byte(first.body))
		must(t, err)
		return d
	}
	document("at first", broad)
	if d := document("another scope", signedIn(t, s.URL, set("scope", "openid "+mailScope)).AccessToken); len(d.Files) != 0 || len(d.Incoming) != 1 {
		t.Errorf("another scope: %+v", d)
	}
	s.IDP.SignInAs("b2")
	if d := document("another person", signedIn(t, s.URL, nil).AccessToken); d.Account.Addresses[0] != "bob@example.test" || d.Incoming[0].Username != "bob@example.test" {
		t.Errorf("another person: %+v", d.Account)
	}
	declare(t, s, strings.Replace(s.Declaration(), "title: Example Organisation", "title: Renamed", 1), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.Title == "Renamed"
	})
	if d := document("another title", broad); d.Provider.Name != "Renamed" {
		t.Errorf("another title: %+v", d.Provider)
	}
	declare(t, s, strings.Replace(s.Declaration(), "algorithm: RS256", `algorithm: RS256, condition: 'claims.address == "bob@example.test"'`, 1), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.Title != "Renamed"
	})
	if d := document("a condition", broad); len(d.Files) != 0 || len(d.Calendars) != 1 {
		t.Errorf("a condition that does not hold: %+v", d)
	}
	s.IDP.AddPerson(idptest.Person{Subject: "a1", Name: "Alice Renamed", Email: "alice@example.test", EmailVerified: true, Login: "alice"})
	s.IDP.SignInAs("a1")
	if d := document("another name", signedIn(t, s.URL, nil).AccessToken); d.Account.DisplayName != "Alice Renamed" {
		t.Errorf("another name: %+v", d.Account)
	}
}

// TestConditionsInConfigurationAndBundle: a service whose condition does not hold is not in the document, nor
// has it a token, and its id is as unknown as any other.
func TestConditionsInConfigurationAndBundle(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	declare(t, s, strings.NewReplacer(
		`lifetime: 5m`, `lifetime: 5m, condition: 'claims.address == "bob@example.test"'`,
		`algorithm: RS256`, `algorithm: RS256, condition: 'client.kind == "open"'`,
	).Replace(s.Declaration()), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		return r.Services[1].Condition != ""
	})
	for who, want := range map[string]int{"a1": 3, "b2": 4} {
		s.IDP.SignInAs(who)
		broad := signedIn(t, s.URL, nil).AccessToken
		for what, services := range map[string]map[string]configdoc.Service{
			"configuration": configuration(t, s.URL, broad, "").services(t), "bundle": bundled(t, s.URL, broad, nil).services(t),
		} {
			_, sends := services["submission"]
			if _, files := services["files"]; len(services) != want || sends != (who == "b2") || !files {
				t.Errorf("%s of %s: %d services, submission %v; want %d", what, who, len(services), sends, want)
			}
		}
		named := bundled(t, s.URL, broad, map[string][]string{"service": {"submission"}})
		exchanged := token(t, s.URL, exchangeForm(broad, "submission.example.test"))
		if (named.status == http.StatusOK) != (who == "b2") || (exchanged.Status == http.StatusOK) != (who == "b2") {
			t.Errorf("%s: bundle of submission %d, exchange %d %s", who, named.status, exchanged.Status, exchanged.Error)
		}
	}
}
