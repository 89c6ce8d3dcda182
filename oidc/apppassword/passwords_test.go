package apppassword_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/oidc/apppassword"
)

const tenant = "example"

// shelf is a Store that counts what is asked of it.
type shelf struct {
	kept   map[string]apppassword.Kept // by tenant and selector
	looked int
	used   []time.Time
	fails  error
}

func (s *shelf) KeepAppPassword(_ context.Context, tenant string, k apppassword.Kept, _ int) error {
	if s.fails != nil {
		return s.fails
	}
	if _, taken := s.kept[tenant+k.Selector]; taken {
		return apppassword.ErrTaken
	}
	s.kept[tenant+k.Selector] = k
	return nil
}

func (s *shelf) AppPassword(_ context.Context, tenant, selector string) (apppassword.Kept, error) {
	s.looked++
	if s.fails != nil {
		return apppassword.Kept{}, s.fails
	}
	k, found := s.kept[tenant+selector]
	if !found {
		return apppassword.Kept{}, apppassword.ErrNotFound
	}
	return k, nil
}

func (s *shelf) UseAppPassword(_ context.Context, _, _ string, now, _ time.Time) error {
	s.used = append(s.used, now)
	return s.fails
}

func (s *shelf) AppPasswords(context.Context, string, string) ([]apppassword.Kept, error) {
	return nil, nil
}

func (s *shelf) EndAppPassword(context.Context, string, string, string, string, time.Time) (bool, error) {
	return false, nil
}

func (s *shelf) EndAppPasswords(context.Context, string, string, string, time.Time) (int, error) {
	return 0, nil
}

// counted hashes as internal/seal does, and counts.
type counted struct {
	*seal.Box
	hashed int
	data   []int // lengths
}

func (c *counted) Names(purpose string, data []byte) ([][]byte, error) {
	c.hashed++
	c.data = append(c.data, len(data))
	return c.Box.Names(purpose, data)
}

type rig struct {
	*apppassword.Passwords
	shelf  *shelf
	hasher *counted
	now    time.Time
}

func newRig(t testing.TB) *rig {
	t.Helper()
	memory := cache.NewMemory(1 << 20)
	t.Cleanup(memory.Close)
	r := &rig{
		shelf: &shelf{kept: map[string]apppassword.Kept{}}, hasher: &counted{Box: box(t, 1)},
		now: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC),
	}
	r.Passwords = &apppassword.Passwords{
		Store: r.shelf, Hasher: r.hasher, Limits: memory, Cache: memory, Random: rand.Reader, Now: func() time.Time { return r.now },
	}
	return r
}

