package keys

import (
	"bytes"
	"crypto"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ring is what one tenant signs and checks with. It is not changed once made: what
// depends on the clock is asked with the time of the question.
type ring struct {
	keys []*key // oldest first
	sets []*set // in the order of time
}

type key struct {
	Stored
	signer  crypto.Signer     // nil for a compromised key
	headers map[string]string // of what it signs, encoded, by "typ"
}

// set is the JWK set up to a moment; the last one is for ever, its until is zero.
type set struct {
	until time.Time
	body  []byte
}

func ringOf(stored []Stored) *ring {
	r := &ring{}
	for _, s := range stored {
		r.keys = append(r.keys, &key{Stored: s})
	}
	return r
}

// known reports whether everybody who asks is told of the key: not any more once it
// is removed, and never again once it is compromised.
func (k *key) known(now time.Time) bool {
	return !k.Compromised && (k.RemovedAt.IsZero() || now.Before(k.RemovedAt))
}

func (k *key) in(l Line) bool { return k.Use == l.Use && k.Algorithm == l.Algorithm }

func (r *ring) has(l Line) bool {
	return slices.ContainsFunc(r.keys, func(k *key) bool { return k.in(l) })
}

// head returns the key of a line that none has replaced, or nil.
func (r *ring) head(l Line) *key {
	for _, k := range r.keys {
		if k.in(l) && k.Successor == "" {
			return k
		}
	}
	return nil
}

// signing returns the key of a line that signs now, the newest that may, or nil. A
// line in which none may yet was begun by a replica whose clock is ahead: its first
// key signs, for there is no other.
func (r *ring) signing(l Line, now time.Time) *key {
	var first *key
	for i := len(r.keys) - 1; i >= 0; i-- {
		k := r.keys[i]
		if !k.in(l) || !k.known(now) {
			continue
		}
		if !now.Before(k.SignsFrom) {
			return k
		}
		first = k
	}
	return first
}

// byID returns the key of a use that a token's header names, or nil.
func (r *ring) byID(use Use, id string) *key {
	for _, k := range r.keys {
		if k.Use == use && k.ID == id {
			return k
		}
	}
	return nil
}

// opened returns the private key of a row that this ring has opened, or nil. A nil ring
// has opened none.
func (r *ring) opened(s Stored) crypto.Signer {
	if r == nil {
		return nil
	}
	k := r.byID(s.Use, s.ID)
	if k == nil || k.Algorithm != s.Algorithm || !bytes.Equal(k.Sealed, s.Sealed) {
		return nil
	}
	return k.signer
}

// publish writes the JWK set of now and of each later moment at which a key is removed.
func (r *ring) publish(now time.Time) ([]*set, error) {
	var moments []time.Time
	for _, k := range r.keys {
		if k.known(now) && !k.RemovedAt.IsZero() {
			moments = append(moments, k.RemovedAt)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	var sets []*set
	for _, until := range append(slices.CompactFunc(moments, time.Time.Equal), time.Time{}) {
		body, err := r.write(now)
		if err != nil {
			return nil, err
		}
		sets = append(sets, &set{until, body})
		now = until
	}
	return sets, nil
}

// write writes a JWK set: public halves only, every kind of key but those for one
// server alone, each with its algorithm (RFC 7517, section 5).
func (r *ring) write(now time.Time) ([]byte, error) {
	s := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range r.keys {
		if _, own := k.Use.Server(); !own && k.known(now) {
			s.Keys = append(s.Keys, jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"})
		}
	}
	return json.Marshal(s)
}

// published returns the JWK set of a moment.
func (r *ring) published(now time.Time) *set {
	last := len(r.sets) - 1
	for _, s := range r.sets[:last] {
		if now.Before(s.until) {
			return s
		}
	}
	return r.sets[last]
}
