package issuer

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/dpop"
)

// pushedPrefix is before the reference of a pushed request (RFC 9126, section 2.2).
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// pushedTTL is how long the browser may take to come with a pushed request.
const pushedTTL = 5 * time.Minute

// Pushed is the answer to a pushed request (RFC 9126, section 2.2).
type Pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

// Push checks an authorization request that a client sends before the browser
// does, and keeps it for that client (RFC 9126, section 2.1). Everything is refused
// here that would be refused there; *Unproven and *Denied are answered to the
// client all the same, since it is the client who asks. Other failures are *oidc.Error.
func (i *Issuer) Push(ctx context.Context, r *directory.Realm, call Call) (Pushed, error) {
	c, err := i.Clients.Authenticate(ctx, r, call.credentials())
	if err != nil {
		return Pushed{}, err
	}
	if call.Form.Has("request_uri") {
		return Pushed{}, oidc.E(oidc.CodeInvalidRequest, "request_uri cannot be pushed; send the parameters themselves")
	}
	a, err := i.Check(ctx, r, withoutCredentials(call.Form, c.ID))
	if err != nil {
		return Pushed{}, err
	}
	if a.ClientID != c.ID {
		return Pushed{}, oidc.E(oidc.CodeInvalidRequest, "client_id is not the client that the credentials belong to")
	}
	a.Authenticated = c.Confidential()
	if err := i.bind(ctx, r, &a, call); err != nil {
		return Pushed{}, err
	}
	uri := pushedPrefix + secret("")
	if err := put(ctx, i.Begun, cacheKey("pushed", r.Name, uri), a, pushedTTL); err != nil {
		return Pushed{}, busy("keep pushed request", err)
	}
	return Pushed{RequestURI: uri, ExpiresIn: int64(pushedTTL / time.Second)}, nil
}

// bind binds the code to the key that a proof with the request shows, as dpop_jkt
// does without a proof; both must name the same key (RFC 9449, section 10.1).
func (i *Issuer) bind(ctx context.Context, r *directory.Realm, a *Ask, call Call) error {
	key, err := i.Proofs.Check(ctx, r.Name, dpop.Request{Headers: call.DPoP, Method: call.Method, URL: call.URL})
	if err != nil || key == "" {
		return err
	}
	if a.Key != "" && a.Key != key {
		return oidc.E(oidc.CodeInvalidDPoPProof, "dpop_jkt is not the thumbprint of the proof's key")
	}
	a.Key = key
	return nil
}

// withoutCredentials returns the authorization request in a form: what only says who
// sends it is left out, and who says so otherwise need not repeat client_id.
func withoutCredentials(form url.Values, clientID string) url.Values {
	q := url.Values{"client_id": {clientID}}
	for name, values := range form {
		switch name {
		case "client_secret", "client_assertion", "client_assertion_type":
		default:
			q[name] = values
		}
	}
	return q
}

// pushed returns the request that a client pushed; what else is in the query does
// not count (RFC 9126, section 4). The reference works until it expires, so that
// the page may be loaded again, or until the person has answered.
func (i *Issuer) pushed(ctx context.Context, r *directory.Realm, clientID, uri string) (Ask, error) {
	key := cacheKey("pushed", r.Name, uri)
	value, found, err := i.Begun.Get(ctx, key)
	if err != nil {
		return Ask{}, busy("read pushed request", err)
	}
	var a Ask
	if !found || json.Unmarshal(value, &a) != nil || a.ClientID != clientID {
		return Ask{}, &Unproven{"expired", "request_uri is over, unknown, or another client's"}
	}
	if _, err := i.Asker(ctx, r, a); err != nil {
		return Ask{}, err
	}
	a.Pushed = key
	return a, nil
}
