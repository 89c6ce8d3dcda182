package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	stdjson "encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json" // refuses members that come twice, and tells upper from lower case

	"signpost/directory"
	"signpost/oidc"
	"signpost/scopes"
)

const (
	// registrationPrefix begins the id of everyone who registered.
	registrationPrefix = "reg_"
	// registrationPurpose is the seal's; registrationVersion is in its associated data.
	registrationPurpose = "registration"
	registrationVersion = "1"
	// maxSoftwareID bounds a software id; a UUID has 36 characters.
	maxSoftwareID = 100
)

// Registration is the answer to a registration (RFC 7591, section 3.2.1): what was
// registered, which may be less or other than what was sent. It has no client_id_issued_at,
// because the same registration gets the same id at any time, and no secret.
type Registration struct {
	ClientID        string   `json:"client_id"`
	RedirectURIs    []string `json:"redirect_uris"`
	Authentication  string   `json:"token_endpoint_auth_method"`
	GrantTypes      []string `json:"grant_types"`
	ResponseTypes   []string `json:"response_types"`
	Scope           string   `json:"scope"`
	ClientName      string   `json:"client_name,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	ApplicationType string   `json:"application_type"`
	DPoPBound       bool     `json:"dpop_bound_access_tokens"`
}

// asked is what is read of a registration request (RFC 7591, section 2). Everything
// else in it is ignored.
type asked struct {
	RedirectURIs   []string `json:"redirect_uris"`
	Authentication string   `json:"token_endpoint_auth_method"`
	GrantTypes     []string `json:"grant_types"`
	ResponseTypes  []string `json:"response_types"`
	Scope          *string  `json:"scope"`
	ClientName     string   `json:"client_name"`
	SoftwareID     string   `json:"software_id"`
	DPoPBound      bool     `json:"dpop_bound_access_tokens"`
}

// kept is what a registration comes to: it is sealed in the id, and kept with the
// first grant. The letters are short because the id must be.
type kept struct {
	RedirectURIs []string `json:"r"`
	Name         string   `json:"n,omitempty"`
	SoftwareID   string   `json:"s,omitempty"`
	DPoPBound    bool     `json:"d,omitempty"`
}

// Register makes a client of what the body says, a JSON object (RFC 7591, section
// 3.1). The client's data is its id, so nothing is stored and a flood of registrations takes no
// room (R14). Failures are *oidc.Error: invalid_redirect_uri, invalid_client_metadata,
// access_denied if the tenant has registration switched off.
func (c *Clients) Register(_ context.Context, r *directory.Realm, body []byte) (Registration, error) {
	if r.Clients.RegistrationOff {
		return Registration{}, oidc.E(oidc.CodeAccessDenied, "programs cannot register here")
	}
	a, err := readAsked(body)
	if err != nil {
		return Registration{}, err
	}
	granted, err := a.grantable(r)
	if err != nil {
		return Registration{}, err
	}
	k := kept{RedirectURIs: distinct(a.RedirectURIs), Name: cleanName(a.ClientName), SoftwareID: a.SoftwareID, DPoPBound: a.DPoPBound}
	id, err := c.registrationID(r.Name, k)
	if err != nil {
		return Registration{}, err
	}
	if deniedID(r, id) || !admitted(r, k.client(id, nil)) {
		return Registration{}, metadata("this organisation does not admit the program; its administrator can")
	}
	return Registration{
		ClientID: id, RedirectURIs: k.RedirectURIs, Authentication: oidc.AuthNone,
		GrantTypes: grantTypes(r), ResponseTypes: []string{"code"}, Scope: granted.String(),
		ClientName: k.Name, SoftwareID: k.SoftwareID, ApplicationType: "native", DPoPBound: k.DPoPBound,
	}, nil
}

// readAsked reads a request and refuses what cannot be registered.
func readAsked(body []byte) (asked, error) {
	var a asked
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return asked{}, metadata("send the client's metadata as one JSON object")
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return asked{}, metadata("the body is not a JSON object with the members of RFC 7591, each once and of its type").Because(err)
	}
	if len(a.RedirectURIs) == 0 {
		return asked{}, oidc.E(oidc.CodeInvalidRedirectURI, "redirect_uris is missing; "+redirectHint)
	}
	if slices.ContainsFunc(a.RedirectURIs, func(uri string) bool { return !native(uri) }) {
		return asked{}, oidc.E(oidc.CodeInvalidRedirectURI, "a redirect URI cannot be registered here; "+redirectHint)
	}
	switch {
	case a.Authentication != "" && a.Authentication != oidc.AuthNone:
		return asked{}, metadata("token_endpoint_auth_method must be none: everybody may register, so credentials would prove nothing; use PKCE and, for HTTP, DPoP")
	case len(a.ResponseTypes) > 0 && !slices.Contains(a.ResponseTypes, "code"):
		return asked{}, metadata("response_types must include code")
	case len(a.GrantTypes) > 0 && !slices.Contains(a.GrantTypes, oidc.GrantTypeAuthorizationCode):
		return asked{}, metadata("grant_types must include authorization_code")
	case len(a.SoftwareID) > maxSoftwareID || strings.ContainsFunc(a.SoftwareID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return asked{}, metadata("software_id must be at most 100 printable ASCII characters without spaces, such as a UUID")
	}
	return a, nil
}

const redirectHint = "use http://127.0.0.1/…, http://[::1]/…, or a private-use scheme with a dot and one slash such as com.example.app:/…, without query, fragment, dot segments or escapes"

// grantable returns the tenant's scopes within those that were asked for.
func (a asked) grantable(r *directory.Realm) (scopes.Set, error) {
	supported := r.Supported()
	if a.Scope == nil || *a.Scope == "" {
		return supported, nil
	}
	wanted, err := scopes.Parse(*a.Scope)
	if err != nil {
		return scopes.Set{}, metadata("scope is not a list of words with one space between them")
	}
	granted := wanted.Without(wanted.Without(supported.Words()...).Words()...)
	if granted.Len() == 0 {
		return scopes.Set{}, metadata("none of the scopes exists here; see scopes_supported in the metadata")
	}
	return granted, nil
}

// grantTypes are those of the token endpoint that a registered program may use.
func grantTypes(r *directory.Realm) []string {
	types := []string{oidc.GrantTypeAuthorizationCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeTokenExchange}
	if r.Clients.Device == directory.DeviceOn {
		types = append(types, oidc.GrantTypeDeviceCode)
	}
	return types
}

func metadata(description string) *oidc.Error {
	return oidc.E(oidc.CodeInvalidClientMetadata, description)
}

// registrationID seals a registration. The same registration gets the same id.
func (c *Clients) registrationID(tenant string, k kept) (string, error) {
	var plain bytes.Buffer
	e := stdjson.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(k); err != nil {
		return "", fmt.Errorf("clients: encode registration: %w", err)
	}
	sealed, err := c.Sealer.SealSame(registrationPurpose, bytes.TrimSuffix(plain.Bytes(), []byte("\n")), associated(tenant))
	if err != nil {
		return "", fmt.Errorf("clients: seal registration: %w", err)
	}
	id := registrationPrefix + base64.RawURLEncoding.EncodeToString(sealed)
	if len(id) > maxID {
		return "", metadata("the registration is too long; send fewer or shorter redirect URIs, or a shorter client_name")
	}
	return id, nil
}

// associated binds an id to its tenant and to how it is written.
func associated(tenant string) []byte { return []byte(registrationVersion + " " + tenant) }

// registered finds a client by what was kept with its first grant, or else by what
// is sealed in its id (R14).
func (c *Clients) registered(ctx context.Context, tenant, id string) (Client, error) {
	sealed, ok := sealedIn(id)
	if !ok {
		return Client{}, ErrUnknown
	}
	sum := sha256.Sum256([]byte(id))
	plain, found, away := c.Store.Registration(ctx, tenant, sum[:])
	if away != nil || !found {
		var err error
		plain, err = c.Sealer.OpenSame(registrationPurpose, sealed, associated(tenant))
		if err != nil && away != nil {
			return Client{}, fmt.Errorf("%w: registration: %w", ErrUnavailable, away) // it may have a row
		}
		if err != nil {
			return Client{}, ErrUnknown
		}
	}
	var k kept
	if err := stdjson.Unmarshal(plain, &k); err != nil {
		return Client{}, fmt.Errorf("%w: registration is damaged: %w", ErrUnknown, err)
	}
	return k.client(id, plain), nil
}

// sealedIn takes the id apart. Only the one spelling that was given out is taken: a
// decoder forgives line ends and stray bits, and each would be another client of the same name.
func sealedIn(id string) ([]byte, bool) {
	encoded, ok := strings.CutPrefix(id, registrationPrefix)
	if !ok || len(id) > maxID {
		return nil, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	return sealed, err == nil && base64.RawURLEncoding.EncodeToString(sealed) == encoded
}

func (k kept) client(id string, plain []byte) Client {
	return Client{
		ID: id, Kind: Registered, Name: k.Name, RedirectURIs: k.RedirectURIs, SoftwareID: k.SoftwareID,
		Authentication: oidc.AuthNone, IDTokenAlgorithm: defaultAlgorithm, DPoPBound: k.DPoPBound, Registration: plain,
	}
}

// distinct returns a list without repetitions, in its order.
func distinct(list []string) []string {
	var once []string
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}
