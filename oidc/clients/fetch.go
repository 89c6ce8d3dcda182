package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"signpost/oidc"
)

// Bounds of what strangers make us read (R15).
const (
	fetchTimeout    = 5 * time.Second // of a document together with its keys
	maxDocument     = 5 << 10         // bytes of each
	fetchesPerOwner = 10              // in a minute, of ids that are not known yet
	fetchesPerID    = 1               // in a minute, of one whose last good document can be used meanwhile
	minKept         = 5 * time.Minute // the least that a document is kept, and what it is if the host says nothing
	maxKept         = 24 * time.Hour

	documentOwnerKey = "limit:1:document:owner:"
	documentLimitKey = "limit:1:document:id:"
)

// Media types of documents and of key sets (RFC 7517, section 8.5.2).
const (
	jsonType   = "application/json"
	jwkSetType = "application/jwk-set+json"
)

// errDocument says that the document itself is the reason: what it said before counts no more.
var errDocument = errors.New("metadata document")

// described finds a client by the document at its id. What was read once is kept for a
// while, and as the last good one for a day more; what failed is tried again by whoever asks next.
func (c *Clients) described(ctx context.Context, id string) (Client, error) {
	host, ok := hostOfID(id)
	if !ok {
		return Client{}, ErrUnknown
	}
	if known, found := c.kept(ctx, id); found && known.fresh(c.Now()) {
		return known.Client, nil
	}
	// The reading goes on when the one who asked first hangs up: others wait for it too.
	flight := c.flights.DoChan(id, func() (found any, err error) {
		defer func() {
			if p := recover(); p != nil { // it would end the process; its text is a stranger's
				err = fmt.Errorf("%w: reading its document panicked with a %T", ErrUnavailable, p)
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return c.renewed(ctx, host, id)
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

// renewed reads a document for the first time or again. A host that gives none leaves the
// last good one as it is: only what a document says replaces it.
func (c *Clients) renewed(ctx context.Context, host, id string) (Client, error) {
	last, known := c.kept(ctx, id)
	if known && last.fresh(c.Now()) {
		return last.Client, nil // it was read while this flight waited to begin
	}
	found, err := c.fetched(ctx, host, id, last, known)
	switch {
	case err == nil:
		return found.Client, c.keep(ctx, found)
	case errors.Is(err, errDocument):
		c.forget(ctx, id)
		return Client{}, err
	case known:
		return last.Client, nil
	}
	return Client{}, err
}

// fetched asks for a document within the limits of its host's owner. An id whose document
// was good has a limit of its own, so that nobody uses it up with other ids.
func (c *Clients) fetched(ctx context.Context, host, id string, last lastGood, known bool) (lastGood, error) {
	owner := ownerOf(host)
	if !c.fetching.take(owner) {
		return lastGood{}, fmt.Errorf("%w: too many documents are being read", ErrUnavailable)
	}
	defer c.fetching.leave(owner)
	counter, limit := documentOwnerKey+owner, fetchesPerOwner
	if known {
		counter, limit = documentLimitKey+digestOf(id), fetchesPerID
	}
	ok, _, err := c.Documents.Allow(ctx, counter, limit, time.Minute)
	if err != nil {
		return lastGood{}, fmt.Errorf("%w: count documents: %w", ErrUnavailable, err)
	}
	if !ok {
		return lastGood{}, fmt.Errorf("%w: its host was asked too often", ErrUnavailable)
	}
	return c.read(ctx, id, last, known)
}

// read reads a client's document and its keys.
func (c *Clients) read(ctx context.Context, id string, last lastGood, known bool) (lastGood, error) {
	body, kept, err := c.get(ctx, id, jsonType)
	if err != nil {
		return lastGood{}, err
	}
	client, keysAt, reason := readDocument(id, body)
	if reason != "" {
		return lastGood{}, fmt.Errorf("%w: %w: %s", ErrUnknown, errDocument, reason)
	}
	found := lastGood{Client: client, KeysAt: keysAt}
	if keysAt != "" {
		set, keptKeys, err := c.get(ctx, keysAt, jsonType, jwkSetType)
		switch {
		case err != nil && known && !last.saysTheSame(found):
			return lastGood{}, fmt.Errorf("%w: %w: its keys", err, errDocument)
		case err != nil:
			return lastGood{}, err
		case !publicKeys(set):
			return lastGood{}, fmt.Errorf("%w: %w: what jwks_uri names is not a set of at most eight public keys", ErrUnknown, errDocument)
		}
		found.Client.JWKS, kept = string(set), min(kept, keptKeys)
	}
	found.FreshUntil = c.Now().Add(kept)
	return found, nil
}

// get reads a small JSON document and how long it may be kept. A host that cannot be
// reached is ErrUnavailable, for whatever reason: otherwise the answer would tell which
// names lead inside. A host that answers anything but a document of these types is ErrUnknown.
func (c *Clients) get(ctx context.Context, from string, types ...string) ([]byte, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	request.Header.Set("Accept", strings.Join(types, ", "))
	request.Header.Set("User-Agent", "Signpost")
	answer, err := c.Fetch.Do(request)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer answer.Body.Close()
	if err := acceptable(answer, types); err != nil {
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

// acceptable refuses every answer but a plain 200 of one of the types. A redirect is none
// (draft-ietf-oauth-client-id-metadata-document, section 4).
func acceptable(answer *http.Response, types []string) error {
	switch {
	case answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: its host answered %d", ErrUnavailable, answer.StatusCode)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: its host answered %d", ErrUnknown, answer.StatusCode)
	case answer.Header.Get("Content-Encoding") != "":
		return fmt.Errorf("%w: the document is encoded", ErrUnknown)
	}
	mediaType, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, mediaType) {
		return fmt.Errorf("%w: the document is not %s", ErrUnknown, strings.Join(types, " or "))
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
