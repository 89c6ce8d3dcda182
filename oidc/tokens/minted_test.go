package tokens_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
)

const subject = "header.payload.signature"

// asked is an exchange at a replica.
type asked struct {
	from              *tokens.Tokens
	tenant, algorithm string
	profile           oidc.Profile
	claims            oidc.Claims
	subject           string
}

func (r *rig) asked(t testing.TB, edit func(*asked)) asked {
	t.Helper()
	a := asked{r.Tokens, "example", keys.ES256, profile(t, oidc.ProfileRFC9068), narrow(), subject}
	r.numbers++
	a.claims.ID = fmt.Sprintf("%011d", r.numbers) // each request has a number of its own
	if edit != nil {
		edit(&a)
	}
	return a
}

func (a asked) exchange(t testing.TB) tokens.Made {
	t.Helper()
	made, err := a.from.MakeFrom(t.Context(), a.tenant, a.profile, a.algorithm, a.claims, a.subject)
	if err != nil {
		t.Fatalf("exchange: %v", err)
	}
	if made.Token == "" || made.ExpiresAt.After(a.claims.ExpiresAt) {
		t.Fatalf("made %+v, want a token until %v at the latest", made, a.claims.ExpiresAt)
	}
	return made
}

// TestR6MintedTokensWithHalfTheirLife: the same again while half of its life is left, then a new one.
func TestR6MintedTokensWithHalfTheirLife(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{keys.ES256, keys.RS256} {
		r := newRig(t)
		at := func(when time.Duration) asked {
			r.now = start.Add(when)
			return r.asked(t, func(a *asked) {
				a.algorithm = algorithm
				a.claims.IssuedAt, a.claims.ExpiresAt = r.now, r.now.Add(15*time.Minute)
			})
		}
		first := at(0).exchange(t)
		if first.Again {
			t.Fatalf("%s: the first is not the first", algorithm)
		}
		half := 7*time.Minute + 30*time.Second
		for _, when := range []time.Duration{0, time.Second, half - time.Nanosecond, half} {
			if got := at(when).exchange(t); got.Token != first.Token || !got.Again || !got.ExpiresAt.Equal(first.ExpiresAt) {
				t.Errorf("%s, after %v: %+v, want the first again", algorithm, when, got)
			}
		}
		second := at(half + time.Nanosecond).exchange(t)
		if second.Again || second.Token == first.Token {
			t.Errorf("%s, with less than half its life left: %+v, want a new one", algorithm, second)
		}
		if got := at(half + time.Minute).exchange(t); got.Token != second.Token || !got.Again {
			t.Errorf("%s: %+v, want the second again", algorithm, got)
		}
	}
}

// TestR6MintedTokenNeverOutlivesWhatWasAsked: the grant's end came nearer.
func TestR6MintedTokenNeverOutlivesWhatWasAsked(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{keys.ES256, keys.RS256} {
		r := newRig(t)
		until := func(end time.Time) asked {
			return r.asked(t, func(a *asked) { a.algorithm, a.claims.ExpiresAt = algorithm, end })
		}
		end := narrow().ExpiresAt
		first := until(end).exchange(t)
		if got := until(end.Add(time.Hour)).exchange(t); got.Token != first.Token || !got.ExpiresAt.Equal(end) {
			t.Errorf("%s, asked for longer: %+v, want the first with its own end", algorithm, got)
		}
		if got := until(end.Add(-time.Second)).exchange(t); got.Again || got.Token == first.Token {
			t.Errorf("%s, asked for a second less: %+v, want a new one", algorithm, got)
		}
	}
}

