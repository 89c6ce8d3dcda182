package server_test

import (
	"net/http"
	"slices"
	"testing"

	"signpost/internal/servertest"
)

// grantOf is the grant that an answer's access token names.
func grantOf(t testing.TB, in answer) string {
	t.Helper()
	_, payload := claims(t, in.AccessToken)
	return payload["grant"].(string)
}

// TestR26EndedByAnAdministrator beside the running server: by id, by person and client, by
// person. What is not meant lives on.
func TestR26EndedByAnAdministrator(t *testing.T) {
	t.Parallel()
	s := startPrograms(t)
	const alice = "alice@example.test"
	refused := func(in answer) func() bool {
		return func() bool {
			return configuration(t, s.URL, in.AccessToken, "").status == http.StatusUnauthorized
		}
	}
	first, second, shop := signedIn(t, s.URL, nil), signedIn(t, s.URL, nil), signedInShop(t, s)
	s.IDP.SignInAs("b2")
	bob := signedIn(t, s.URL, nil)
	for _, in := range []answer{first, second, shop, bob} {
		alive(t, s.URL, in, "sign-in")
	}
	list, err := s.Grants(t, servertest.Tenant, "ALICE@example.test")
	must(t, err)
	if len(list) != 3 || list[0].Client != "shop" || list[2].ID != grantOf(t, first) || !slices.Contains(list[2].Scopes, mailScope) ||
		list[2].CreatedAt.IsZero() || list[2].LastUsedAt.IsZero() {
		t.Fatalf("grants %+v, want three of alice, the newest first", list)
	}

	must(t, s.EndGrant(t, servertest.Tenant, grantOf(t, first)))
	eventually(t, "the one that was named is refused", refused(first))
	alive(t, s.URL, second, "the end of another")
	for _, c := range []struct {
		client string
		ended  int
		gone   answer
	}{{"nobody", 0, first}, {"shop", 1, shop}, {"", 1, second}, {"", 0, second}} {
		ended, err := s.EndGrants(t, servertest.Tenant, alice, c.client)
		if err != nil || ended != c.ended {
			t.Errorf("with client %q: ended %d, %v, want %d", c.client, ended, err, c.ended)
		}
		eventually(t, "it is refused", refused(c.gone))
		if c.client != "" {
			alive(t, s.URL, second, "the end of what is another client's")
		}
	}
	if list, err := s.Grants(t, servertest.Tenant, alice); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v, want nothing", list, err)
	}
	recordedEnds(t, s, 3)

	if err := s.EndGrant(t, servertest.Tenant, grantOf(t, first)); err == nil {
		t.Error("one that has ended was ended again")
	}
	if err := s.EndGrant(t, servertest.Other, grantOf(t, bob)); err == nil {
		t.Error("a grant was ended at another tenant")
	}
	if _, err := s.Grants(t, servertest.Other, alice); err == nil {
		t.Error("an account was found at another tenant")
	}
	alive(t, s.URL, bob, "what was meant for others")
}

// recordedEnds counts the events of an administrator: one for each command that ended something.
func recordedEnds(t testing.TB, s *servertest.Server, want int) {
	t.Helper()
	var got int
	err := s.Database(t).QueryRowContext(t.Context(), `
		SELECT count(*) FROM audit_events WHERE kind = 'grant-ended' AND rule = 'administrator' AND account_id <> ''`).Scan(&got)
	must(t, err)
	if got != want {
		t.Errorf("%d events, want %d", got, want)
	}
}