func box(t testing.TB, keys ...byte) *seal.Box {
	t.Helper()
	var server [][]byte
	for _, key := range keys {
		server = append(server, bytes.Repeat([]byte{key}, seal.KeySize))
	}
	b, err := seal.New(server...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (r *rig) make(t testing.TB) string {
	t.Helper()
	p, err := r.Make(t.Context(), tenant, apppassword.Kept{ID: "one", AccountID: "alice"})
	if err != nil {
		t.Fatalf("Make: %v", err)
	}
	return p.Reveal()
}

func (r *rig) find(t testing.TB, password, from string) error {
	t.Helper()
	k, err := r.Find(t.Context(), tenant, apppassword.Presented{Password: password, From: from})
	if err == nil && k.AccountID != "alice" || err != nil && k.AccountID != "" {
		t.Fatalf("Find(%q) = %+v, %v", password, k, err)
	}
	return err
}

// changed returns the password with another last letter: the selector stays.
func changed(password string) string {
	last := byte('0')
	if password[len(password)-1] == last {
		last = '2'
	}
	return password[:len(password)-1] + string(last)
}

// TestR21KeptAsKeyedHash: what is kept opens nothing without the server key, at no other tenant, and in
// no other row.
func TestR21KeptAsKeyedHash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	password := r.make(t)
	if err := r.find(t, password, ""); err != nil {
		t.Fatalf("the password itself: %v", err)
	}
	parsed, _ := apppassword.Parse(password)
	kept := r.shelf.kept[tenant+parsed.Selector()]
	if len(kept.Hash) != 32 || bytes.Contains([]byte(fmt.Sprint(kept)), []byte(password[5:])) {
		t.Errorf("kept is %+v, want a hash of 32 bytes and nothing of the secret", kept)
	}
	r.shelf.kept["other"+parsed.Selector()] = kept
	if _, err := r.Find(t.Context(), "other", apppassword.Presented{Password: password}); !errors.Is(err, apppassword.ErrWrong) {
		t.Errorf("the row copied to another tenant: %v, want ErrWrong", err)
	}
	r.hasher.Box = box(t, 2)
	if err := r.find(t, password, ""); !errors.Is(err, apppassword.ErrWrong) {
		t.Errorf("under another server key: %v, want ErrWrong", err)
	}
	r.hasher.Box = box(t, 2, 1)
	if err := r.find(t, password, ""); err != nil {
		t.Errorf("with the old server key behind a new one: %v", err)
	}
}

// TestR21UnknownSelectorDoesTheSameWork: one look and one hash of as many bytes, whether somebody has the selector or not.
func TestR21UnknownSelectorDoesTheSameWork(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	password := r.make(t)
	for name, typed := range map[string]string{"right": password, "wrong secret": changed(password), "unknown selector": sample} {
		r.shelf.looked, r.hasher.hashed, r.hasher.data = 0, 0, nil
		err := r.find(t, typed, "")
		if (err == nil) != (typed == password) {
			t.Errorf("%s: %v", name, err)
		}
		if r.shelf.looked != 1 || r.hasher.hashed != 1 || r.hasher.data[0] != len(tenant)+1+34 {
			t.Errorf("%s: %d look-ups and %d hashes of %v bytes, want one of each, of all", name, r.shelf.looked, r.hasher.hashed, r.hasher.data)
		}
	}
}

// TestR21NobodysHashOpensNothing: a hash that could be guessed stands for nobody.
func TestR21NobodysHashOpensNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Hasher = nothing{}
	if err := r.find(t, sample, ""); !errors.Is(err, apppassword.ErrWrong) {
		t.Errorf("an unknown selector with the stand-in's own hash: %v, want ErrWrong", err)
	}
}

// nothing hashes everything to what stands in for nobody's.
type nothing struct{}

func (nothing) Names(string, []byte) ([][]byte, error) { return [][]byte{make([]byte, 32)}, nil }

// TestR21Ends: by itself, and with a grant that was ended, not with one that ran out or was replaced.
func TestR21Ends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*apppassword.Kept)
		lives  bool
	}{
		"nothing":                 {func(*apppassword.Kept) {}, true},
		"itself":                  {func(k *apppassword.Kept) { k.EndedAt, k.EndedReason = time.Now(), "person" }, false},
		"grant expired":           {func(k *apppassword.Kept) { k.GrantEnded = "expired" }, true},
		"grant replaced":          {func(k *apppassword.Kept) { k.GrantEnded = "replaced" }, true},
		"itself, grant replaced":  {func(k *apppassword.Kept) { k.GrantEnded, k.EndedAt = "replaced", time.Now() }, false},
		"grant revoked":           {func(k *apppassword.Kept) { k.GrantEnded = "revoked" }, false},
		"grant ended by person":   {func(k *apppassword.Kept) { k.GrantEnded = "person" }, false},
		"grant ended by operator": {func(k *apppassword.Kept) { k.GrantEnded = "administrator" }, false},
		"grant reused":            {func(k *apppassword.Kept) { k.GrantEnded = "reuse" }, false},
		"grant replayed":          {func(k *apppassword.Kept) { k.GrantEnded = "replay" }, false},
		"grant gone":              {func(k *apppassword.Kept) { k.GrantEnded = "gone" }, false},
		"grant ended otherwise":   {func(k *apppassword.Kept) { k.GrantEnded = "whatever comes" }, false},
	} {
		r := newRig(t)
		password := r.make(t)
		parsed, _ := apppassword.Parse(password)
		k := r.shelf.kept[tenant+parsed.Selector()]
		c.change(&k)
		r.shelf.kept[tenant+parsed.Selector()] = k
		if err := r.find(t, password, ""); (err == nil) != c.lives || err != nil && !errors.Is(err, apppassword.ErrWrong) {
			t.Errorf("%s: %v, want alive %v", name, err, c.lives)
		}
	}
}

