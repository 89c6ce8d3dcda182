package clients

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"signpost/oidc"
)

// Bounds of what strangers make us read (R15).
const (
	fetchTimeout    = 5 * time.Second // of a document together with its keys
	maxDocument     = 5 << 10         // bytes of each
	fetchesPerHost  = 10              // in a minute
	fetchesAtOnce   = 32
	minKept         = 5 * time.Minute // the least that a document is kept, and what it is if the host says nothing
	maxKept         = 24 * time.Hour
	documentKey     = "document:1:"
	documentHostKey = "limit:1:document:"
)

// described finds a client by the document at its id. What was read once is kept for a
// while; what failed is tried again by whoever asks next.
func (c *Clients) described(ctx context.Context, id string) (Client, error) {
	host, ok := hostOfID(id)
	if !ok {
		return Client{}, ErrUnknown
	}
	if known, found := c.recall(ctx, id); found {
		return known, nil
	}
	// The reading goes on when the one who asked first hangs up: others wait for it too.
	flight := c.flights.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return c.read(ctx, host, id)
	})
	select {
	case <-ctx.Done():
		return Client{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case result := <-flight:
		if result.Err != nil {
			return Client{}, result.Err
		}
		return result.Val.(Client), nil
	}
}

// recall returns a client whose document is kept.
func (c *Clients) recall(ctx context.Context, id string) (Client, bool) {
	value, found, err := c.Documents.Get(ctx, documentName(id))
	if err != nil || !found {
		return Client{}, false // without the cache the document is read again
	}
	var known Client
	err = json.Unmarshal(value, &known)
	return known, err == nil
}

// documentName names a document in the cache by the digest of its id.
func documentName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return documentKey + base64.RawURLEncoding.EncodeToString(sum[:])
}

// read reads a client's document and its keys, and keeps them.
func (c *Clients) read(ctx context.Context, host, id string) (Client, error) {
	ok, _, err := c.Documents.Allow(ctx, documentHostKey+host, fetchesPerHost, time.Minute)
	if err != nil {
		return Client{}, fmt.Errorf("%w: count documents: %w", ErrUnavailable, err)
	}
	if !ok {
		return Client{}, fmt.Errorf("%w: its host was asked too often", ErrUnavailable)
	}
	if c.fetching.Add(1) > fetchesAtOnce {
		c.fetching.Add(-1)
		return Client{}, fmt.Errorf("%w: too many documents are being read", ErrUnavailable)
	}
	defer c.fetching.Add(-1)
	body, kept, err := c.get(ctx, id)
	if err != nil {
		return Client{}, err
	}
	found, keys, reason := readDocument(id, body)
	if reason != "" {
		return Client{}, fmt.Errorf("%w: metadata document: %s", ErrUnknown, reason)
	}
	if keys != "" {
		set, keptKeys, err := c.get(ctx, keys)
		if err != nil {
			return Client{}, err
		}
		if !publicKeys(set) {
			return Client{}, fmt.Errorf("%w: what jwks_uri names is not a set of public keys", ErrUnknown)
		}
		found.JWKS, kept = string(set), min(kept, keptKeys)
	}
	return found, c.keep(ctx, found, kept)
}

// keep remembers a client for a while. A cache that does not take it costs time, no more.
func (c *Clients) keep(ctx context.Context, found Client, kept time.Duration) error {
	value, err := json.Marshal(found)
	if err != nil {
		return fmt.Errorf("clients: encode document: %w", err)
	}
	_ = c.Documents.Set(ctx, documentName(found.ID), value, kept)
	return nil
}

// get reads a small JSON document and how long it may be kept. A host that cannot be
// reached is ErrUnavailable, for whatever reason: otherwise the answer would tell which
// names lead inside. A host that answers anything but a document is ErrUnknown.
func (c *Clients) get(ctx context.Context, from string) ([]byte, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "Signpost")
	answer, err := c.Fetch.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer answer.Body.Close()
	if err := acceptable(answer); err != nil {
		return nil, 0, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(body) > maxDocument {
		return nil, 0, fmt.Errorf("%w: the document is larger than %d bytes", ErrUnknown, maxDocument)
	}
	return body, keptFor(answer.Header), nil
}

// acceptable refuses every answer but a plain 200 with JSON. A redirect is none
// (draft-ietf-oauth-client-id-metadata-document, section 4).
func acceptable(answer *http.Response) error {
	switch {
	case answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: its host answered %d", ErrUnavailable, answer.StatusCode)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: its host answered %d", ErrUnknown, answer.StatusCode)
	case answer.Header.Get("Content-Encoding") != "":
		return fmt.Errorf("%w: the document is encoded", ErrUnknown)
	}
	mediaType, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return fmt.Errorf("%w: the document is not application/json", ErrUnknown)
	}
	return nil
}

// keptFor reads max-age (RFC 9111, section 5.2.2.1), within bounds.
func keptFor(h http.Header) time.Duration {
	kept := minKept
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minKept
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil {
				kept = time.Duration(min(seconds, int(maxKept/time.Second))) * time.Second
			}
		}
	}
	return max(kept, minKept)
}

// refused says to a program why Find did not find it, and no more than that.
func refused(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return oidc.E(oidc.CodeTemporarilyUnavailable, "the client cannot be looked up just now; try again in a moment").Because(err)
	}
	return invalidClient(err)
}
