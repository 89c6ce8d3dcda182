package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"signpost/oidc/issuer"
)

const (
	window  = 30 * time.Second
	repeats = 10
)

// rotation presents one token and offers another, with the limits of R18.
func rotation(presented, successor string, now time.Time) issuer.Rotation {
	return issuer.Rotation{
		Presented: hash(presented),
		Successor: hash(successor),
		Sealed:    sealedAs(successor),
		Now:       now,
		Window:    window,
		Repeats:   repeats,
	}
}

// sealedAs stands for the sealed form of a token.
func sealedAs(token string) []byte { return []byte("sealed " + token) }

// rotate presents a token that must be answered with the wanted one.
func rotate(t *testing.T, s Engine, r issuer.Rotation, want string) {
	t.Helper()
	got, err := s.Rotate(t.Context(), "example", r)
	if err != nil {
		t.Fatalf("Rotate at %v: %v, want %q", r.Now, err, sealedAs(want))
	}
	if !bytes.Equal(got, sealedAs(want)) {
		t.Fatalf("Rotate at %v = %q, want %q", r.Now, got, sealedAs(want))
	}
}

func testRefresh(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	want := issuer.Refresh{Hash: hash("first"), GrantID: g.ID, CreatedAt: start, Grant: g}
	for range 2 {
		got, err := s.Refresh(t.Context(), "example", hash("first"))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Refresh = %+v, %v\nwant %+v", got, err, want)
		}
	}
	if _, err := s.Refresh(t.Context(), "example", hash("unknown")); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Refresh(unknown) = %v, want ErrNotFound", err)
	}
	if err := s.EndGrant(t.Context(), "example", g.ID, "revoked", start); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	want.Grant.EndedAt, want.Grant.EndedReason = start, "revoked"
	if got, err := s.Refresh(t.Context(), "example", hash("first")); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Refresh of an ended grant = %+v, %v\nwant %+v", got, err, want)
	}
}

func testR18FirstUse(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	before := revision(t, s)
	hour := start.Add(time.Hour)
	rotate(t, s, rotation("first", "second", hour), "second")

	if got := loadGrant(t, s, "example", g.ID).LastUsedAt; !got.Equal(hour) {
		t.Errorf("the grant was last used at %v, want %v", got, hour)
	}
	first, err := s.Refresh(t.Context(), "example", hash("first"))
	if err != nil || !first.UsedAt.Equal(hour) {
		t.Errorf("the predecessor was first used at %v, %v, want %v", first.UsedAt, err, hour)
	}
	second, err := s.Refresh(t.Context(), "example", hash("second"))
	if err != nil || !second.UsedAt.IsZero() || !second.CreatedAt.Equal(hour) || second.GrantID != g.ID {
		t.Errorf("the successor is %+v, %v, want an unused token of grant %s made at %v", second, err, g.ID, hour)
	}
	// The family goes on for as long as each successor is used in turn.
	for i := range 20 {
		now := hour.Add(time.Duration(i+1) * time.Hour)
		token, next := "second", fmt.Sprintf("next %d", i)
		if i > 0 {
			token = fmt.Sprintf("next %d", i-1)
		}
		rotate(t, s, rotation(token, next, now), next)
	}
	mustLive(t, s, "example", g.ID)
	if got := revision(t, s); got != before {
		t.Errorf("rotation moved the revision from %d to %d, want it where it was", before, got)
	}
}

func testR18Repetition(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	rotate(t, s, rotation("first", "second", start), "second")
	// Ten repetitions get what was sealed the first time, up to the end of the
	// window, and one from a replica whose clock is a little behind as well.
	last := start.Add(window)
	for i := range repeats {
		now := start.Add(time.Duration(i)*3*time.Second - time.Millisecond)
		if i == repeats-1 {
			now = last
		}
		rotate(t, s, rotation("first", fmt.Sprintf("offered %d", i), now), "second")
		if got := loadGrant(t, s, "example", g.ID).LastUsedAt; !got.Equal(now) {
			t.Errorf("after repetition %d the grant was last used at %v, want %v", i+1, got, now)
		}
	}
	if rows := s.Rows(t, "SELECT repeats FROM refresh_tokens"); len(rows) != 2 {
		t.Errorf("the family has %d tokens, want the first and its successor", len(rows))
	}
	mustLive(t, s, "example", g.ID)
	rotate(t, s, rotation("second", "third", last), "third")
}

