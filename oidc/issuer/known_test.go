package issuer_test

import (
	"errors"
	"testing"
	"time"

	"signpost/oidc/issuer"
)

// "Commit to SQL, publish, answer": what this process has ended it refuses at once,
// without a look at the feed and also without SQL.
func TestR26EndedHereIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1", "g2"))
	r.look()
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	r.expect("at first", "g2", alive, issuer.KnownMiss, 1)
	r.ledger.end("g1", r.now)
	r.End("example", "g1")
	r.expect("ended here", "g1", ended, issuer.KnownHit, 0)
	r.expect("not ended", "g2", alive, issuer.KnownHit, 0)
	r.End("other", "g2")
	r.expect("another tenant's ended", "g2", alive, issuer.KnownHit, 0)
	r.End("example", "g3") // not known, and none
	r.expect("none", "g3", unknown, issuer.KnownMiss, 1)

	var none *issuer.Known
	none.End("example", "g1") // an issuer without one
}

// "Replicas read each second": never active after its end by R26's clock.
func TestR26EndedElsewhereIsRefusedWithinASecond(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Millisecond, 250 * time.Millisecond, 499 * time.Millisecond} {
		r := newReplica(t, newLedger("g1", "g2"))
		r.look()
		r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
		r.expect("at first", "g2", alive, issuer.KnownMiss, 1)
		r.passes(10 * time.Second)
		r.now = r.now.Add(after)
		r.ledger.end("g1", r.now)
		r.now = r.now.Add(500*time.Millisecond - after)
		r.look()
		if got := r.says("g1"); got != ended {
			t.Errorf("ended %v after a look: %s at the next one, want ended", after, got)
		}
		r.expect("another grant", "g2", alive, issuer.KnownHit, 0)
		// Nothing makes it live again: not time, not SQL going away.
		r.passes(time.Minute)
		r.ledger.set(func(l *ledger) { l.away = true })
		r.passes(time.Hour)
		r.expect("an hour later", "g1", ended, issuer.KnownHit, 0)
	}
}

// "... and load the set before they are ready": what was read before the first look is
// not covered by the feed, and is read again.
func TestR26FirstLookCoversNothingBeforeIt(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1"))
	r.expect("before the first look", "g1", alive, issuer.KnownMiss, 1)
	r.ledger.end("g1", r.now)
	r.look()
	if len(r.ledger.since) != 0 {
		t.Errorf("the first look asked what ended since %d, want nothing asked", r.ledger.since)
	}
	r.expect("after the first look", "g1", ended, issuer.KnownMiss, 1)
	if got := r.Confirmed(); !got.Equal(r.now) {
		t.Errorf("Confirmed = %v, want the moment of the look %v", got, r.now)
	}

	// A smaller revision is of another database.
	r.ledger.set(func(l *ledger) { l.revision, l.ends, l.grants["g1"] = 0, nil, issuer.Grant{ID: "g1", AccountID: "a1"} })
	r.look()
	r.expect("after a backup was put back", "g1", alive, issuer.KnownMiss, 1)
}

// A look tells what it began with: it confirms nothing later, and what it could not
// learn the next one asks again.
func TestR26LookThatLearnsNothingConfirmsNothing(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1"))
	r.look()
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	first := r.now
	r.now = r.now.Add(time.Second)
	r.ledger.end("g1", r.now)
	r.ledger.set(func(l *ledger) { l.feedAway = true })
	for range 3 {
		if err := r.Looked(t.Context(), r.now, r.ledger.revision); !errors.Is(err, errAway) {
			t.Errorf("Looked while the feed is away = %v, want what the feed said", err)
		}
	}
	if got := r.Confirmed(); !got.Equal(first) {
		t.Errorf("Confirmed = %v, want %v", got, first)
	}
	r.ledger.set(func(l *ledger) { l.feedAway = false })
	began := r.now
	r.now = r.now.Add(300 * time.Millisecond)
	if err := r.Looked(t.Context(), began, r.ledger.revision); err != nil {
		t.Fatalf("Looked: %v", err)
	}
	r.expect("when the feed is back", "g1", ended, issuer.KnownHit, 0)
	for _, since := range r.ledger.since {
		if since != 0 {
			t.Errorf("the feed was asked since %d, want since the last look that succeeded, 0", since)
		}
	}
	if got := r.Confirmed(); !got.Equal(began) {
		t.Errorf("Confirmed = %v, want when the look began, %v", got, began)
	}
}

