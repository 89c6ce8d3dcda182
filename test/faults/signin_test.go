package faults

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"signpost/oidc"
)

func TestASignInMayStartOnOneReplicaAndEndOnTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	before := []int{w.proxy.answers(w.first), w.proxy.answers(w.second)}
	s := w.signedIn()
	for i, r := range w.proxy.replicas {
		if n := w.proxy.answers(r) - before[i]; n != 3 { // of: authorize, sign-in, callback, consent, yes, token
			t.Errorf("replica %s answered %d of the six requests of the sign-in, want 3", r.name, n)
		}
	}
	w.known(s)
	for range 4 {
		next := w.any().refresh(s.refresh)
		next.want(t, "refresh", http.StatusOK, "")
		s = session{next.AccessToken, next.RefreshToken}
	}
	w.known(s)
}

// TestR19ReplicasRedeemACodeOnce: both get the same code at the same moment. One of
// them redeems it, the other one's request is a replay and ends the grant.
func TestR19ReplicasRedeemACodeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	for range 5 {
		code := w.browser().code()
		var answers [2]answer
		atOnce(
			func() { answers[0] = w.at(w.first).redeem(code) },
			func() { answers[1] = w.at(w.second).redeem(code) },
		)
		winner, loser := answers[0], answers[1]
		if winner.status != http.StatusOK {
			winner, loser = loser, winner
		}
		winner.want(t, "one of two that redeem a code", http.StatusOK, "")
		loser.want(t, "the other one", http.StatusBadRequest, oidc.CodeInvalidGrant)
		w.seen("the replay", func(c caller) bool { return c.refuses(winner.AccessToken) })
		for _, c := range w.both() {
			c.refresh(winner.RefreshToken).want(t, "refresh after the replay", http.StatusBadRequest, oidc.CodeInvalidGrant)
			c.redeem(code).want(t, "the code once more", http.StatusBadRequest, oidc.CodeInvalidGrant)
		}
	}
}

// TestR18ReplicasGiveOneSuccessor: a program that asks both for lack of an answer
// gets the same refresh token from both, and stays signed in.
func TestR18ReplicasGiveOneSuccessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.signedIn()
	for range 5 {
		var answers [2]answer
		atOnce(
			func() { answers[0] = w.at(w.first).refresh(s.refresh) },
			func() { answers[1] = w.at(w.second).refresh(s.refresh) },
		)
		for _, a := range answers {
			a.want(t, "refresh at both replicas at once", http.StatusOK, "")
		}
		if answers[0].RefreshToken != answers[1].RefreshToken {
			t.Fatal("the replicas gave two successors of one refresh token")
		}
		w.known(session{answers[0].AccessToken, answers[0].RefreshToken})
		w.known(session{answers[1].AccessToken, answers[1].RefreshToken})
		s = session{answers[1].AccessToken, answers[1].RefreshToken}
	}
}

// TestReplicasShareTheirKeys: whether they made the database at the same moment, or
// found one in which a tenant has no keys yet.
func TestReplicasShareTheirKeys(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*world){
		"declared beside them": func(w *world) {
			w.startBoth()
			w.apply(w.declaration())
		},
		"declared before they start": func(w *world) {
			w.apply(w.declaration())
			w.startBoth()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := emptyWorld(t, needs{})
			begin(w)
			w.serves("/jwks")
			sets := [2][]string{w.keyIDs(w.first), w.keyIDs(w.second)}
			if len(sets[0]) == 0 || !slices.Equal(sets[0], sets[1]) {
				t.Fatalf("the replicas publish the keys %q and %q, want the same", sets[0], sets[1])
			}
			w.known(w.signedIn())
			for _, c := range w.both() {
				code := w.browser().code()
				a := c.redeem(code)
				a.want(t, "redeem at "+c.String(), http.StatusOK, "")
				w.known(session{a.AccessToken, a.RefreshToken})
			}
		})
	}
}

// keyIDs are the keys that a replica publishes, sorted.
func (w *world) keyIDs(r *replica) []string {
	w.Helper()
	a := w.at(r).get("/jwks")
	var set struct {
		Keys []struct{ Kid string }
	}
	if err := json.Unmarshal([]byte(a.body), &set); err != nil {
		w.Fatalf("JWK set of replica %s: %d %v", r.name, a.status, err)
	}
	var ids []string
	for _, key := range set.Keys {
		ids = append(ids, key.Kid)
	}
	slices.Sort(ids)
	return ids
}

// TestADeclarationIsSeenByAllReplicas: what changes within a second, a new tenant as
// soon as it has keys, and all of it without a restart.
func TestADeclarationIsSeenByAllReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.signedIn()
	added := w.declaration() + `  - {name: second, issuer: path, title: Second Organisation, domains: [second.test]}
`
	w.apply(added)
	w.serves(webfinger("carol@second.test"))
	w.serves("/t/second/jwks")
	if first, second := w.any().get("/t/second/jwks"), w.any().get("/t/second/jwks"); first.body != second.body {
		t.Error("the replicas publish different keys of a new tenant")
	}
	w.apply(strings.ReplaceAll(added, "imap.example.test, port", "mail.example.test, port"))
	w.seen("a changed service", func(c caller) bool {
		return strings.Contains(c.configuration(s.access).body, "mail.example.test")
	})
	w.apply(strings.ReplaceAll(added, "second.test", "third.test"))
	w.seen("a domain that is gone", func(c caller) bool { return c.get(webfinger("carol@second.test")).status == http.StatusNotFound })
	w.seen("a domain that is new", func(c caller) bool { return c.get(webfinger("carol@third.test")).status == http.StatusOK })
}
