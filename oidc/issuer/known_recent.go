package issuer

import (
	"container/list"
	"slices"
	"time"
)

type grantKey struct{ tenant, id string }

// knownGrant is what is known of one grant. It is copied, never changed in place.
type knownGrant struct {
	key      grantKey
	account  Account
	grant    Grant
	readAt   time.Time // before it was read; zero if it could not be read yet
	failedAt time.Time // when a look-up failed; zero after one that did not
}

func (g knownGrant) read() bool { return !g.readAt.IsZero() }

func (g knownGrant) ended() bool { return !g.grant.EndedAt.IsZero() }

// origin is what several grants may have in common, or what one is known by besides its ID.
type origin struct{ kind, tenant, value string }

func ofAccount(tenant, id string) origin { return origin{"account", tenant, id} }

func ofCode(tenant string, hash []byte) origin { return origin{"code", tenant, string(hash)} }

func (g knownGrant) origins() [2]origin {
	return [...]origin{ofAccount(g.key.tenant, g.grant.AccountID), ofCode(g.key.tenant, g.grant.OriginHash)}
}

// recentGrants is a bounded set of grants: the one that was unused for longest makes
// way. It has no lock; Known's is held.
type recentGrants struct {
	most     int
	byKey    map[grantKey]*list.Element
	byOrigin map[origin][]grantKey // of those that could be read
	order    *list.List            // of knownGrant, the one used last in front
}

func newRecentGrants(most int) *recentGrants {
	return &recentGrants{most: most, byKey: map[grantKey]*list.Element{}, byOrigin: map[origin][]grantKey{}, order: list.New()}
}

func (r *recentGrants) get(key grantKey) (knownGrant, bool) {
	e, found := r.byKey[key]
	if !found {
		return knownGrant{}, false
	}
	r.order.MoveToFront(e)
	return e.Value.(knownGrant), true
}

// having returns the grants of an account, or of a code.
func (r *recentGrants) having(o origin) []grantKey { return slices.Clone(r.byOrigin[o]) }

func (r *recentGrants) put(g knownGrant) {
	r.drop(g.key)
	r.byKey[g.key] = r.order.PushFront(g)
	if g.read() {
		for _, o := range g.origins() {
			r.byOrigin[o] = append(r.byOrigin[o], g.key)
		}
	}
	if r.order.Len() > r.most {
		r.drop(r.order.Back().Value.(knownGrant).key)
	}
}

func (r *recentGrants) drop(key grantKey) {
	e, found := r.byKey[key]
	if !found {
		return
	}
	g := r.order.Remove(e).(knownGrant)
	delete(r.byKey, key)
	if !g.read() {
		return
	}
	for _, o := range g.origins() {
		rest := slices.DeleteFunc(r.byOrigin[o], func(other grantKey) bool { return other == key })
		if len(rest) == 0 {
			delete(r.byOrigin, o)
		} else {
			r.byOrigin[o] = rest
		}
	}
}

func (r *recentGrants) clear() {
	clear(r.byKey)
	clear(r.byOrigin)
	r.order.Init()
}
