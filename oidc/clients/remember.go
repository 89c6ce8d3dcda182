package clients

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

const (
	documentKey = "document:1:"
	// goodFor is how long a document that was good is used when it is no longer fresh and
	// its host gives no other. A client that takes its document away is known for that long:
	// to be rid of it at once, the operator denies it.
	goodFor = 24 * time.Hour
)

// lastGood is what is remembered of a client's document.
type lastGood struct {
	Client     Client
	KeysAt     string    // jwks_uri
	FreshUntil time.Time // until then nobody is asked
}

func (l lastGood) fresh(now time.Time) bool { return now.Before(l.FreshUntil) }

// saysTheSame compares documents, keys at a URL apart.
func (l lastGood) saysTheSame(other lastGood) bool {
	l.Client.JWKS, other.Client.JWKS = "", ""
	return l.KeysAt == other.KeysAt && reflect.DeepEqual(l.Client, other.Client)
}

// remembered finds a client by what is remembered of its document.
func (c *Clients) remembered(ctx context.Context, id string) (Client, error) {
	if _, ok := hostOfID(id); !ok {
		return Client{}, ErrUnknown
	}
	known, found := c.kept(ctx, id)
	if !found {
		return Client{}, fmt.Errorf("%w: its document is not remembered", ErrUnavailable)
	}
	return known.Client, nil
}

// kept returns what is remembered of an id. Without the cache its document is read again.
func (c *Clients) kept(ctx context.Context, id string) (lastGood, bool) {
	value, found, err := c.Documents.Get(ctx, documentKey+digestOf(id))
	if err != nil || !found {
		return lastGood{}, false
	}
	var known lastGood
	if err := json.Unmarshal(value, &known); err != nil {
		return lastGood{}, false
	}
	return known, c.Now().Before(known.FreshUntil.Add(goodFor))
}

// keep remembers a client. A cache that does not take it costs time, no more. The time for
// reading may be over by now: it is not the cache's.
func (c *Clients) keep(ctx context.Context, found lastGood) error {
	value, err := json.Marshal(found)
	if err != nil {
		return fmt.Errorf("clients: encode document: %w", err)
	}
	life := found.FreshUntil.Sub(c.Now()) + goodFor
	_ = c.Documents.Set(context.WithoutCancel(ctx), documentKey+digestOf(found.Client.ID), value, life)
	return nil
}

// forget drops what is remembered of an id. If the cache does not, its next reading does.
func (c *Clients) forget(ctx context.Context, id string) {
	_ = c.Documents.Delete(context.WithoutCancel(ctx), documentKey+digestOf(id))
}

// digestOf names an id in the cache: ids are long.
func digestOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
