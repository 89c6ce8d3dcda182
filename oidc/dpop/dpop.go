// Package dpop checks proofs of possession: small signed tokens by which a program
// shows, request by request, that it holds the key that its tokens are bound to
// (RFC 9449). It answers with the key's thumbprint; what may be done with that is
// oidc/policy's decision. Every proof needs a nonce of ours, so that none can be
// made in advance (RFC 9449, section 11.2).
package dpop

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"sync"
	"time"

	"signpost/oidc"
)

// Bounds of a proof.
const (
	// maxProof bounds a header; a proof with an RSA key of 4096 bits is below 2 KiB.
	maxProof = 4 << 10
	// maxID bounds "jti"; a UUID has 36 characters.
	maxID = 256
	// leeway is how far "iat" may be from now, either way: the clocks of devices differ by seconds, and
	// a line may be slow. It is also how long a proof can come again if the marks are lost (R19).
	leeway = time.Minute
	// slot is how long one nonce is given out. It is taken for one slot more.
	slot = 5 * time.Minute
)

// noncePurpose separates nonces from everything else that is named with the server key.
const noncePurpose = "dpop-nonce"

// Namer makes names that only this server can make. Implemented by internal/seal.
type Namer interface {
	Name(purpose string, data []byte) ([]byte, error)
}

// Marks remembers proofs that were used. Whoever has a key of any kind can add to them,
// so keep them apart from what must not be pushed out. Implemented by internal/cache.
type Marks interface {
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error)
}

// Checker checks proofs for all tenants. Fill in every field. It is safe for use
// by many goroutines and must not be copied.
type Checker struct {
	Namer Namer
	Marks Marks
	Now   func() time.Time

	nonces sync.Map // of tenants, by name: nonceOf
}

// Request is what a proof has to fit.
type Request struct {
	Headers     []string // values of the header DPoP
	Method      string   // of the request
	URL         string   // published URL of the endpoint
	AccessToken string   // that came with the request; empty at the token endpoint
}

// Check returns the thumbprint of the key that the request proves to hold (RFC 7638,
// section 3, with SHA-256, in base64url), or "" if it has no proof. Failures are *oidc.Error:
// invalid_dpop_proof, use_dpop_nonce (send what Nonce returns along), and
// temporarily_unavailable if the marks cannot be kept. A proof that was accepted
// is used up.
func (c *Checker) Check(ctx context.Context, tenant string, r Request) (key string, err error) {
	if len(r.Headers) == 0 {
		return "", nil
	}
	if len(r.Headers) > 1 {
		return "", invalid("send one DPoP header")
	}
	p, err := parse(r.Headers[0])
	if err != nil {
		return "", err
	}
	if err := p.fits(r); err != nil {
		return "", err
	}
	now := c.Now()
	if age := float64(now.UnixMilli())/1000 - *p.IssuedAt; age > leeway.Seconds() || age < -leeway.Seconds() {
		return "", invalid("iat of the proof is more than a minute from now; make a new proof for every request and set the clock")
	}
	if err := c.nonce(tenant, p.Nonce, now); err != nil {
		return "", err
	}
	if err := c.once(ctx, tenant, p); err != nil {
		return "", err
	}
	return p.key, nil
}

// fits compares the proof with the request that it came with.
func (p proof) fits(r Request) error {
	sent, sentOK := normalise(p.URL)
	want, wantOK := normalise(r.URL)
	switch {
	case p.Method != r.Method:
		return invalid("htm of the proof is not the method of this request")
	case !sentOK || !wantOK || sent != want:
		return invalid("htu of the proof is not the URL of this endpoint as the metadata spell it")
	case p.IssuedAt == nil:
		return invalid("iat of the proof is missing")
	case p.ID == "" || len(p.ID) > maxID:
		return invalid("jti of the proof is missing or too long")
	case r.AccessToken != "" && !equal(p.AccessTokenHash, hash(r.AccessToken)):
		return invalid("ath of the proof is not the hash of the access token of this request")
	}
	return nil
}

// Nonce returns what goes into the header DPoP-Nonce of every answer to this tenant's
// programs (RFC 9449, section 8): the same on all replicas, taken for 5 to 10 minutes. It is "" if
// the server key cannot be used, which Check then says.
func (c *Checker) Nonce(tenant string) string {
	n, err := c.nonceAt(tenant, c.Now())
	if err != nil {
		return ""
	}
	return n
}

// nonce demands a nonce of this slot or the one before (RFC 9449, section 9).
func (c *Checker) nonce(tenant, presented string, now time.Time) error {
	ok := false
	for _, at := range []time.Time{now, now.Add(-slot)} {
		n, err := c.nonceAt(tenant, at)
		if err != nil {
			return unavailable("make nonce", err)
		}
		ok = equal(presented, n) || ok
	}
	if !ok {
		return oidc.E(oidc.CodeUseDPoPNonce, "make the proof again with the nonce of this answer's DPoP-Nonce header")
	}
	return nil
}

// nonceAt names the slot of time that at lies in. Every answer has one, so the last one of each
// tenant is remembered.
func (c *Checker) nonceAt(tenant string, at time.Time) (string, error) {
	number := at.Unix() / int64(slot/time.Second)
	known, _ := c.nonces.Load(tenant)
	last, _ := known.(nonceOf)
	if last.nonce != "" && last.slot == number {
		return last.nonce, nil
	}
	name, err := c.Namer.Name(noncePurpose, []byte(strconv.FormatInt(number, 10)+" "+tenant))
	if err != nil {
		return "", err
	}
	made := nonceOf{number, base64.RawURLEncoding.EncodeToString(name[:16])}
	if number > last.slot { // not the one before, which only checks ask for
		c.nonces.Store(tenant, made)
	}
	return made.nonce, nil
}

// nonceOf is the nonce of a slot of time.
type nonceOf struct {
	slot  int64
	nonce string
}

// once marks the proof as used. The mark is kept until "iat" has gone by for every
// clock; if it is lost before, the proof's window is what is left (R19).
func (c *Checker) once(ctx context.Context, tenant string, p proof) error {
	won, err := c.Marks.Add(ctx, "dpop:1:"+tenant+":"+hash(p.key+" "+p.ID), []byte{1}, 2*leeway+time.Second)
	if err != nil {
		return unavailable("mark proof", err)
	}
	if !won {
		return invalid("the proof was used before; make a new one for every request")
	}
	return nil
}

// hash is SHA-256 in base64url: what "ath" is (RFC 9449, section 4.2).
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// equal compares without telling by its time how much was right.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func invalid(description string) *oidc.Error {
	return oidc.E(oidc.CodeInvalidDPoPProof, description)
}

func unavailable(doing string, err error) error {
	return oidc.E(oidc.CodeTemporarilyUnavailable, "the service cannot answer just now; try again in a moment").
		Because(fmt.Errorf("%s: %w", doing, err))
}