// TestR25MintedTokensBelongToTheirExchange: whatever is otherwise but times and number, and
// nobody is handed what was made for it.
func TestR25MintedTokensBelongToTheirExchange(t *testing.T) {
	t.Parallel()
	edits := map[string]func(*asked){
		"another subject token": func(a *asked) { a.subject += "A" },
		"another tenant":        func(a *asked) { a.tenant = "other" },
		"another algorithm": func(a *asked) {
			a.algorithm = map[string]string{keys.ES256: keys.RS256, keys.RS256: keys.ES256}[a.algorithm]
		},
		"another profile": func(a *asked) { a.profile.Name = "own" },
		"a profile that changed under its name": func(a *asked) {
			a.profile.AuthorizedParty = true
		},
		"issuer":   func(a *asked) { a.claims.Issuer += "/" },
		"person":   func(a *asked) { a.claims.Subject += "A" },
		"service":  func(a *asked) { a.claims.Audience = []string{"smtp.example.org"} },
		"services": func(a *asked) { a.claims.Audience = append(a.claims.Audience, "smtp.example.org") },
		"scope":    func(a *asked) { a.claims.Scope += " email" },
		"client":   func(a *asked) { a.claims.ClientID += "2" },
		"grant":    func(a *asked) { a.claims.GrantID += "2" },
		"name":     func(a *asked) { a.claims.Username = "bob@example.org" },
		"key":      func(a *asked) { a.claims.Key = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" },
		"a border moved": func(a *asked) {
			a.claims.ClientID, a.claims.GrantID = a.claims.ClientID+a.claims.GrantID[:1], a.claims.GrantID[1:]
		},
	}
	for _, algorithm := range []string{keys.ES256, keys.RS256} {
		r := newRig(t)
		seen := map[string]string{r.asked(t, func(a *asked) { a.algorithm = algorithm }).exchange(t).Token: "the first"}
		for _, name := range slices.Sorted(maps.Keys(edits)) {
			a := r.asked(t, func(a *asked) { a.algorithm = algorithm })
			edits[name](&a)
			made := a.exchange(t)
			if other, found := seen[made.Token]; made.Again || found {
				t.Errorf("%s, %s: was handed what was made for %q", algorithm, name, other)
			}
			seen[made.Token] = name
			if got := a.exchange(t); !got.Again || got.Token != made.Token {
				t.Errorf("%s, %s: %+v, want its own again", algorithm, name, got)
			}
		}
	}
}

// TestR26MintedByAnotherKeyIsNotHandedOut: compromised or only replaced.
func TestR26MintedByAnotherKeyIsNotHandedOut(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{keys.ES256, keys.RS256} {
		r := newRig(t)
		a := r.asked(t, func(a *asked) { a.algorithm, a.claims.ExpiresAt = algorithm, start.Add(time.Hour) })
		first := a.exchange(t)
		r.rotate(t, algorithm, false)
		if got := a.exchange(t); got.Token != first.Token {
			t.Errorf("%s: %+v, want the first while its key signs", algorithm, got)
		}
		r.now = start.Add(keys.Lead)
		second := a.exchange(t)
		if second.Again || second.Token == first.Token {
			t.Errorf("%s, with another key: %+v, want a new one", algorithm, second)
		}
		r.rotate(t, algorithm, true)
		third := a.exchange(t)
		if third.Again || third.Token == second.Token {
			t.Errorf("%s, after its key was compromised: %+v, want a new one", algorithm, third)
		}
		r.taken(t, third.Token)
	}
}

// TestR25ReplicasShareWhatIsDear: signatures by RSA, as the others are cheaper than asking.
func TestR25ReplicasShareWhatIsDear(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for algorithm, shared := range map[string]bool{keys.ES256: false, keys.RS256: true} {
		before := r.shelf.asked
		a := r.asked(t, func(a *asked) { a.algorithm = algorithm })
		first := a.exchange(t)
		a.from = r.second
		if got := a.exchange(t); got.Again != shared || (got.Token == first.Token) != shared {
			t.Errorf("%s at the second replica: %+v, want the first again: %v", algorithm, got, shared)
		}
		if (r.shelf.asked > before) != shared {
			t.Errorf("%s: the cache was asked %d times", algorithm, r.shelf.asked-before)
		}
		before = r.shelf.asked
		if got := a.exchange(t); !got.Again || r.shelf.asked != before {
			t.Errorf("%s once more: %+v, the cache was asked %d times, want none", algorithm, got, r.shelf.asked-before)
		}
	}
	for name, life := range r.shelf.lives {
		if life > 7*time.Minute+30*time.Second {
			t.Errorf("%s is kept for %v, longer than it may be handed out", name, life)
		}
	}
}

// TestR25MintedEntriesThatWereMoved: an entry under another exchange's name, of another subject
// token or another tenant, or changed: nobody is handed it.
func TestR25MintedEntriesThatWereMoved(t *testing.T) {
	t.Parallel()
	edits := []func(*asked){
		func(*asked) {}, func(a *asked) { a.claims.Audience = []string{"smtp.example.org"} }, func(a *asked) { a.subject += "A" }, func(a *asked) { a.tenant = "other" },
	}
	r := newRig(t)
	var made []asked
	var names []string
	for _, edit := range edits {
		a := r.asked(t, func(a *asked) { a.algorithm = keys.RS256; edit(a) })
		before := r.shelf.names("minted:")
		a.exchange(t)
		added := slices.DeleteFunc(r.shelf.names("minted:"), func(name string) bool { return slices.Contains(before, name) })
		if len(added) != 1 {
			t.Fatalf("%d entries were added, want 1", len(added))
		}
		made, names = append(made, a), append(names, added[0])
	}
	kept := maps.Clone(r.shelf.entries)
	fresh := func(a asked) tokens.Made {
		a.from = tokens.New(r.keys, r.shelf, r.box, func() time.Time { return r.now })
		return a.exchange(t)
	}
	for i := range made {
		for j := range made {
			maps.Copy(r.shelf.entries, kept)
			r.shelf.entries[names[i]] = kept[names[j]]
			if got := fresh(made[i]); got.Again != (i == j) {
				t.Errorf("exchange %d with the entry of %d: %+v, want it handed out: %v", i, j, got, i == j)
			}
		}
		for at := range kept[names[i]] {
			if at > 40 && at%50 != 0 {
				continue
			}
			maps.Copy(r.shelf.entries, kept)
			changed := slices.Clone(kept[names[i]])
			changed[at] ^= 1
			r.shelf.entries[names[i]] = changed
			if got := fresh(made[i]); got.Again {
				t.Errorf("exchange %d with byte %d changed: it was handed out", i, at)
			}
		}
	}
}

// TestMintedWithoutTheCache: it is made, and remembered here.
func TestMintedWithoutTheCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.shelf.away = true
	a := r.asked(t, func(a *asked) { a.algorithm = keys.RS256 })
	first := a.exchange(t)
	if got := a.exchange(t); first.Again || !got.Again || got.Token != first.Token {
		t.Errorf("first %+v, then %+v", first, got)
	}
	a.from = r.second
	if got := a.exchange(t); got.Again {
		t.Errorf("at the second replica: %+v, want a new one", got)
	}
}