// "Feed unconfirmed for 5 s: one SQL look-up per token per 5 s."
func TestR26LookUpWhileTheFeedIsAway(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1", "g2"))
	r.look()
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	r.passes(20 * time.Second)
	r.expect("while the feed works", "g1", alive, issuer.KnownHit, 0)

	r.now = r.now.Add(5 * time.Second) // without a look
	r.expect("5 s after the last look", "g1", alive, issuer.KnownHit, 0)
	r.now = r.now.Add(time.Millisecond)
	r.expect("later", "g1", alive, issuer.KnownMiss, 1)
	for range 5 {
		r.expect("looked up", "g1", alive, issuer.KnownHit, 0)
		r.now = r.now.Add(time.Second)
	}
	r.ledger.end("g1", r.now)
	r.expect("5 s after the look-up", "g1", alive, issuer.KnownHit, 0)
	r.expect("another grant", "g2", alive, issuer.KnownMiss, 1)
	r.now = r.now.Add(time.Millisecond)
	r.expect("more than 5 s after the look-up", "g1", ended, issuer.KnownMiss, 1)
	r.expect("then", "g1", ended, issuer.KnownHit, 0)
}

// An account may change by a sign-in elsewhere, which the feed does not tell.
func TestR26AccountIsReadEachMinute(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1"))
	login := func() string {
		t.Helper()
		account, _, err := r.Holder(t.Context(), "example", "g1")
		if err != nil {
			t.Fatalf("Holder: %v", err)
		}
		return account.Login
	}
	r.look()
	if got := login(); got != "alice" {
		t.Fatalf("login %q, want alice", got)
	}
	r.ledger.set(func(l *ledger) { l.login = "alicia" })
	r.passes(60 * time.Second)
	if got := login(); got != "alice" || r.ledger.reads != 1 {
		t.Errorf("within a minute: login %q after %d reads, want alice after 1", got, r.ledger.reads)
	}
	r.passes(time.Second)
	if got := login(); got != "alicia" {
		t.Errorf("after a minute: login %q, want alicia", got)
	}
}

// "SQL away too: at most 5 minutes, then 503, never active."
func TestR26SQLAwayThenBusy(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1", "g2", "g3", "g4"))
	r.look()
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	r.expect("at first", "g2", alive, issuer.KnownMiss, 1)
	r.passes(30 * time.Second)
	r.ledger.end("g2", r.now)
	r.look()
	gone := r.now
	r.ledger.set(func(l *ledger) { l.away = true })

	r.expect("at first nothing is amiss", "g1", alive, issuer.KnownHit, 0)
	r.expect("a grant that is not known", "g3", busy, issuer.KnownRefused, 1)
	r.expect("at once again", "g3", busy, issuer.KnownRefused, 0)
	r.now = gone.Add(5001 * time.Millisecond)
	r.expect("the feed is unconfirmed", "g1", alive, issuer.KnownStale, 1)
	r.now = r.now.Add(5 * time.Second)
	r.expect("5 s after a try", "g1", alive, issuer.KnownStale, 0)
	r.now = r.now.Add(time.Millisecond)
	r.expect("later", "g1", alive, issuer.KnownStale, 1)
	r.expect("a grant that is not known", "g3", busy, issuer.KnownRefused, 1)

	r.now = gone.Add(maxStale)
	r.expect("after 5 minutes", "g1", alive, issuer.KnownStale, 1)
	r.expect("one that has ended", "g2", ended, issuer.KnownHit, 0)
	r.now = gone.Add(maxStale + time.Millisecond)
	r.expect("and no longer", "g1", busy, issuer.KnownRefused, 0)
	r.now = gone.Add(24 * time.Hour)
	r.expect("a day later", "g1", busy, issuer.KnownRefused, 1)
	r.expect("one that has ended", "g2", ended, issuer.KnownHit, 0)

	// Nothing was forgotten: when SQL is back, it is as it was.
	r.ledger.set(func(l *ledger) { l.away = false })
	r.now = r.now.Add(5001 * time.Millisecond)
	r.look()
	r.expect("SQL is back", "g1", alive, issuer.KnownMiss, 1)
	r.expect("SQL is back", "g2", ended, issuer.KnownHit, 0)
	r.expect("SQL is back", "g3", alive, issuer.KnownMiss, 1)
}

// The last confirmation may be a look-up of the grant's own.
func TestR26StaleCountsFromTheLastConfirmation(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1"))
	r.look()
	r.now = r.now.Add(10 * time.Minute) // the feed is away
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	r.ledger.set(func(l *ledger) { l.away = true })
	r.now = r.now.Add(maxStale)
	r.expect("5 minutes after the look-up", "g1", alive, issuer.KnownStale, 1)
	r.now = r.now.Add(time.Millisecond)
	r.expect("later", "g1", busy, issuer.KnownRefused, 0)
}

