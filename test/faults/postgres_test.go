package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// discovers asks both replicas for public documents until the test ends, and
// reports every answer that is not there at once.
func (w *world) discovers() {
	ctx, cancel := context.WithCancel(w.Context())
	var asking sync.WaitGroup
	for _, c := range w.both() {
		asking.Go(func() {
			tick := time.NewTicker(look)
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				path := discovery()[n%len(discovery())]
				a := c.get(path)
				a.want(w, c.String()+", "+path, http.StatusOK, "")
				a.soon(w, c.String()+", "+path, prompt)
				<-tick.C
			}
		})
	}
	w.Cleanup(func() { cancel(); asking.Wait() })
}

// worksWithoutPostgres checks what goes on for grants that the replicas know, asking
// for everything at once: an answer that hangs must not hide behind another.
func (w *world) worksWithoutPostgres(known, ended session) {
	w.Helper()
	var asks []func()
	for _, c := range w.both() {
		asks = append(asks,
			func() {
				a := c.exchange(known.access)
				a.want(w, c.String()+", exchange of a known grant", http.StatusOK, "")
				a.soon(w, c.String()+", exchange of a known grant", bearable)
			},
			func() {
				a := c.configuration(known.access)
				a.want(w, c.String()+", configuration of a known grant", http.StatusOK, "")
				a.soon(w, c.String()+", configuration of a known grant", bearable)
			},
			func() {
				if !c.refuses(ended.access) {
					w.Errorf("%v does not refuse the token of an ended grant", c)
				}
			},
		)
	}
	atOnce(asks...)
	w.stayIn()
}

// needsPostgres checks that changes are refused with "try again", soon.
func (w *world) needsPostgres(s session, code string) {
	w.Helper()
	var asks []func()
	for _, c := range w.both() {
		asks = append(asks,
			func() {
				a := c.refresh(s.refresh)
				a.unavailable(w, c.String()+", refresh")
				a.soon(w, c.String()+", refresh", bearable)
			},
			func() {
				a := c.redeem(code)
				a.unavailable(w, c.String()+", redeem")
				a.soon(w, c.String()+", redeem", bearable)
			},
		)
	}
	atOnce(asks...)
}

// recovered checks, once the database is back, that nothing was lost: the refresh
// token and the code that were refused meanwhile work.
func (w *world) recovered(s session, code string) {
	w.Helper()
	first, second := w.at(w.first), w.at(w.second)
	next := again(w, "the refresh token that was refused", func() answer { return first.refresh(s.refresh) })
	again(w, "its successor", func() answer { return second.refresh(next.RefreshToken) })
	redeemed := again(w, "the code that was refused", func() answer { return second.redeem(code) })
	for _, c := range w.both() {
		for _, token := range []string{next.AccessToken, redeemed.AccessToken} {
			again(w, c.String()+", exchange", func() answer { return c.exchange(token) })
		}
	}
	w.known(w.signInWorks())
}

// outage is what the tests of outages of the database begin with.
type outage struct {
	known, ended session
	code         string
}

func (w *world) beforeOutage() outage {
	w.Helper()
	o := outage{known: w.signedIn(), ended: w.signedIn(), code: w.browser().code()}
	w.known(o.known)
	w.known(o.ended)
	w.reuse(w.at(w.first), o.ended)
	w.seen("the end of a grant", func(c caller) bool { return c.refuses(o.ended.access) })
	w.discovers()
	return o
}

// TestPostgresIsKilledAndComesBack: discovery goes on, so do known grants; changes
// are refused and lose nothing.
func TestPostgresIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{ownPostgres: true})
	o := w.beforeOutage()

	w.must(w.postgres.Kill())
	w.worksWithoutPostgres(o.known, o.ended)
	w.needsPostgres(o.known, o.code)
	w.worksWithoutPostgres(o.known, o.ended)

	w.must(w.postgres.Start())
	w.recovered(o.known, o.code)
	if !w.at(w.first).refuses(o.ended.access) || !w.at(w.second).refuses(o.ended.access) {
		t.Error("the token of an ended grant is not refused after the restart")
	}
}

