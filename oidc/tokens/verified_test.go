package tokens_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/oidc"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
)

// everyKind are tokens in every form that comes back here.
func (r *rig) everyKind(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"rfc9068":       r.make(t, oidc.ProfileRFC9068, keys.ES256, claims()),
		"rfc9068 RS256": r.make(t, oidc.ProfileRFC9068, keys.RS256, claims()),
		"dovecot":       r.make(t, oidc.ProfileDovecot, keys.ES256, narrow()),
		"opaque":        r.make(t, oidc.ProfileOpaque, "", claims()),
	}
}

// TestR25VerifiedTokensAreRemembered: what is remembered says what the token says, to
// everybody who asks, and costs neither a signature nor a look into the cache.
func TestR25VerifiedTokensAreRemembered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, token := range r.everyKind(t) {
		first := r.taken(t, token)
		asked := r.shelf.asked
		if again := r.taken(t, token); !reflect.DeepEqual(again, first) {
			t.Errorf("%s:\n again %+v\n first %+v", name, again, first)
		}
		if r.shelf.asked != asked {
			t.Errorf("%s: the cache was asked again", name)
		}
	}
}

// TestVerifiedTokenCostsLittle: neither signature nor JSON; only the audience is copied.
//
//nolint:paralleltest // allocations of tests that run at the same time would be counted
func TestVerifiedTokenCostsLittle(t *testing.T) {
	r := newRig(t)
	for name, token := range r.everyKind(t) {
		r.taken(t, token)
		if n := testing.AllocsPerRun(100, func() { r.taken(t, token) }); n > 2 {
			t.Errorf("%s: %v allocations, want at most 2", name, n)
		}
	}
}

// TestR26HitChecksExpiryAgain: at its end a token is over, however recently it was checked.
func TestR26HitChecksExpiryAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := narrow()
	c.ExpiresAt = start.Add(30 * time.Second)
	for name, token := range map[string]string{
		"rfc9068": r.make(t, oidc.ProfileRFC9068, keys.ES256, c), "opaque": r.make(t, oidc.ProfileOpaque, "", c),
	} {
		r.now = start
		r.taken(t, token)
		r.now = c.ExpiresAt.Add(-time.Nanosecond)
		r.taken(t, token)
		for _, late := range []time.Duration{0, time.Second, 24 * time.Hour} {
			r.now = c.ExpiresAt.Add(late)
			r.wantRefused(t, fmt.Sprintf("%s, %v after its end", name, late), "example", issuer, token, keys.ErrExpired)
		}
	}
}

// TestR26RememberedForAMinute: also if it is asked about all the time.
func TestR26RememberedForAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.make(t, oidc.ProfileOpaque, "", claims())
	r.taken(t, token)
	clear(r.shelf.entries)
	for r.now = start; r.now.Before(start.Add(time.Minute)); r.now = r.now.Add(time.Second) {
		r.taken(t, token)
	}
	r.wantRefused(t, "after a minute", "example", issuer, token, keys.ErrInvalid)
}

// TestR26CompromisedKeyEndsARememberedToken at once; planned rotation ends none.
func TestR26CompromisedKeyEndsARememberedToken(t *testing.T) {
	t.Parallel()
	for algorithm, other := range map[string]string{keys.ES256: keys.RS256, keys.RS256: keys.ES256} {
		r := newRig(t)
		for _, name := range []string{oidc.ProfileRFC9068, oidc.ProfileDovecot} {
			token, bystander := r.make(t, name, algorithm, narrow()), r.make(t, name, other, narrow())
			r.taken(t, token)
			r.taken(t, bystander)
			r.rotate(t, algorithm, false)
			r.taken(t, token)
			r.rotate(t, algorithm, true)
			r.wantRefused(t, name+" "+algorithm, "example", issuer, token, keys.ErrInvalid)
			r.taken(t, bystander)
			r.now = r.now.Add(time.Second)
		}
	}
}

// TestR26KeyThatIsTakenOutEndsARememberedToken: however long the token says that it lives.
func TestR26KeyThatIsTakenOutEndsARememberedToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	c := claims()
	c.ExpiresAt = start.AddDate(1, 0, 0)
	token := r.make(t, oidc.ProfileRFC9068, keys.ES256, c)
	r.rotate(t, keys.ES256, false)
	removed := start.Add(keys.Lead + keys.Longest + keys.Leeway)
	r.now = removed.Add(-time.Nanosecond)
	r.taken(t, token)
	r.now = removed
	r.wantRefused(t, "as its key is taken out", "example", issuer, token, keys.ErrInvalid)
}