// Who has set less than the 5 s for which a confirmation is good means it.
func TestR26StaleForLessThanAConfirmation(t *testing.T) {
	t.Parallel()
	r := newReplicaFor(t, newLedger("g1"), 2*time.Second)
	r.look()
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	r.ledger.set(func(l *ledger) { l.away = true })
	r.now = r.now.Add(2 * time.Second)
	r.expect("2 s after SQL went away", "g1", alive, issuer.KnownHit, 0)
	r.now = r.now.Add(time.Millisecond)
	r.expect("later", "g1", busy, issuer.KnownRefused, 1)
}

// The feed says that a grant lives, not what its account is called: look-ups that keep
// failing beside a feed that works end in busy too.
func TestR26AccountIsNotStaleForEver(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1"))
	r.look()
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	read := r.now
	r.ledger.set(func(l *ledger) { l.away = true })
	confirmed := func(after time.Duration) {
		t.Helper()
		r.now = read.Add(after)
		if err := r.Looked(t.Context(), r.now, r.ledger.revision); err != nil {
			t.Fatalf("Looked: %v", err)
		}
	}
	confirmed(time.Minute + maxStale)
	r.expect("6 minutes after it was read", "g1", alive, issuer.KnownStale, 1)
	confirmed(time.Minute + maxStale + time.Millisecond)
	r.expect("later", "g1", busy, issuer.KnownRefused, 0)
}

// A grant that ends while it is read: what was read is older than what the feed said.
func TestR26ReadThatOvertakesTheFeed(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(r *replica){
		"the feed tells":          func(r *replica) { r.ledger.end("g1", r.now); r.look() },
		"this process ends it":    func(r *replica) { r.ledger.end("g1", r.now); r.End("example", "g1") },
		"it ends at a first look": func(r *replica) { r.ledger.end("g1", r.now); r.look(); r.look() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t, newLedger("g1"))
			if name != "it ends at a first look" {
				r.look()
			}
			r.ledger.meanwhile = func() { meanwhile(r) }
			r.expect("it ended while it was read", "g1", ended, issuer.KnownMiss, 2)
			r.expect("afterwards", "g1", ended, issuer.KnownHit, 0)
		})
	}

	t.Run("it ends and SQL goes away", func(t *testing.T) {
		t.Parallel()
		r := newReplica(t, newLedger("g1"))
		r.look()
		r.ledger.meanwhile = func() {
			r.ledger.end("g1", r.now)
			r.look()
			r.ledger.set(func(l *ledger) { l.away = true })
		}
		r.expect("what was read before does not count", "g1", busy, issuer.KnownRefused, 2)
	})

	t.Run("a known one ends while it is read again", func(t *testing.T) {
		t.Parallel()
		r := newReplica(t, newLedger("g1"))
		r.look()
		r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
		r.passes(61 * time.Second)
		r.ledger.meanwhile = func() {
			r.ledger.end("g1", r.now)
			r.look()
			r.ledger.set(func(l *ledger) { l.away = true })
		}
		r.expect("what is known does count", "g1", ended, issuer.KnownStale, 2)
	})
}

// What is not there is asked for each time: it may be there a moment later.
func TestR26NotFoundIsNotKept(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1"))
	r.look()
	r.expect("none yet", "g2", unknown, issuer.KnownMiss, 1)
	r.expect("none yet", "g2", unknown, issuer.KnownMiss, 1)
	r.ledger.grants["g2"] = issuer.Grant{ID: "g2", AccountID: "a1"}
	r.expect("now", "g2", alive, issuer.KnownMiss, 1)
	if _, _, err := r.Holder(t.Context(), "other", "g2"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("another tenant's grant: %v, want ErrNotFound", err)
	}

	// What is gone is forgotten, and SQL going away does not bring it back.
	delete(r.ledger.grants, "g2")
	r.passes(61 * time.Second)
	r.expect("gone", "g2", unknown, issuer.KnownMiss, 1)
	r.ledger.away = true
	r.expect("gone, and SQL away", "g2", busy, issuer.KnownRefused, 1)
}

// A database that comes back may be another server, which lost what was confirmed last
// and has counted up again: its revision says nothing about what was known before.
func TestR26AFeedThatWasLostBeginsAnew(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newLedger("g1"))
	r.look()
	r.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	r.expect("known", "g1", alive, issuer.KnownHit, 0)
	r.Lost()
	r.expect("before the next look", "g1", alive, issuer.KnownHit, 0)
	r.look() // the same revision as before
	r.expect("after it", "g1", alive, issuer.KnownMiss, 1)
}