// TestPostgresHangs: connections stay open and nobody answers on them.
func TestPostgresHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{ownPostgres: true})
	o := w.beforeOutage()

	w.must(w.postgres.Pause())
	w.worksWithoutPostgres(o.known, o.ended)
	w.needsPostgres(o.known, o.code)
	w.worksWithoutPostgres(o.known, o.ended)

	w.must(w.postgres.Resume())
	w.recovered(o.known, o.code)
}

// TestASignInMeetsAMissingDatabase: who is in the middle of a sign-in sees a page
// that says what to do or goes on to the program, which is told to try again.
func TestASignInMeetsAMissingDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{ownPostgres: true})
	flight := w.inFlight()
	w.must(w.postgres.Kill())
	back := flight.guest.visit()
	flight.guest.do(http.MethodGet, back, nil).
		shows(t, "coming back from the identity provider", http.StatusServiceUnavailable, pageTryAgain)
	flight.asked.allow(flight.consent)
	allowed := flight.asked.codeIn()
	w.any().redeem(allowed).unavailable(t, "redeem")
	w.must(w.postgres.Start())
	again(t, "the code after the restart", func() answer { return w.any().redeem(allowed) })
	flight.guest.do(http.MethodGet, back, nil).
		shows(t, "coming back once more", http.StatusBadRequest, pageStartAgain)
	w.known(w.signInWorks())
}

// TestPostgresAndRedisAreAway: together they take away no more than each alone.
func TestPostgresAndRedisAreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, needs{ownPostgres: true})
	o := w.beforeOutage()
	w.must(w.redis.Kill())
	w.must(w.postgres.Kill())
	w.worksWithoutPostgres(o.known, o.ended)
	w.needsPostgres(o.known, o.code)
	w.browser().begin().shows(t, "a new sign-in", http.StatusServiceUnavailable, pageTryAgain)
	w.must(w.postgres.Start())
	again(t, "refresh", func() answer { return w.any().refresh(o.known.refresh) })
	w.must(w.redis.Start())
	w.known(w.signInWorks())
	if !w.at(w.first).refuses(o.ended.access) || !w.at(w.second).refuses(o.ended.access) {
		t.Error("the token of an ended grant is not refused after the restart")
	}
}

// TestR26NoTokenWhenEndsCannotBeKnown: after revocation_max_stale without the
// database a replica cannot know whether a grant has ended, and says so.
func TestR26NoTokenWhenEndsCannotBeKnown(t *testing.T) {
	t.Parallel()
	const stale = 3 * time.Second
	w := newWorld(t, needs{ownPostgres: true, settings: map[string]string{"SIGNPOST_REVOCATION_MAX_STALE": fmt.Sprint(stale)}})
	s := w.signedIn()
	w.known(s)
	killed := time.Now()
	w.must(w.postgres.Kill())
	atOnce(
		func() { w.staleAt(w.at(w.first), s, killed, stale) },
		func() { w.staleAt(w.at(w.second), s, killed, stale) },
	)
	w.must(w.postgres.Start())
	for _, c := range w.both() {
		eventually(t, c.String()+" admits the token again", back, func() bool { return c.admits(s.access) })
	}
}

// staleAt follows what a replica says to a known token from the moment when the
// database was killed: yes, then "try again", never yes again, and never no.
func (w *world) staleAt(c caller, s session, killed time.Time, stale time.Duration) {
	w.Helper()
	// The last look may have been a moment before the database was killed.
	throughout(w, c.String()+" admits the token", stale-within-time.Since(killed), func() bool { return c.admits(s.access) })
	eventually(w, c.String()+" says that it cannot know", stale+within-time.Since(killed), func() bool {
		return c.exchange(s.access).status == http.StatusServiceUnavailable
	})
	throughout(w, c.String()+" gives no token", time.Second, func() bool {
		exchanged, configuration := c.exchange(s.access), c.configuration(s.access)
		exchanged.unavailable(w, c.String()+", exchange")
		configuration.unavailable(w, c.String()+", configuration")
		return exchanged.AccessToken == "" && configuration.status != http.StatusOK
	})
}
