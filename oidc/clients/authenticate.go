package clients

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"signpost/directory"
	"signpost/oidc"
)

// Credentials are what a program presents to say who it is.
type Credentials struct {
	Form          url.Values
	Authorization []string // values of the header
	Endpoint      string   // published URL of the endpoint: an audience of assertions beside the issuer
}

// maxSecret bounds a secret that is presented.
const maxSecret = 1 << 10

// Authenticate finds the client that a request comes from and checks its
// credentials, or that a public one has none (RFC 6749, section 2.3). The client's own method
// decides: no other is taken, and no two at once. Failures are *oidc.Error: invalid_client
// in the same words for every reason, invalid_request if there is no client_id,
// temporarily_unavailable.
func (c *Clients) Authenticate(ctx context.Context, r *directory.Realm, p Credentials) (Client, error) {
	shown, err := read(p)
	if err != nil {
		return Client{}, err
	}
	found, lookup := c.Find(ctx, r, shown.id)
	if errors.Is(lookup, ErrUnavailable) {
		return Client{}, refused(lookup)
	}
	// An unknown client goes the same way as one with another secret.
	owner := holder{tenant: r.Name, id: shown.id, method: found.Authentication, secretHash: found.SecretHash, jwks: found.JWKS}
	owner.audiences = []string{r.Issuer, r.URL("/token"), p.Endpoint}
	err = c.check(ctx, shown, owner)
	if lookup != nil {
		return Client{}, refused(lookup)
	}
	if err != nil {
		return Client{}, err
	}
	return found, nil
}

// ResourceServer finds the resource server that a request comes from and checks its
// credentials, as Authenticate does. Who has a secret may send it by Basic or in
// the form; parameters without a value beside it count as left out (RFC 6749,
// section 3.2), as some servers send them. Failures are *oidc.Error: invalid_client,
// temporarily_unavailable.
func (c *Clients) ResourceServer(ctx context.Context, r *directory.Realm, p Credentials) (directory.ResourceServer, error) {
	shown, err := read(p)
	if err != nil {
		return directory.ResourceServer{}, invalidClient(err)
	}
	found, known := r.ResourceServer(shown.id)
	owner := holder{tenant: r.Name, id: shown.id, method: found.Authentication, secretHash: found.SecretHash, jwks: found.JWKS}
	if owner.method == oidc.AuthSecretBasic && shown.method == oidc.AuthSecretPost {
		owner.method = oidc.AuthSecretPost
	}
	owner.audiences = []string{r.Issuer, p.Endpoint}
	err = c.check(ctx, shown, owner)
	switch {
	case err != nil:
		return directory.ResourceServer{}, err
	case !known || shown.method == oidc.AuthNone:
		return directory.ResourceServer{}, invalidClient(errors.New("no such resource server"))
	}
	return found, nil
}

// shown is what came with a request.
type shown struct {
	id        string
	method    string
	secret    string
	assertion string
}

// holder is whose credentials are wanted. One that does not exist has no method.
type holder struct {
	tenant, id string
	method     string
	secretHash []byte
	jwks       string
	audiences  []string
}

// credentialParameters come once or not at all (RFC 6749, section 3.2).
var credentialParameters = [...]string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

// read takes credentials apart. A parameter without a value is left out (RFC 6749, section 3.2).
func read(p Credentials) (shown, error) {
	for _, name := range credentialParameters {
		if len(p.Form[name]) > 1 {
			return shown{}, oidc.E(oidc.CodeInvalidRequest, "a parameter is repeated")
		}
	}
	s := shown{id: p.Form.Get("client_id"), method: oidc.AuthNone}
	var methods []string
	if len(p.Authorization) > 0 {
		methods = append(methods, oidc.AuthSecretBasic)
		user, password, ok := basic(p.Authorization)
		if !ok || s.id != "" && s.id != user {
			return shown{}, invalidClient(errors.New("header Authorization is not one of scheme Basic, or client_id differs"))
		}
		s.id, s.secret = user, password
	}
	if secret := p.Form.Get("client_secret"); secret != "" {
		methods = append(methods, oidc.AuthSecretPost)
		s.secret = secret
	}
	if p.Form.Get("client_assertion") != "" || p.Form.Get("client_assertion_type") != "" {
		methods = append(methods, oidc.AuthPrivateKeyJWT)
		s.assertion = p.Form.Get("client_assertion")
		if s.id == "" {
			s.id = claimedSubject(s.assertion)
		}
		if p.Form.Get("client_assertion_type") != assertionType || s.id == "" {
			return shown{}, invalidClient(errors.New("client_assertion_type or the assertion's subject is not as it must be"))
		}
	}
	switch {
	case len(methods) > 1:
		return shown{}, invalidClient(errors.New("more than one method of authentication"))
	case len(s.secret) > maxSecret:
		return shown{}, invalidClient(errors.New("secret is too long"))
	case s.id == "":
		return shown{}, oidc.E(oidc.CodeInvalidRequest, "client_id is missing")
	case len(methods) == 1:
		s.method = methods[0]
	}
	return s, nil
}

// basic reads one header of the scheme Basic; user and password are form-encoded
// within it (RFC 6749, section 2.3.1).
func basic(headers []string) (user, password string, ok bool) {
	if len(headers) != 1 {
		return "", "", false
	}
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	rawUser, rawPassword, ok := strings.Cut(string(plain), ":")
	if !ok {
		return "", "", false
	}
	user, err = url.QueryUnescape(rawUser)
	if err != nil || user == "" {
		return "", "", false
	}
	password, err = url.QueryUnescape(rawPassword)
	return user, password, err == nil
}

// check compares what came with what is wanted.
func (c *Clients) check(ctx context.Context, s shown, h holder) error {
	switch s.method {
	case oidc.AuthSecretBasic, oidc.AuthSecretPost:
		if !secretMatches(s.secret, h.secretHash) || s.method != h.method {
			return invalidClient(errors.New("secret or method is wrong"))
		}
	case oidc.AuthPrivateKeyJWT:
		return c.checkAssertion(ctx, s, h)
	default:
		if h.method != oidc.AuthNone {
			return invalidClient(errors.New("credentials are missing"))
		}
	}
	return nil
}

// secretMatches compares in the same time whatever is right, and whether or not there is
// a hash. Secrets are long and random, so a fast hash is enough.
func secretMatches(secret string, hash []byte) bool {
	want := make([]byte, sha256.Size) // nothing is known that has this hash
	known := subtle.ConstantTimeEq(int32(len(hash)), sha256.Size)
	if known == 1 {
		want = hash
	}
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(got[:], want)&known == 1
}

// invalidClient says the same for every reason: who tries credentials out learns nothing.
func invalidClient(cause error) *oidc.Error {
	return oidc.E(oidc.CodeInvalidClient, "there is no such client, or these are not the credentials it has; a client without credentials sends client_id in the form and nothing else").Because(cause)
}
