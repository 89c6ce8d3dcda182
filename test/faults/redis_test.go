package faults

import (
	"net/http"
	"testing"
	"time"

	"signpost/oidc"
)

// prompt is how soon a request is answered that does not need the part that is away.
const prompt = 2 * time.Second

// inFlight are sign-ins that people are in the middle of, one at each step.
type inFlight struct {
	chooser *browser // sees the link to the identity provider
	first   page
	guest   *browser // is at the identity provider
	asked   *browser // sees the consent page
	consent page
	code    string // was given to a program, which has not redeemed it
}

func (w *world) inFlight() inFlight {
	w.Helper()
	f := inFlight{chooser: w.browser(), guest: w.browser(), asked: w.browser(), code: w.browser().code()}
	f.first = f.chooser.begin()
	f.guest.choose(f.guest.begin())
	f.consent = f.asked.toConsent()
	return f
}

// goesOn checks everything that does not need Redis, at both replicas,
// and returns the session with its next refresh token.
func (w *world) goesOn(s session) session {
	w.Helper()
	for _, c := range w.both() {
		for _, path := range discovery() {
			a := c.get(path)
			a.want(w, c.String()+", "+path, http.StatusOK, "")
			a.soon(w, c.String()+", "+path, prompt)
		}
		next := c.refresh(s.refresh)
		next.want(w, c.String()+", refresh", http.StatusOK, "")
		next.soon(w, c.String()+", refresh", prompt)
		s = session{next.AccessToken, next.RefreshToken}
		exchanged, configuration := c.exchange(s.access), c.configuration(s.access)
		exchanged.want(w, c.String()+", exchange", http.StatusOK, "")
		exchanged.soon(w, c.String()+", exchange", prompt)
		configuration.want(w, c.String()+", configuration", http.StatusOK, "")
		configuration.soon(w, c.String()+", configuration", prompt)
	}
	return s
}

// needsRedis checks that what needs Redis says "try again", and nothing worse.
func (w *world) needsRedis(f inFlight) {
	w.Helper()
	for range w.proxy.replicas { // one after the other
		w.browser().begin().shows(w, "a new sign-in", http.StatusServiceUnavailable, pageTryAgain)
		f.chooser.choose(f.first).shows(w, "the link to the identity provider", http.StatusServiceUnavailable, pageTryAgain)
		f.asked.allow(f.consent).shows(w, "the answer to the consent page", http.StatusServiceUnavailable, pageTryAgain)
		w.any().redeem(f.code).unavailable(w, "redeem")
	}
	w.stayIn()
}

// startsAgain checks that sign-ins in flight that were lost say so.
func (w *world) startsAgain(f inFlight) {
	w.Helper()
	f.chooser.choose(f.first).shows(w, "the link to the identity provider", http.StatusBadRequest, pageStartAgain)
	f.guest.arrive().shows(w, "coming back from the identity provider", http.StatusBadRequest, pageStartAgain)
	f.asked.allow(f.consent).shows(w, "the answer to the consent page", http.StatusBadRequest, pageStartAgain)
	w.any().redeem(f.code).want(w, "redeem", http.StatusBadRequest, oidc.CodeInvalidGrant)
}

// TestRedisIsKilledAndComesBackEmpty: sign-ins in flight start again, everything else goes on,
// and nobody is signed out.
func TestRedisIsKilledAndComesBackEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.signedIn()
	flight := w.inFlight()

	w.must(w.redis.Kill())
	s = w.goesOn(s)
	w.needsRedis(flight)
	w.must(w.second.stop())
	w.second.start(t)
	w.second.await(t) // also a replica that starts meanwhile does what needs no Redis
	s = w.goesOn(s)

	w.must(w.redis.Start())
	w.signInWorks()
	w.startsAgain(flight)
	w.known(w.goesOn(s))
}

// TestR26AnEndIsKnownWithoutRedis: what ends is read from the database; Redis only
// makes it known sooner.
func TestR26AnEndIsKnownWithoutRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s, stays := w.signedIn(), w.signedIn()
	w.known(s)
	w.must(w.redis.Kill())
	w.reuse(w.at(w.first), s)
	w.seen("the end of a grant", func(c caller) bool { return c.refuses(s.access) })
	w.goesOn(stays)
}

// TestRedisHangs: it takes connections and does not answer, which is worse than not
// being there. What does not need it does not wait for it.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{})
	s := w.signedIn()
	flight := w.inFlight()

	w.must(w.redis.Pause())
	s = w.goesOn(s)
	w.needsRedis(flight)

	w.must(w.redis.Resume())
	w.signInWorks()
	s = w.goesOn(s)
	w.known(s)
	// Nothing was lost, so what was begun goes on.
	flight.chooser.choose(flight.first)
	flight.chooser.allow(flight.chooser.arrive())
	w.any().redeem(flight.chooser.codeIn()).want(t, "a sign-in that began before", http.StatusOK, "")
	w.any().redeem(flight.code).want(t, "a code from before", http.StatusOK, "")
}