// TestOpaqueTokensAreKeptOnce: who asks again and again takes one place in the cache, and the tokens of
// others stay there; what the cache has lost is never handed out again.
func TestOpaqueTokensAreKeptOnce(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"", keys.ES256, keys.RS256} { // which says nothing of an opaque one
		r := newRig(t)
		a := r.asked(t, func(a *asked) { a.profile, a.algorithm = profile(t, oidc.ProfileOpaque), algorithm })
		first := a.exchange(t)
		for range 100 {
			if again := a.exchange(t); !again.Again || again.Token != first.Token || !again.ExpiresAt.Equal(first.ExpiresAt) {
				t.Fatalf("first %+v, then %+v, want the same again", first, again)
			}
		}
		if kept := r.shelf.names(""); len(kept) != 1 {
			t.Errorf("kept are %v, want the one token", kept)
		}
		clear(r.shelf.entries)
		second := a.exchange(t)
		if first.Again || second.Again || first.Token == second.Token {
			t.Errorf("first %+v, then %+v, want another", first, second)
		}
		r.taken(t, second.Token)
		name := r.shelf.names("")[0]
		r.shelf.entries[name] = []byte("somebody else wrote it")
		if third := a.exchange(t); third.Again || third.Token == second.Token {
			t.Errorf("then %+v, want another than the one whose entry was changed", third)
		}
		r.shelf.away = true
		if _, err := a.from.MakeFrom(t.Context(), "example", a.profile, a.algorithm, a.claims, a.subject); !errors.Is(err, tokens.ErrUnavailable) {
			t.Errorf("without the cache: %v, want ErrUnavailable", err)
		}
	}
}

// TestMintedOverAtOnce: a subject token in its last moment gives tokens that are over.
func TestMintedOverAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{oidc.ProfileRFC9068, oidc.ProfileOpaque} {
		a := r.asked(t, func(a *asked) { a.algorithm, a.profile, a.claims.ExpiresAt = keys.RS256, profile(t, name), start })
		made := a.exchange(t)
		if _, err := r.Verify(t.Context(), "example", issuer, made.Token); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if len(r.shelf.entries) != 0 {
		t.Errorf("kept are %v, want nothing", r.shelf.names(""))
	}
}