// TestWhatIsNoAppPasswordIsNotCounted: servers try several lists of passwords, and that is no attempt at this one.
func TestWhatIsNoAppPasswordIsNotCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	password := r.make(t)
	for range 200 {
		if err := r.find(t, "correct horse battery staple", "192.0.2.1"); !errors.Is(err, apppassword.ErrWrong) {
			t.Fatal(err)
		}
	}
	if err := r.find(t, password, "192.0.2.1"); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

func TestFindSaysWhenNobodyCanTell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	password := r.make(t)
	r.shelf.fails = errors.New("database is away")
	if err := r.find(t, password, ""); err == nil || errors.Is(err, apppassword.ErrWrong) {
		t.Errorf("with the database away: %v, want an error that is no refusal", err)
	}
	if _, err := r.Make(t.Context(), tenant, apppassword.Kept{}); !errors.Is(err, r.shelf.fails) {
		t.Errorf("Make with the database away: %v", err)
	}
}

// TestLimitsAwayRefuseNothing: a cache that does not answer stops nobody's mail.
func TestLimitsAwayRefuseNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	password := r.make(t)
	r.Limits, r.Cache = away{}, away{}
	for range 20 {
		if err := r.find(t, changed(password), ""); !errors.Is(err, apppassword.ErrWrong) {
			t.Fatal(err)
		}
	}
	if err := r.find(t, password, ""); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

type away struct{}

var errAway = errors.New("cache is away")

func (away) Allow(context.Context, string, int, time.Duration) (bool, time.Duration, error) {
	return false, 0, errAway
}
func (away) Get(context.Context, string) ([]byte, bool, error) { return nil, false, errAway }
func (away) Add(context.Context, string, []byte, time.Duration) (bool, error) {
	return false, errAway
}

// TestMakeMeetsATakenSelector: another one is made; who finds only taken ones gives up.
func TestMakeMeetsATakenSelector(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fixed := bytes.Repeat([]byte{7}, 34)
	r.Random = bytes.NewReader(fixed)
	r.make(t)
	r.Random = bytes.NewReader(append(bytes.Clone(fixed), bytes.Repeat([]byte{8}, 34)...))
	if got := r.make(t); got[0] != '8' {
		t.Errorf("got %q, want the second one that was drawn", got)
	}
	r.Random = bytes.NewReader(bytes.Repeat([]byte{7}, 3*34))
	if p, err := r.Make(t.Context(), tenant, apppassword.Kept{}); !errors.Is(err, apppassword.ErrTaken) || p.Reveal() != "" {
		t.Errorf("Make with taken selectors alone = %q, %v, want ErrTaken", p.Reveal(), err)
	}
}

// TestUseIsNotedOncePerHour, so that a program which asks at each request does not write at each.
func TestUseIsNotedOncePerHour(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := apppassword.Kept{ID: "one"}
	for _, step := range []struct {
		after time.Duration
		noted bool
	}{{0, true}, {time.Minute, false}, {58 * time.Minute, false}, {2 * time.Minute, true}, {time.Second, false}} {
		r.now = r.now.Add(step.after)
		before := len(r.shelf.used)
		if err := r.Used(t.Context(), tenant, k); err != nil {
			t.Fatal(err)
		}
		if noted := len(r.shelf.used) > before; noted != step.noted {
			t.Errorf("at %v: noted %v, want %v", r.now, noted, step.noted)
		}
		if len(r.shelf.used) > before {
			k.LastUsedAt = r.now
		}
	}
}
