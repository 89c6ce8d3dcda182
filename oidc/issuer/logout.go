package issuer

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"signpost/directory"
	"signpost/oidc/clients"
	"signpost/oidc/keys"
)

// Farewell is what a logout request has proved.
type Farewell struct {
	Proved   bool   // one of our clients sent it: the person need not be asked (R28)
	Location string // where the browser goes afterwards; empty for nowhere. Only with Proved
}

// Logout reads a logout request
// (https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout). What proves it is an
// ID token of ours, of whatever age; without one the request is nobody's and its redirect
// URI means nothing. Failures are *Unproven, which are shown to the person, or *oidc.Error
// temporarily_unavailable; then nothing must be ended.
func (i *Issuer) Logout(ctx context.Context, r *directory.Realm, q url.Values) (Farewell, error) {
	for _, values := range q {
		if len(values) > 1 || !visible(strings.Join(values, "")) {
			return Farewell{}, &Unproven{"bad_request", "a parameter of the logout request is repeated or malformed"}
		}
	}
	hint, err := i.Keys.VerifyHint(r.Name, r.Issuer, q.Get("id_token_hint"))
	if errors.Is(err, keys.ErrInvalid) {
		return Farewell{}, nil
	}
	if err != nil {
		return Farewell{}, err
	}
	if q.Has("client_id") && q.Get("client_id") != hint.ClientID {
		return Farewell{}, &Unproven{"bad_request", "client_id is not the client of id_token_hint"}
	}
	c, err := i.Clients.Find(ctx, r, hint.ClientID)
	// Anybody can be a client with a URL for an id, and have a person's old ID token: a link
	// of theirs ends nothing unasked, and leads nowhere.
	if errors.Is(err, clients.ErrUnknown) || c.Kind == clients.URL {
		return Farewell{}, nil
	}
	if err != nil {
		return Farewell{}, busy("find client", err)
	}
	to := q.Get("post_logout_redirect_uri")
	if to == "" {
		return Farewell{Proved: true}, nil
	}
	if !c.PostLogoutRedirectAllowed(to) {
		return Farewell{}, &Unproven{"bad_redirect", "post_logout_redirect_uri is not of this client"}
	}
	return Farewell{Proved: true, Location: withState(to, q.Get("state"))}, nil
}

// withState adds the client's state to its redirect URI, which keeps the query it has.
func withState(uri, state string) string {
	if state == "" {
		return uri
	}
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + url.Values{"state": {state}}.Encode()
}
