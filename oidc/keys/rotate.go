package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"
)

// Times of a rotation.
const (
	// CachedFor is how long others may keep /jwks.
	CachedFor = 5 * time.Minute
	// Lead is how long a new key is published before it signs: twice as long as /jwks
	// is kept, so that replicas may learn of it late and nobody meets a signature
	// by a key that is new to him (R34).
	Lead = 2 * CachedFor
	// Longest is the longest life of a token: that of policy.Lifetime, and the most
	// that a service may declare.
	Longest = time.Hour
	// Leeway is how much longer a replaced key is published than the last token that it
	// could have signed is good: clocks differ, and whoever validates may allow for it.
	Leeway = 5 * time.Minute
)

// rotateTries is how often Rotate starts again when somebody else rotates at the same time.
const rotateTries = 5

// Rotation is what Rotate did with one line.
type Rotation struct {
	Line
	Old       string    // id of the key that was replaced; empty if nothing was done
	New       string    // id of the head of the line
	SignsFrom time.Time // of the new key
	RemovedAt time.Time // of the old key
}

// Rotate puts a new key at the head of a tenant's line. It is published at once and
// signs after Lead; the old one stays published until the last token that it could
// have signed is over. A line whose newest key does not sign yet is left as it is:
// Old is empty then.
//
// With compromised, the new key signs at once, and all keys before it are published
// no more and verify nothing, whatever was signed by them.
//
// It changes the store alone, which raises the revision: whoever signs and checks
// learns it with Ensure. ErrNoKey means that the tenant has no such line;
// ErrReplaced that others kept rotating: try again.
func (k *Keys) Rotate(ctx context.Context, tenant string, l Line, compromised bool) (Rotation, error) {
	for range rotateTries {
		done, err := k.rotate(ctx, tenant, l, compromised)
		if errors.Is(err, ErrReplaced) {
			continue
		}
		if err != nil {
			return Rotation{}, fmt.Errorf("rotate %s key %s of tenant %s: %w", l.Use, l.Algorithm, tenant, err)
		}
		return done, nil
	}
	return Rotation{}, fmt.Errorf("rotate %s key %s of tenant %s: %w", l.Use, l.Algorithm, tenant, ErrReplaced)
}

func (k *Keys) rotate(ctx context.Context, tenant string, l Line, compromised bool) (Rotation, error) {
	stored, err := k.store.Keys(ctx, tenant)
	if err != nil {
		return Rotation{}, err
	}
	head := ringOf(stored).head(l)
	if head == nil {
		return Rotation{}, ErrNoKey
	}
	now := k.now()
	if !compromised && now.Before(head.SignsFrom) {
		return Rotation{Line: l, New: head.ID, SignsFrom: head.SignsFrom}, nil
	}
	next, err := k.create(tenant, l, now)
	if err != nil {
		return Rotation{}, err
	}
	// The order of a line is that of its making, also where clocks differ.
	if earliest := head.CreatedAt.Add(time.Millisecond); next.CreatedAt.Before(earliest) {
		next.CreatedAt = earliest
	}
	removed := now
	if !compromised {
		next.SignsFrom = now.Add(Lead)
		removed = next.SignsFrom.Add(Longest + Leeway)
	}
	err = k.store.ReplaceKey(ctx, tenant, Replacement{Head: head.ID, Next: next, RemovedAt: removed, Compromised: compromised})
	return Rotation{Line: l, Old: head.ID, New: next.ID, SignsFrom: next.SignsFrom, RemovedAt: removed}, err
}

// State says what a key is good for at a moment.
type State string

// States of a key.
const (
	Signs       State = "signs"
	Next        State = "next"        // published, signs from SignsFrom
	Old         State = "old"         // replaced, published until RemovedAt
	Removed     State = "removed"     // not published any more
	Compromised State = "compromised" // nothing that it signed counts
)

// Listed is a key with its state.
type Listed struct {
	Stored
	State State
}

// List returns a tenant's keys with their states of this moment, oldest first, and
// without the sealed private halves.
func (k *Keys) List(ctx context.Context, tenant string) ([]Listed, error) {
	stored, err := k.store.Keys(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("list keys of tenant %s: %w", tenant, err)
	}
	now := k.now()
	r := ringOf(stored)
	list := make([]Listed, 0, len(r.keys))
	for _, key := range r.keys {
		listed := Listed{key.Stored, r.state(key, now)}
		listed.Sealed = nil
		list = append(list, listed)
	}
	return list, nil
}

// Public is the public half of a key, with its state.
type Public struct {
	ID        string
	Algorithm string
	State     State
	SignsFrom time.Time
	Key       crypto.PublicKey // nil for a compromised key
}

// Publics returns the public halves of all keys of a use as they were loaded, oldest first, with
// their states of this moment: also of those that are not published. ErrNoKey for a tenant
// whose keys were not loaded.
func (k *Keys) Publics(tenant string, use Use) ([]Public, error) {
	r, err := k.ring(tenant)
	if err != nil {
		return nil, err
	}
	now := k.now()
	var found []Public
	for _, key := range r.keys {
		if key.Use != use {
			continue
		}
		p := Public{ID: key.ID, Algorithm: key.Algorithm, State: r.state(key, now), SignsFrom: key.SignsFrom}
		if key.signer != nil {
			p.Key = key.signer.Public()
		}
		found = append(found, p)
	}
	return found, nil
}

func (r *ring) state(k *key, now time.Time) State {
	switch {
	case k.Compromised:
		return Compromised
	case !k.known(now):
		return Removed
	case k == r.signing(Line{k.Use, k.Algorithm}, now):
		return Signs
	case now.Before(k.SignsFrom):
		return Next
	}
	return Old
}
