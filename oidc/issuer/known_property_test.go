package issuer_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"signpost/oidc/issuer"
)

// TestR26NeverActiveAfterItsEnd plays whatever may happen in any order, to three grants
// of a replica whose database comes and goes, and looks at each answer:
//
//   - after a look, no grant that had ended before it is alive;
//   - with a database that answers, a grant that has ended is alive for 5 s at most,
//     whatever becomes of the feed;
//   - without one, for as long as the configuration says, 5 minutes by default, at most;
//   - a grant that lives is never said to have ended, and a database that has answered for
//     more than 5 s leaves nobody with "try again".
func TestR26NeverActiveAfterItsEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ids := []string{"g1", "g2", "g3"}
		maxStale := rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second, maxStale}).Draw(rt, "maxStale")
		r := newReplicaFor(t, newLedger(ids...), maxStale)
		endedAt := map[string]time.Time{}
		seen := map[string]bool{}     // what had ended before a look that succeeded
		back := r.now.Add(-time.Hour) // when the database came back
		look := func() {
			if r.look() {
				for id := range endedAt {
					seen[id] = true
				}
			}
		}
		end := func(id string) {
			if _, already := endedAt[id]; !already && !r.ledger.away {
				endedAt[id] = r.now
				r.ledger.end(id, r.now)
			}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			id := rapid.SampledFrom(ids).Draw(rt, "grant")
			switch rapid.SampledFrom([]string{"ask", "ask", "ask", "look", "end", "end here", "away", "back", "feed", "wait", "wait long"}).Draw(rt, "step") {
			case "look":
				look()
			case "end":
				end(id)
			case "end here":
				end(id)
				if _, did := endedAt[id]; did {
					r.End("example", id)
				}
			case "away":
				r.ledger.away = true
			case "back":
				if r.ledger.away {
					r.ledger.away, back = false, r.now
				}
			case "feed":
				r.ledger.feedAway = !r.ledger.feedAway
			case "wait":
				r.now = r.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
			case "wait long":
				r.now = r.now.Add(time.Duration(rapid.IntRange(1, 200).Draw(rt, "s")) * time.Second)
			case "ask":
				r.ledger.meanwhile = map[string]func(){
					"nothing": nil, "end": func() { end(id) }, "end and look": func() { end(id); look() }, "look": look,
				}[rapid.SampledFrom([]string{"nothing", "nothing", "end", "end and look", "look"}).Draw(rt, "meanwhile")]
				says := r.says(id)
				r.ledger.meanwhile = nil
				at, hasEnded := endedAt[id]
				since := r.now.Sub(at)
				answering := !r.ledger.away && r.now.Sub(back) > 5*time.Second
				switch {
				case says == unknown, says == ended && !hasEnded, says == busy && answering:
					rt.Fatalf("grant %s is %s; ended: %v, the database answers: %v", id, says, hasEnded, answering)
				case says != alive || !hasEnded: // nothing to be said against it
				case seen[id]:
					rt.Fatalf("grant %s is alive %v after its end, and after a look", id, since)
				case answering && since > 5*time.Second, since > maxStale:
					rt.Fatalf("grant %s is alive %v after its end; the database answers: %v", id, since, answering)
				}
			}
		}
	})
}

// One replica's ends reach another by the feed alone.
func TestR26TwoReplicas(t *testing.T) {
	t.Parallel()
	l := newLedger("g1")
	here, there := newReplica(t, l), newReplica(t, l)
	here.look()
	there.look()
	here.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	there.expect("at first", "g1", alive, issuer.KnownMiss, 1)
	l.end("g1", here.now)
	here.End("example", "g1")
	here.expect("ended here", "g1", ended, issuer.KnownHit, 0)
	there.passes(time.Second)
	there.expect("ended elsewhere a second ago", "g1", ended, issuer.KnownHit, 0)
}