// TestR24AnotherTokenIsNeverAHit: one bit, another signature of the same claims, another
// spelling, another tenant, another issuer.
func TestR24AnotherTokenIsNeverAHit(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	r := newRig(t)
	stranger := newRig(t)
	for name, token := range r.everyKind(t) {
		r.taken(t, token)
		for at := range len(token) {
			value := max(strings.IndexByte(alphabet, token[at]), 0)
			flipped := token[:at] + alphabet[value^1<<(at%6):][:1] + token[at+1:]
			r.wantRefused(t, fmt.Sprintf("%s, bit %d of %d flipped", name, at%6, at), "example", issuer, flipped, keys.ErrInvalid)
		}
		for _, end := range []string{"\n", "=", " ", "A", ".", ".AAAA", "\x00", token} {
			r.wantRefused(t, fmt.Sprintf("%s and %q", name, end), "example", issuer, token+end, keys.ErrInvalid)
			r.wantRefused(t, fmt.Sprintf("%q and %s", end, name), "example", issuer, end+token, keys.ErrInvalid)
		}
		if signed, _, _ := cutLast(token); signed != "" {
			_, _, signature := cutLast(stranger.everyKind(t)[name])
			r.wantRefused(t, name+" with a stranger's signature", "example", issuer, signed+"."+signature, keys.ErrInvalid)
		}
		for range 2 { // also after the refusal
			r.wantRefused(t, name+" at another tenant", "other", foreign, token, keys.ErrInvalid)
			r.wantRefused(t, name+" at another tenant, with its issuer", "other", issuer, token, keys.ErrInvalid)
			r.wantRefused(t, name+" for another issuer", "example", foreign, token, keys.ErrInvalid)
			r.wantRefused(t, name+" at no tenant", "nobody", issuer, token, keys.ErrNoKey)
		}
		r.taken(t, token)
	}
}

func cutLast(token string) (before, dot, after string) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return "", "", token
	}
	return token[:at], ".", token[at+1:]
}

// TestR24RefusalsAreNotRemembered: a token that was refused is good when there is a reason.
func TestR24RefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.make(t, oidc.ProfileOpaque, "", claims())
	name := r.shelf.names("opaque:")[0]
	entry := r.shelf.entries[name]
	delete(r.shelf.entries, name)
	r.wantRefused(t, "without its entry", "example", issuer, token, keys.ErrInvalid)
	r.shelf.entries[name] = entry
	r.taken(t, token)
}

// TestVerifiedClaimsAreTheCallers: whoever changes or extends them changes nothing for others.
func TestVerifiedClaimsAreTheCallers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, token := range r.everyKind(t) {
		want := r.taken(t, token)
		want.Audience = slices.Clone(want.Audience)
		for range 3 {
			got := r.taken(t, token)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s:\n got %+v\nwant %+v", name, got, want)
			}
			got.Audience[0] = "https://evil.example/"
			_ = append(got.Audience[:0], "https://evil.example/", "https://evil.example/")
		}
	}
}

// TestVerifyByManyAtOnce, while keys are replaced: nobody is told anything wrong.
func TestVerifyByManyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token := r.make(t, oidc.ProfileRFC9068, keys.ES256, claims())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				c, err := r.Verify(t.Context(), "example", issuer, token)
				if err != nil && !errors.Is(err, keys.ErrInvalid) || err == nil && c.Subject != claims().Subject {
					t.Errorf("%+v, %v", c, err)
				}
			}
		})
	}
	r.rotate(t, keys.ES256, true)
	wg.Wait()
	r.wantRefused(t, "after the rotation", "example", issuer, token, keys.ErrInvalid)
}

// FuzzVerify changes tokens that were made and are remembered, and tries texts that nobody
// made: nothing is taken but what was made, as it was made. Keys are new in each process, so
// an input says where to cut a good token and what to put there.
func FuzzVerify(f *testing.F) {
	r := newRig(f)
	kinds := r.everyKind(f)
	made := []string{kinds["rfc9068"], kinds["rfc9068 RS256"], kinds["dovecot"], kinds["opaque"]}
	for which, token := range made {
		r.taken(f, token)
		f.Add(uint8(which), uint16(0), uint16(0), "")
		f.Add(uint8(which), uint16(len(token)-1), uint16(1), "A")
		f.Add(uint8(which), uint16(10), uint16(1), "A")
		f.Add(uint8(which), uint16(20), uint16(0), "\n")
		f.Add(uint8(which), uint16(4096), uint16(0), "=")
	}
	f.Add(uint8(0), uint16(0), uint16(4096), "eyJhbGciOiJub25lIn0.e30.")
	f.Add(uint8(3), uint16(0), uint16(4096), "spt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, which uint8, at, length uint16, put string) {
		good := made[int(which)%len(made)]
		from := min(int(at), len(good))
		to := min(from+int(length), len(good))
		token := good[:from] + put + good[to:]
		for range 2 {
			c, err := r.Verify(t.Context(), "example", issuer, token)
			if err == nil && !slices.Contains(made, token) {
				t.Fatalf("taken: %q\n from %q\nclaims %+v", token, good, c)
			}
			if err != nil && (slices.Contains(made, token) || !errors.Is(err, keys.ErrInvalid) || errors.Is(err, tokens.ErrUnavailable)) {
				t.Fatalf("%q: %v", token, err)
			}
		}
	})
}
