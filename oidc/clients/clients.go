// Package clients knows who may ask for a sign-in: the client "open" and the
// built-in ones (R13), those that the operator wrote down, those that registered
// themselves (RFC 7591) and whose data is sealed in their id (R14), and those whose
// id is the URL of their metadata (draft-ietf-oauth-client-id-metadata-document, R15). It finds
// them, says which redirect URIs are theirs, checks their credentials and those
// of resource servers, and keeps to the tenant's policy: a client that is
// switched off is unknown. Strangers choose what is read at URLs: it is bounded in size,
// time, number and in what it costs to check, and a document that was good counts
// for up to a day after its own time if its host gives no other.
package clients

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"signpost/directory"
	"signpost/oidc"
)

// Errors of Find.
var (
	// ErrUnknown means that there is no such client in this tenant, or that it is
	// switched off; both look alike. Show it to the person, redirect nowhere.
	ErrUnknown = errors.New("clients: unknown client")
	// ErrUnavailable means that what describes the client cannot be read just now. Try again
	// later; it says nothing against the client.
	ErrUnavailable = errors.New("clients: client cannot be looked up")
)

// Kind says where a client's description comes from.
type Kind string

// Kinds of clients.
const (
	Open       Kind = "open"       // oidc.ClientOpen
	Fixed      Kind = "fixed"      // the operator wrote it down
	BuiltIn    Kind = "built-in"   // it came with Signpost
	Registered Kind = "registered" // sealed in its id
	URL        Kind = "url"        // its id is a URL, at which it describes itself
)

// Client is a program that may ask for a sign-in.
type Client struct {
	ID                     string
	Kind                   Kind
	Name                   string // as it calls itself; to be believed of Fixed and BuiltIn alone
	Host                   string // of a URL id; see Proved
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	SoftwareID             string
	Authentication         string // oidc.AuthNone, ...
	SecretHash             []byte // SHA-256 of the secret
	JWKS                   string // for private_key_jwt
	IDTokenAlgorithm       string // "RS256" or "ES256"
	DPoPBound              bool   // it uses no token that is not bound (RFC 9449, section 5.2)
	Registration           []byte // of a registered one: what to keep with its first grant
}

// Confidential reports whether the client has credentials (RFC 6749, section 2.1).
func (c Client) Confidential() bool {
	return c.Authentication != "" && c.Authentication != oidc.AuthNone
}

// Store keeps the registrations of clients that got a grant (R14). Implemented by internal/store.
type Store interface {
	// Registration returns what CreateGrant kept for the client with this SHA-256 of its id.
	Registration(ctx context.Context, tenant string, idHash []byte) (metadata []byte, found bool, err error)
}

// Sealer makes ids of registrations. Implemented by internal/seal.
type Sealer interface {
	SealSame(purpose string, plaintext, associated []byte) ([]byte, error)
	OpenSame(purpose string, sealed, associated []byte) ([]byte, error)
}

// Marks remembers what may be used once. Implemented by internal/cache.
type Marks interface {
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error)
}

// Documents keeps what URL ids said, for this process alone, and counts how often
// hosts were asked. It must drop by itself what there is no room for. Strangers fill it: keep it apart from what must not be pushed out.
// Implemented by internal/cache, Memory.
type Documents interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
	Allow(ctx context.Context, key string, limit int, span time.Duration) (ok bool, wait time.Duration, err error)
}

// Clients finds clients. Fill in every field. It is safe for use by many goroutines
// and must not be copied.
type Clients struct {
	Store     Store
	Sealer    Sealer
	Fetch     *http.Client // reads metadata documents: NewFetch makes one that is careful
	Documents Documents
	Marks     Marks // of assertions that were used
	Now       func() time.Time

	flights  singleflight.Group // by URL id
	fetching slots              // of documents that are being read
}

// Find returns a tenant's client by its id: ErrUnknown, ErrUnavailable. The tenant's
// policy is applied here and in Recall and nowhere else: a client that is switched off is gone
// at once wherever one of the two is asked, which is wherever a client comes by itself. What
// it was given before opens the places that ask neither until it expires. A client that takes
// the document at its id away stays known for up to a day after the document's own time; to be
// rid of it at once, deny it. A URL that has another meaning in the installation is
// nobody's id (R7).
func (c *Clients) Find(ctx context.Context, r *directory.Realm, id string) (Client, error) {
	return c.lookUp(ctx, r, id, c.described)
}

// Recall is Find for whoever must not wait for a host that a stranger chose: of a URL id
// it knows what was read before, fresh or the last good document, and asks for nothing.
// ErrUnavailable says that nothing is remembered and the policy does not speak against the id,
// ErrUnknown that it does or that there can be no such client.
func (c *Clients) Recall(ctx context.Context, r *directory.Realm, id string) (Client, error) {
	return c.lookUp(ctx, r, id, c.remembered)
}

// byURL finds a client by its id, which is a URL.
type byURL func(ctx context.Context, id string) (Client, error)

func (c *Clients) lookUp(ctx context.Context, r *directory.Realm, id string, describe byURL) (Client, error) {
	if len(id) > maxID || deniedID(r, id) {
		return Client{}, ErrUnknown
	}
	found, err := c.find(ctx, r, id, describe)
	if err != nil {
		return Client{}, err
	}
	if !admitted(r, found) {
		return Client{}, ErrUnknown
	}
	return found, nil
}

// maxID bounds an id: of registrations (R14) and of URLs.
const maxID = 400

func (c *Clients) find(ctx context.Context, r *directory.Realm, id string, describe byURL) (Client, error) {
	if id == oidc.ClientOpen {
		return Client{ID: id, Kind: Open, Authentication: oidc.AuthNone, IDTokenAlgorithm: defaultAlgorithm}, nil
	}
	if fixed, found := r.FixedClient(id); found {
		return fixedClient(r, fixed), nil
	}
	switch {
	case strings.HasPrefix(id, registrationPrefix):
		return c.registered(ctx, r.Name, id)
	case strings.HasPrefix(id, "https://") && !r.Clients.URLsOff && !r.Reserved(id) && !excludedID(r, id): // else nothing is read
		return describe(ctx, id)
	}
	return Client{}, ErrUnknown
}

// defaultAlgorithm is that of ID tokens if the client says nothing
// (https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata).
const defaultAlgorithm = "RS256"

func fixedClient(r *directory.Realm, f directory.FixedClient) Client {
	c := Client{
		ID: f.ID, Kind: BuiltIn, Name: f.Name, RedirectURIs: f.RedirectURIs, PostLogoutRedirectURIs: f.PostLogoutRedirectURIs,
		Authentication: cmp.Or(f.Authentication, oidc.AuthNone), SecretHash: f.SecretHash, JWKS: f.JWKS,
		IDTokenAlgorithm: cmp.Or(f.IDTokenAlgorithm, defaultAlgorithm), DPoPBound: f.DPoPBound,
	}
	if slices.ContainsFunc(r.FixedClients, func(declared directory.FixedClient) bool { return declared.ID == f.ID }) {
		c.Kind = Fixed
	}
	return c
}
