package faults

import (
	"net/http"
	"testing"
	"time"

	"signpost/oidc"
)

// reuse ends a session's grant by what a thief does: a refresh token comes back
// after its successor was used.
func (w *world) reuse(c caller, s session) {
	w.Helper()
	next := c.refresh(s.refresh)
	next.want(w, "refresh", http.StatusOK, "")
	c.refresh(next.RefreshToken).want(w, "refresh with the successor", http.StatusOK, "")
	c.refresh(s.refresh).want(w, "the first refresh token again", http.StatusBadRequest, oidc.CodeInvalidGrant)
}

// TestR26AnEndIsKnownEverywhereWithinASecond: a replica that has admitted a token a
// moment ago refuses it within a second of its end at the other one, and for good.
func TestR26AnEndIsKnownEverywhereWithinASecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	for i, here := range w.proxy.replicas {
		there := w.proxy.replicas[1-i]
		for range 2 {
			ended, other := w.signedIn(), w.signedIn()
			w.known(ended)
			w.known(other)
			w.reuse(w.at(here), ended)
			if !w.at(here).refuses(ended.access) {
				t.Errorf("replica %s ended the grant and does not refuse its token", here.name)
			}
			took := eventually(t, "replica "+there.name+" refuses the token", within, func() bool { return w.at(there).refuses(ended.access) })
			t.Logf("replica %s knew of the end after %v", there.name, took)
			throughout(t, "the token is refused", 300*time.Millisecond, func() bool { return w.any().refuses(ended.access) })
			w.known(other)
		}
	}
}

// TestR26AnEndIsKnownAfterARestart: a replica that was away when a grant ended does
// not admit its token when it comes back, not even once.
func TestR26AnEndIsKnownAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.signedIn()
	w.known(s)
	w.must(w.second.stop())
	w.reuse(w.at(w.first), s)
	w.second.start(t)
	w.second.await(t)
	if !w.at(w.second).refuses(s.access) {
		t.Error("the replica that was away does not refuse the token")
	}
}
