package keys_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

var accessES = keys.Line{Use: keys.UseAccess, Algorithm: keys.ES256}

func (r *rig) rotate(t testing.TB, l keys.Line, compromised bool) keys.Rotation {
	t.Helper()
	done, err := r.Rotate(t.Context(), "example", l, compromised)
	if err != nil {
		t.Fatalf("rotate %v: %v", l, err)
	}
	r.ensure(t)
	return done
}

func (r *rig) ensure(t testing.TB) {
	t.Helper()
	if err := r.Ensure(t.Context(), "example"); err != nil {
		t.Fatalf("ensure: %v", err)
	}
}

// signer returns the id of the key that signs for a line.
func signer(t testing.TB, k *keys.Keys, l keys.Line) string {
	t.Helper()
	var token string
	var err error
	switch l.Use {
	case keys.UseAccess:
		token, err = k.Sign("example", profile(t, oidc.ProfileRFC9068), l.Algorithm, claims())
	case keys.UseID:
		token, err = k.SignID("example", keys.IDClaims{Issuer: issuer, Subject: "s", ClientID: "open", IssuedAt: start, ExpiresAt: start, Algorithm: l.Algorithm})
	default:
		token, err = k.SignIntrospection("example", issuer, "imap", map[string]any{"active": false})
	}
	if err != nil {
		t.Fatalf("sign for %v: %v", l, err)
	}
	header, _ := parts(t, token)
	return object(t, header)["kid"].(string)
}

// published returns the ids in the JWK set.
func published(t testing.TB, k *keys.Keys) (ids []string) {
	t.Helper()
	raw, err := k.JWKS("example")
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	for _, key := range set.Keys {
		ids = append(ids, key.KeyID)
	}
	return ids
}

// TestR34RotationOverlaps walks through the moments of a rotation of every line: the
// next key is published before it signs, the one before it until the last token
// that it signed is over. No key is loaded again in between.
func TestR34RotationOverlaps(t *testing.T) {
	t.Parallel()
	for _, l := range keys.Lines() {
		t.Run(fmt.Sprintf("%s %s", l.Use, l.Algorithm), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			old := signer(t, r.Keys, l)
			r.now = start.Add(24 * time.Hour)
			done := r.rotate(t, l, false)
			signs, gone := r.now.Add(10*time.Minute), r.now.Add(10*time.Minute+time.Hour+5*time.Minute)
			if done.Line != l || done.Old != old || done.New == old || !done.SignsFrom.Equal(signs) || !done.RemovedAt.Equal(gone) {
				t.Fatalf("rotated %+v, want %s replaced from %v and removed at %v", done, old, signs, gone)
			}
			for _, c := range []struct {
				name      string
				at        time.Time
				signs     string
				oldIsThat keys.State
				newIsThat keys.State
			}{
				{"at once", r.now, old, keys.Signs, keys.Next},
				{"just before it signs", signs.Add(-time.Nanosecond), old, keys.Signs, keys.Next},
				{"as it signs", signs, done.New, keys.Old, keys.Signs},
				{"just before the old one goes", gone.Add(-time.Nanosecond), done.New, keys.Old, keys.Signs},
				{"as the old one goes", gone, done.New, keys.Removed, keys.Signs},
				{"a year later", gone.AddDate(1, 0, 0), done.New, keys.Removed, keys.Signs},
			} {
				r.now = c.at
				if got := signer(t, r.Keys, l); got != c.signs {
					t.Errorf("%s: %s signs, want %s (old %s, new %s)", c.name, got, c.signs, old, done.New)
				}
				ids := published(t, r.Keys)
				if got, want := slices.Contains(ids, old), c.oldIsThat != keys.Removed; got != want {
					t.Errorf("%s: the old key is published: %v, want %v", c.name, got, want)
				}
				if !slices.Contains(ids, done.New) || len(ids) != 5 && c.oldIsThat == keys.Removed || len(ids) != 6 && c.oldIsThat != keys.Removed {
					t.Errorf("%s: published are %v, want the new key %s and the other lines", c.name, ids, done.New)
				}
				if got := states(t, r); got[old] != c.oldIsThat || got[done.New] != c.newIsThat {
					t.Errorf("%s: old is %s, new is %s, want %s and %s", c.name, got[old], got[done.New], c.oldIsThat, c.newIsThat)
				}
			}
		})
	}
}

func states(t testing.TB, r *rig) map[string]keys.State {
	t.Helper()
	list, err := r.List(t.Context(), "example")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]keys.State{}
	for _, k := range list {
		if k.Sealed != nil {
			t.Errorf("key %s is listed with its private half", k.ID)
		}
		found[k.ID] = k.State
	}
	return found
}

