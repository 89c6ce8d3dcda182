package cache

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// Guard hides from Redis what is kept in it. Implemented by seal.Box.
type Guard interface {
	// Name returns bytes that stand for data, the same ones each time, and tell
	// nothing about it. A guard with another first key names differently.
	Name(purpose string, data []byte) ([]byte, error)
	// SealFor encrypts for OpenFor with the same purpose, secret and associated data.
	SealFor(purpose string, secret, plaintext, associated []byte) ([]byte, error)
	// OpenFor returns what SealFor encrypted, or an error.
	OpenFor(purpose string, secret, sealed, associated []byte) ([]byte, error)
}

// keyPrefix begins every key and channel: rights in Redis are given by it. The
// number is the version of names and envelopes; another form gets another number,
// so that old and new processes beside each other do not misread what they find.
const keyPrefix = "signpost:1:"

// The kinds of names keep values, counters and messages apart.
const (
	valueKind   = "cache value"
	counterKind = "cache counter"
	messageKind = "cache message"
)

// place is where something is kept or sent.
type place struct {
	kind   string
	secret []byte // from the caller's key: it is not in Redis, and without it nothing opens
	name   string // in Redis
}

// place names a caller's key. The braces make the whole MAC the hash tag of Redis
// Cluster, so that anything made beside an entry one day lies on the same server.
func (r *Redis) place(kind, key string) (place, error) {
	mac, err := r.guard.Name(kind, []byte(key))
	if err != nil {
		return place{}, fmt.Errorf("cache: name of an entry: %w", err)
	}
	return place{
		kind:   kind,
		secret: []byte(kind + ":" + key), // never empty, though a key may be
		name:   keyPrefix + "{" + base64.RawURLEncoding.EncodeToString(mac) + "}",
	}, nil
}

// expirySize is the length of what stands before a value in its envelope: the
// time at which it ends, in milliseconds since 1970, big-endian. Redis forgets by
// itself; this is for entries that somebody made stay or put back.
const expirySize = 8

func (r *Redis) seal(p place, value []byte, expires time.Time) ([]byte, error) {
	envelope := binary.BigEndian.AppendUint64(nil, uint64(expires.UnixMilli()))
	sealed, err := r.guard.SealFor(p.kind, p.secret, append(envelope, value...), []byte(p.name))
	if err != nil {
		return nil, fmt.Errorf("cache: seal: %w", err)
	}
	return sealed, nil
}

// open returns the value and whether there is one: what does not open, or has
// ended, is not there.
func (r *Redis) open(p place, sealed []byte) ([]byte, bool) {
	envelope, err := r.guard.OpenFor(p.kind, p.secret, sealed, []byte(p.name))
	if err != nil || len(envelope) < expirySize {
		return nil, false
	}
	expires := int64(binary.BigEndian.Uint64(envelope))
	if r.now().UnixMilli() >= expires {
		return nil, false
	}
	return envelope[expirySize:], true
}

// wholeMilliseconds rounds a positive duration up to what Redis counts in.
func wholeMilliseconds(d time.Duration) time.Duration {
	if part := d % time.Millisecond; part > 0 {
		d += time.Millisecond - part
	}
	return d
}
