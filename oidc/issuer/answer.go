package issuer

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"signpost/directory"
	"signpost/oidc"
)

// Unproven is a refusal before client and redirect URI are proven. It must be
// shown to the person and must not be sent to the redirect URI (RFC 6749, section 4.1.2.1).
type Unproven struct {
	Page   string // word of the page: "bad_client", "bad_redirect", "bad_request", "expired"
	Reason string // for the log
}

// Error returns the reason.
func (u *Unproven) Error() string { return u.Page + ": " + u.Reason }

// Denied is a refusal that is sent to the client by redirect (RFC 6749, section 4.1.2.1).
type Denied struct {
	Ask Ask
	Err *oidc.Error
	// Ask the person before the browser is sent there: anybody can be a client with a URL
	// for an id, and a link to us must not lead on to wherever they like (RFC 9700, section 4.11.2).
	Confirm bool
}

// Error returns the refusal.
func (d *Denied) Error() string { return d.Err.Error() }

// Unwrap returns the refusal as a protocol error.
func (d *Denied) Unwrap() error { return d.Err }

// answer is the redirect to the client with the given parameters, the client's
// state, and iss (RFC 9207, section 2). A query that the redirect URI has stays
// (RFC 6749, section 3.1.2).
func (a Ask) answer(issuer string, params url.Values) string {
	params.Set("iss", issuer)
	if a.State != "" {
		params.Set("state", a.State)
	}
	separator := "?"
	if strings.Contains(a.RedirectURI, "?") {
		separator = "&"
	}
	return a.RedirectURI + separator + params.Encode()
}

// RedirectError is where the browser goes with a refusal: to the client, or, since a
// device has no redirect URI, to the page at the end of a device's sign-in; from the person's
// own page back to its way in.
func (d *Denied) RedirectError(issuer string) string {
	switch {
	case d.Ask.Account:
		return issuer + accountPath + "?result=" + AccountFailed
	case d.Ask.Device == "":
		return d.Ask.answer(issuer, url.Values{"error": {d.Err.Code}, "error_description": {d.Err.Description}})
	case d.Err.Code == oidc.CodeAccessDenied:
		return issuer + devicePath(DeviceDenied)
	}
	return issuer + devicePath(DeviceFailed)
}

// SignInNeeded is what a client is told whose identity provider wants the person to do something.
func SignInNeeded() *oidc.Error {
	return oidc.E(oidc.CodeLoginRequired, "the identity provider wants the person to sign in")
}

// Providers returns the identity providers that may sign this person in: those of the
// account that id_token_hint named, which may be none any more; else those
// responsible for the domain of the login hint; else all.
func (a Ask) Providers(r *directory.Realm) []directory.IdentityProvider {
	if a.Subject != "" {
		return slices.DeleteFunc(slices.Clone(r.IdentityProviders), func(p directory.IdentityProvider) bool { return p.Issuer != a.Upstream })
	}
	at := strings.LastIndexByte(a.LoginHint, '@')
	domain := strings.ToLower(a.LoginHint[at+1:])
	var responsible []directory.IdentityProvider
	for _, p := range r.IdentityProviders {
		if at > 0 && slices.Contains(p.Domains, domain) {
			responsible = append(responsible, p)
		}
	}
	if len(responsible) == 0 {
		return r.IdentityProviders
	}
	return responsible
}

// Provider finds the identity provider of a tenant that a path names:
// directory.ErrNotFound if there is none.
func Provider(r *directory.Realm, name string) (directory.IdentityProvider, error) {
	for _, p := range r.IdentityProviders {
		if p.Name == name {
			return p, nil
		}
	}
	return directory.IdentityProvider{}, fmt.Errorf("identity provider: %w", directory.ErrNotFound)
}