// TestR34RemovedKeyVerifiesNothing: however long a token says that it lives. The signature
// and the claims are good at every moment; only the clock moves.
func TestR34RemovedKeyVerifiesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := forge(t, jwt.SigningMethodES256, r.access.signer, map[string]any{"kid": r.access.id}, body(func(m jwt.MapClaims) {
		m["exp"] = start.AddDate(10, 0, 0).Unix()
	}))
	done := r.rotate(t, accessES, false)
	for _, at := range []time.Time{start, done.SignsFrom, done.RemovedAt.Add(-time.Nanosecond)} {
		r.now = at
		if _, err := r.Verify("example", issuer, token); err != nil {
			t.Errorf("at %v: %v, want the old key to count", at, err)
		}
	}
	for _, at := range []time.Time{done.RemovedAt, done.RemovedAt.AddDate(1, 0, 0)} {
		r.now = at
		wantInvalid(t, r, "at "+at.String(), token)
		r.ensure(t)
		wantInvalid(t, r, "loaded again at "+at.String(), token)
	}
}

// TestR34NoTokenOutlivesItsKey: the last token that a key can have signed, at its
// full length, is good for as long as it says.
func TestR34NoTokenOutlivesItsKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	done := r.rotate(t, accessES, false)
	r.now = done.SignsFrom.Add(-time.Second)
	c := claims()
	c.IssuedAt, c.ExpiresAt = r.now, r.now.Add(keys.Longest)
	token := r.sign(t, oidc.ProfileRFC9068, keys.ES256, c)
	if header, _ := parts(t, token); object(t, header)["kid"] != done.Old {
		t.Fatalf("header %s, want it signed by the old key %s", header, done.Old)
	}
	r.now = c.ExpiresAt.Add(-time.Second)
	if _, err := r.Verify("example", issuer, token); err != nil {
		t.Errorf("a second before it expires: %v", err)
	}
	r.now = c.ExpiresAt.Add(keys.Leeway - time.Second)
	if !slices.Contains(published(t, r.Keys), done.Old) {
		t.Error("the old key is gone while others may still allow for clocks that differ")
	}
}

// TestR34CompromisedCountsNoMore: at once, for the key that signs, for those before it,
// and for the next one.
func TestR34CompromisedCountsNoMore(t *testing.T) {
	t.Parallel()
	for _, l := range []keys.Line{accessES, {Use: keys.UseID, Algorithm: keys.ES256}} {
		r := newRig(t)
		oldest := signer(t, r.Keys, l)
		access := r.sign(t, oidc.ProfileRFC9068, keys.ES256, claims())
		hint, err := r.SignID("example", idClaims(func(c *keys.IDClaims) { c.Algorithm = keys.ES256 }))
		if err != nil {
			t.Fatal(err)
		}
		first := r.rotate(t, l, false)
		r.now = first.SignsFrom
		second := r.rotate(t, l, false)
		done := r.rotate(t, l, true)
		if done.Old != second.New || !done.SignsFrom.Equal(r.now) || !done.RemovedAt.Equal(r.now) {
			t.Errorf("%v: rotated %+v, want %s replaced now", l, done, second.New)
		}
		if got := signer(t, r.Keys, l); got != done.New {
			t.Errorf("%v: %s signs, want %s", l, got, done.New)
		}
		ids, now := published(t, r.Keys), states(t, r)
		for _, id := range []string{oldest, first.New, second.New} {
			if slices.Contains(ids, id) || now[id] != keys.Compromised {
				t.Errorf("%v: key %s is %s, published are %v; want it compromised and out", l, id, now[id], ids)
			}
		}
		if len(ids) != 5 || now[done.New] != keys.Signs {
			t.Errorf("%v: published are %v, %s is %s; want five, and that it signs", l, ids, done.New, now[done.New])
		}
		if l.Use == keys.UseAccess {
			wantInvalid(t, r, "signed before", access)
		} else if got, err := r.VerifyHint("example", issuer, hint); !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("hint by a compromised key: %+v, %v, want ErrInvalid", got, err)
		}
	}
}

// TestR34OthersGoOn: what one line suffers does not touch the others, nor another tenant.
func TestR34OthersGoOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.sign(t, oidc.ProfileRFC9068, keys.RS256, claims())
	foreign := slices.Clone(r.store.rows["other"])
	r.rotate(t, accessES, true)
	if _, err := r.Verify("example", issuer, token); err != nil {
		t.Errorf("RS256 token after ES256 was compromised: %v", err)
	}
	if !slices.EqualFunc(foreign, r.store.rows["other"], func(a, b keys.Stored) bool { return a.ID == b.ID && a.Successor == b.Successor }) {
		t.Error("the other tenant's keys changed")
	}
}

func TestRotateLeavesANewKeyAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.rotate(t, accessES, false)
	r.now = first.SignsFrom.Add(-time.Second)
	again := r.rotate(t, accessES, false)
	if again.Old != "" || again.New != first.New || !again.SignsFrom.Equal(first.SignsFrom) || len(r.store.rows["example"]) != 6 {
		t.Errorf("before it signs: %+v with %d keys, want nothing done", again, len(r.store.rows["example"]))
	}
	r.now = first.SignsFrom
	if third := r.rotate(t, accessES, false); third.Old != first.New {
		t.Errorf("as it signs: %+v, want %s replaced", third, first.New)
	}
}

func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		tenant string
		line   keys.Line
	}{
		"unknown tenant": {"nobody", accessES},
		"no such line":   {"example", keys.Line{Use: keys.UseIntrospection, Algorithm: keys.RS256}},
		"no line at all": {"example", keys.Line{}},
	} {
		if done, err := r.Rotate(t.Context(), c.tenant, c.line, true); !errors.Is(err, keys.ErrNoKey) || done.New != "" {
			t.Errorf("%s: %+v, %v, want ErrNoKey", name, done, err)
		}
	}
	away := errors.New("store is away")
	r.store.err = away
	if _, err := r.Rotate(t.Context(), "example", accessES, false); !errors.Is(err, away) {
		t.Errorf("Rotate: %v, want the store's error", err)
	}
	if _, err := r.List(t.Context(), "example"); !errors.Is(err, away) {
		t.Errorf("List: %v, want the store's error", err)
	}
}

// TestOldKeysWithoutTimes: keys from before there were rotations have none of its columns.
func TestOldKeysWithoutTimes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range r.store.rows["example"] {
		r.store.rows["example"][i].SignsFrom = time.Time{}
	}
	r.ensure(t)
	if got := signer(t, r.Keys, accessES); got != r.access.id {
		t.Errorf("%s signs, want %s", got, r.access.id)
	}
	r.now = start.Add(-time.Hour) // where the clock is behind that of the one who made them
	done := r.rotate(t, accessES, false)
	if done.Old != r.access.id {
		t.Errorf("rotated %+v, want %s replaced", done, r.access.id)
	}
	for at, want := range map[time.Time]string{done.SignsFrom.Add(-time.Nanosecond): done.Old, done.SignsFrom: done.New, start.Add(time.Hour): done.New} {
		r.now = at
		if got := signer(t, r.Keys, accessES); got != want {
			t.Errorf("at %v %s signs, want %s", at, got, want)
		}
	}
}

// TestR34SetsFollowEachOther: old keys of several lines go at moments of their own, in
// whatever order their rows are.
func TestR34SetsFollowEachOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rows := slices.Clone(r.store.rows["example"])
	slices.SortFunc(rows, func(a, b keys.Stored) int { return strings.Compare(b.ID, a.ID) })
	var gone []keys.Rotation
	for _, row := range rows { // the last row first: the store sorts those of one moment by id
		r.now = r.now.Add(time.Minute)
		gone = append(gone, r.rotate(t, keys.Line{Use: row.Use, Algorithm: row.Algorithm}, false))
	}
	for i, next := range gone {
		r.now = next.RemovedAt.Add(-time.Nanosecond)
		if got, want := len(published(t, r.Keys)), 10-i; got != want {
			t.Errorf("just before the old key number %d goes %d are published, want %d", i, got, want)
		}
		r.now = next.RemovedAt
		if ids := published(t, r.Keys); len(ids) != 9-i || slices.Contains(ids, next.Old) {
			t.Errorf("as the old key number %d, %s, goes %v are published, want %d others", i, next.Old, ids, 9-i)
		}
	}
}

// TestEnsureOpensARowThatChanged: what is open stays so only while its row is the same.
func TestEnsureOpensARowThatChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*keys.Stored){
		"changed bytes":     func(s *keys.Stored) { s.Sealed = slices.Clone(s.Sealed); s.Sealed[20] ^= 1 },
		"no bytes":          func(s *keys.Stored) { s.Sealed = nil },
		"another algorithm": func(s *keys.Stored) { s.Algorithm = keys.RS256 },
		"another use":       func(s *keys.Stored) { s.Use = keys.UseID },
		"another kid":       func(s *keys.Stored) { s.ID = "another-kid" },
	} {
		r := newRig(t)
		change(&r.store.rows["example"][0])
		if err := r.Ensure(t.Context(), "example"); err == nil {
			t.Errorf("%s: Ensure took the row", name)
		}
	}
}

// TestSetOfTheMomentIsNotMadeAnew: the set of the moment is chosen, not made.
//
//nolint:paralleltest // allocations of tests that run at the same time would be counted
func TestSetOfTheMomentIsNotMadeAnew(t *testing.T) {
	r := newRig(t)
	r.rotate(t, accessES, false)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := r.JWKS("example"); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for each answer, want none", n)
	}
}
