package issuer

import (
	"slices"
	"testing"
	"time"
)

// inOrder returns tenant and ID of each grant for which the condition holds, the one used
// last first.
func (r *recentGrants) inOrder(holds func(knownGrant) bool) (names []string) {
	for e := r.order.Front(); e != nil; e = e.Next() {
		if g := e.Value.(knownGrant); holds(g) {
			names = append(names, g.key.tenant+"/"+g.key.id)
		}
	}
	return names
}

// The set is bounded, what was used last stays, and nothing is found by what has gone.
func TestRecentGrantsAreBounded(t *testing.T) {
	t.Parallel()
	key := func(id string) grantKey { return grantKey{"t", id} }
	read := func(id string) knownGrant {
		return knownGrant{key: key(id), readAt: time.Unix(1, 0), grant: Grant{ID: id, AccountID: "one", OriginHash: []byte("code of " + id)}}
	}
	r := newRecentGrants(3)
	has := func(when string, want ...string) {
		t.Helper()
		if got := r.inOrder(func(knownGrant) bool { return true }); !slices.Equal(got, want) || len(r.byKey) != len(want) {
			t.Errorf("%s: %q by order and %d by key, want %q", when, got, len(r.byKey), want)
		}
		account := r.having(ofAccount("t", "one"))
		if len(account) != len(want) {
			t.Errorf("%s: %q by account, want %q", when, account, want)
		}
		for _, k := range account {
			if got := r.having(ofCode("t", []byte("code of "+k.id))); !slices.Equal(got, []grantKey{k}) {
				t.Errorf("%s: %q by the code of %s, want it", when, got, k.id)
			}
		}
		if got := len(r.byOrigin); got != len(want)+min(1, len(want)) {
			t.Errorf("%s: %d origins, want one for each of %q and one for their account", when, got, want)
		}
	}
	for _, id := range []string{"a", "b", "c"} {
		r.put(read(id))
	}
	has("three", "t/c", "t/b", "t/a")
	if _, found := r.get(key("a")); !found {
		t.Error("a is not there, want it")
	}
	has("one used", "t/a", "t/c", "t/b")
	r.put(read("d"))
	has("a fourth", "t/d", "t/a", "t/c")
	if _, found := r.get(key("b")); found {
		t.Error("b is there, want the one that was unused for longest gone")
	}
	again := read("c")
	again.grant.ClientID = "open"
	r.put(again)
	has("one again", "t/c", "t/d", "t/a")
	if g, _ := r.get(key("c")); g.grant.ClientID != "open" {
		t.Errorf("c is %+v, want what was put last", g)
	}
	r.drop(key("d"))
	r.drop(key("none"))
	has("one dropped", "t/c", "t/a")
	r.clear()
	has("cleared")

	r.put(knownGrant{key: key("e"), failedAt: time.Unix(1, 0)})
	if _, found := r.get(key("e")); !found || len(r.byOrigin) != 0 {
		t.Errorf("one that could not be read: found %v, with %d origins, want it with none", found, len(r.byOrigin))
	}
	r.put(read("e"))
	has("then read", "t/e")
}
