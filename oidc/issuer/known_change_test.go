package issuer

import (
	"context"
	"slices"
	"testing"
	"time"
)

// fixed is a database that does not change. meanwhile happens once, after a grant was read.
type fixed struct{ meanwhile func() }

func (f *fixed) Grant(_ context.Context, _, id string) (Grant, error) {
	if do := f.meanwhile; do != nil {
		f.meanwhile = nil
		do()
	}
	return Grant{ID: id, AccountID: "account of " + id, OriginHash: []byte("code of " + id)}, nil
}

func (f *fixed) Account(_ context.Context, _, id string) (Account, error) {
	return Account{ID: id}, nil
}

func (f *fixed) Ended(context.Context, int64) ([]EndedGrant, int64, error) { return nil, 0, nil }

// What a replay or a sign-in in this process changes: the grants that it concerns, of this
// tenant, and nothing else.
func TestR26ChangesOfThisProcess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(k *Known)
		want   []string // known to live afterwards, the one used last first
	}{
		"a replay": {
			func(k *Known) { k.endMade("example", []byte("code of b")) },
			[]string{"other/a", "other/b", "example/c", "example/a"},
		},
		"a replay of a code that made none": {
			func(k *Known) { k.endMade("example", []byte("x")) },
			[]string{"other/a", "other/b", "example/c", "example/b", "example/a"},
		},
		"a sign-in": {
			func(k *Known) { k.changedAccount("example", "account of b") },
			[]string{"other/a", "other/b", "example/c", "example/a"},
		},
		"a sign-in of somebody new": {
			func(k *Known) { k.changedAccount("example", "x") },
			[]string{"other/a", "other/b", "example/c", "example/b", "example/a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := NewKnown(&fixed{}, &fixed{}, time.Minute, time.Now)
			for _, key := range []grantKey{{"example", "a"}, {"example", "b"}, {"example", "c"}, {"other", "b"}, {"other", "a"}} {
				if _, _, err := k.Holder(t.Context(), key.tenant, key.id); err != nil {
					t.Fatalf("Holder(%v): %v", key, err)
				}
			}
			c.change(k)
			living := k.grants.inOrder(func(g knownGrant) bool { return !g.ended() })
			if !slices.Equal(living, c.want) {
				t.Errorf("known to live are %q, want %q", living, c.want)
			}
		})
	}
}

// What is being read while such a change happens is read again.
func TestR26ChangesOfThisProcessDuringARead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(k *Known){
		"a replay":  func(k *Known) { k.endMade("example", []byte("code of a")) },
		"a sign-in": func(k *Known) { k.changedAccount("example", "account of a") },
		"an end":    func(k *Known) { k.End("example", "a") },
	} {
		db, reads := &fixed{}, 0
		k := NewKnown(db, db, time.Minute, time.Now)
		db.meanwhile = func() {
			reads++
			db.meanwhile = func() { reads++ }
			change(k)
		}
		if _, g, err := k.Holder(t.Context(), "example", "a"); err != nil || g.ID != "a" {
			t.Errorf("%s: Holder = %q, %v, want a", name, g.ID, err)
		}
		if reads != 2 {
			t.Errorf("%s: the grant was read %d times, want again after the change", name, reads)
		}
	}
}