func testR18Refusals(t *testing.T, s Store) {
	seed(t, s)
	a := saveAccount(t, s, "example", account("alice"))
	for name, before := range map[string]struct {
		prepare func(t *testing.T, first, second, third string)
		after   time.Duration
	}{
		"the eleventh repetition": {func(t *testing.T, first, _, _ string) {
			for i := range repeats {
				if _, err := s.Rotate(t.Context(), "example", rotation(first, "ignored", start)); err != nil {
					t.Fatalf("repetition %d: %v", i+1, err)
				}
			}
		}, time.Second},
		"after the window": {func(*testing.T, string, string, string) {}, window + time.Millisecond},
		"after the successor was used": {func(t *testing.T, _, second, third string) {
			rotate(t, s, rotation(second, third, start), third)
		}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			first, second, third := name+" 1", name+" 2", name+" 3"
			g := grant(a, name)
			if err := s.CreateGrant(t.Context(), "example", g, hash(first)); err != nil {
				t.Fatalf("CreateGrant: %v", err)
			}
			rotate(t, s, rotation(first, second, start), second)
			before.prepare(t, first, second, third)
			mustLive(t, s, "example", g.ID)
			bell, now := revision(t, s), start.Add(before.after)

			sealed, err := s.Rotate(t.Context(), "example", rotation(first, "offered", now))
			if !errors.Is(err, issuer.ErrReused) || sealed != nil {
				t.Errorf("Rotate = %q, %v, want ErrReused", sealed, err)
			}
			mustBeEnded(t, s, "example", g.ID, "reuse")
			if got := loadGrant(t, s, "example", g.ID).EndedAt; !got.Equal(now) {
				t.Errorf("the grant ended at %v, want %v", got, now)
			}
			if got := revision(t, s); got != bell+1 {
				t.Errorf("the revision went from %d to %d, want one more", bell, got)
			}
			for _, token := range []string{first, second} {
				if _, err := s.Rotate(t.Context(), "example", rotation(token, "offered", now)); !errors.Is(err, issuer.ErrEnded) {
					t.Errorf("Rotate(%q) after the end = %v, want ErrEnded", token, err)
				}
			}
			if _, err := s.Refresh(t.Context(), "example", hash("offered")); !errors.Is(err, issuer.ErrNotFound) {
				t.Errorf("a refused rotation made a token: %v, want ErrNotFound", err)
			}
		})
	}
}

func testR18NotAnswered(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	if _, err := s.Rotate(t.Context(), "example", rotation("unknown", "next", start)); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Rotate(unknown) = %v, want ErrNotFound", err)
	}
	if _, err := s.Rotate(t.Context(), "other", rotation("first", "next", start)); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Rotate(another tenant's token) = %v, want ErrNotFound", err)
	}
	if got := loadGrant(t, s, "example", g.ID); !reflect.DeepEqual(got, g) {
		t.Errorf("the grant is\n     %+v after refusals that are not its own\nwant %+v", got, g)
	}
	rotate(t, s, rotation("first", "second", start), "second")
	// A successor that exists already is a fault of the caller: nothing is used up.
	if _, err := s.Rotate(t.Context(), "example", rotation("second", "first", start)); err == nil || errors.Is(err, issuer.ErrReused) {
		t.Errorf("Rotate to a token that exists = %v, want an error that is no reuse", err)
	}
	if err := s.EndGrant(t.Context(), "example", g.ID, "revoked", start); err != nil {
		t.Fatalf("EndGrant: %v", err)
	}
	for _, token := range []string{"first", "second"} {
		if _, err := s.Rotate(t.Context(), "example", rotation(token, "next", start)); !errors.Is(err, issuer.ErrEnded) {
			t.Errorf("Rotate(%q) of an ended grant = %v, want ErrEnded", token, err)
		}
	}
	mustBeEnded(t, s, "example", g.ID, "revoked")
	if _, err := s.Refresh(t.Context(), "example", hash("next")); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("a refused rotation made a token: %v, want ErrNotFound", err)
	}
}

// testR18Race: one racer makes the successor, ten get the same one, the next one
// ends the family and the rest find it ended.
func testR18Race(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	answers := make([]string, racers)
	var reused, ended atomic.Int32
	race(t, s, func(racer int, engine Engine) {
		sealed, err := engine.Rotate(t.Context(), "example", rotation("first", fmt.Sprintf("offered %d", racer), start))
		switch {
		case err == nil:
			answers[racer] = string(sealed)
		case errors.Is(err, issuer.ErrReused):
			reused.Add(1)
		case errors.Is(err, issuer.ErrEnded):
			ended.Add(1)
		default:
			t.Errorf("Rotate by racer %d: %v", racer, err)
		}
	})
	mustAgree(t, answers, 1+repeats)
	if reused.Load() != 1 || ended.Load() != racers-1-repeats-1 {
		t.Errorf("%d racers got ErrReused and %d ErrEnded, want 1 and %d", reused.Load(), ended.Load(), racers-1-repeats-1)
	}
	mustBeEnded(t, s, "example", g.ID, "reuse")
	if rows := s.Rows(t, "SELECT grant_id FROM refresh_tokens"); len(rows) != 2 {
		t.Errorf("the family has %d tokens, want the first and one successor", len(rows))
	}
}

func testR18RaceWithinLimit(t *testing.T, s Store) {
	seed(t, s)
	g := createGrant(t, s, "example")
	answers := make([]string, racers)
	race(t, s, func(racer int, engine Engine) {
		r := rotation("first", fmt.Sprintf("offered %d", racer), start)
		r.Repeats = racers
		sealed, err := engine.Rotate(t.Context(), "example", r)
		if err != nil {
			t.Errorf("Rotate by racer %d: %v", racer, err)
		}
		answers[racer] = string(sealed)
	})
	mustAgree(t, answers, racers)
	mustLive(t, s, "example", g.ID)
}

// mustAgree fails unless as many racers as wanted were answered, all alike.
func mustAgree(t *testing.T, answers []string, want int) {
	t.Helper()
	times := make(map[string]int)
	for _, answer := range answers {
		times[answer]++
	}
	delete(times, "")
	if len(times) != 1 {
		t.Errorf("racers got %d different answers, want one: %v", len(times), times)
	}
	for answer, got := range times {
		if got != want {
			t.Errorf("%d racers got %q, want %d", got, answer, want)
		}
	}
}
