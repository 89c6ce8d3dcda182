package issuer

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// Ask is an authorization request that has been checked (RFC 6749, section 4.1.1).
// It travels through the sign-in in the cache.
type Ask struct {
	ClientID    string   `json:"client_id"`
	RedirectURI string   `json:"redirect_uri"`
	State       string   `json:"state,omitempty"`
	Scope       string   `json:"scope"` // what can be granted of what was asked
	Resources   []string `json:"resources,omitempty"`
	Challenge   string   `json:"challenge"`
	Nonce       string   `json:"nonce,omitempty"`
	LoginHint   string   `json:"login_hint,omitempty"`
	Prompt      string   `json:"prompt,omitempty"`  // sent upstream: "login", "select_account" or empty
	MaxAge      *int     `json:"max_age,omitempty"` // seconds
}

// Unproven is a refusal before client and redirect URI are proven. It must be
// shown to the person and must not be sent to the redirect URI (RFC 6749, section 4.1.2.1).
type Unproven struct {
	Page   string // word of the page: "bad_client", "bad_redirect", "bad_request"
	Reason string // for the log
}

// Error returns the reason.
func (u *Unproven) Error() string { return u.Page + ": " + u.Reason }

// Denied is a refusal that is sent to the client by redirect (RFC 6749, section 4.1.2.1).
type Denied struct {
	Ask Ask
	Err *oidc.Error
}

// Error returns the refusal.
func (d *Denied) Error() string { return d.Err.Error() }

// Unwrap returns the refusal as a protocol error.
func (d *Denied) Unwrap() error { return d.Err }

// Check reads an authorization request. It returns *Unproven or *Denied, in that
// order: nothing is sent to a redirect URI that the client may not use.
func (i *Issuer) Check(r *directory.Realm, q url.Values) (Ask, error) {
	a := Ask{ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri")}
	if len(q["client_id"]) != 1 {
		return a, &Unproven{"bad_client", "client_id is missing or repeated"}
	}
	c, ok := client(a.ClientID)
	if !ok {
		return a, &Unproven{"bad_client", "unknown client_id"}
	}
	if len(q["redirect_uri"]) != 1 || !c.RedirectAllowed(a.RedirectURI) {
		return a, &Unproven{"bad_redirect", "redirect_uri is missing, repeated or not of this client"}
	}
	if s := q["state"]; len(s) == 1 && visible(s[0]) && len(s[0]) <= maxParameter {
		a.State = s[0]
	}
	if err := a.read(r, q); err != nil {
		return a, &Denied{a, err}
	}
	return a, nil
}

// read checks everything whose fault can be told to the client.
func (a *Ask) read(r *directory.Realm, q url.Values) *oidc.Error {
	for name, values := range q {
		// "Request and response parameters MUST NOT be included more than once"
		// (RFC 6749, section 3.1); resource may (RFC 8707, section 2).
		if len(values) > 1 && name != "resource" {
			return oidc.E(oidc.CodeInvalidRequest, "a parameter is repeated")
		}
		for _, value := range values {
			if name != "resource" && !visible(value) {
				return oidc.E(oidc.CodeInvalidRequest, "a parameter holds characters that are not allowed")
			}
			if name != "scope" && len(value) > maxParameter {
				return oidc.E(oidc.CodeInvalidRequest, "a parameter is too long")
			}
		}
	}
	switch {
	case q.Has("request"):
		return oidc.E(oidc.CodeRequestNotSupported, "send the parameters themselves instead of request")
	case q.Has("request_uri"):
		return oidc.E(oidc.CodeRequestURINotSupported, "send the parameters themselves instead of request_uri")
	case q.Get("response_type") == "":
		return oidc.E(oidc.CodeInvalidRequest, "response_type is missing; send response_type=code")
	case q.Get("response_type") != "code":
		return oidc.E(oidc.CodeUnsupportedResponseType, "only response_type=code is supported")
	case q.Has("response_mode") && q.Get("response_mode") != "query":
		return oidc.E(oidc.CodeInvalidRequest, "only response_mode=query is supported")
	}
	for _, step := range []func(*directory.Realm, url.Values) *oidc.Error{a.readChallenge, a.readScope, a.readResources, a.readPerson} {
		if err := step(r, q); err != nil {
			return err
		}
	}
	a.Nonce = q.Get("nonce")
	return nil
}

// readChallenge demands PKCE with S256 of every client (RFC 7636, section 4.3; RFC 9700, section 2.1.1).
func (a *Ask) readChallenge(_ *directory.Realm, q url.Values) *oidc.Error {
	a.Challenge = q.Get("code_challenge")
	switch {
	case a.Challenge == "":
		return oidc.E(oidc.CodeInvalidRequest, "code_challenge is missing: PKCE is required")
	case q.Get("code_challenge_method") != "S256":
		return oidc.E(oidc.CodeInvalidRequest, "code_challenge_method must be S256")
	case len(a.Challenge) != 43 || strings.Trim(a.Challenge, base64url) != "":
		return oidc.E(oidc.CodeInvalidRequest, "code_challenge is not the base64url form of a SHA-256 digest")
	}
	return nil
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// readScope keeps what can be granted. Words that mean nothing here are left out
// and the answer says what was granted (RFC 6749, section 3.3).
func (a *Ask) readScope(r *directory.Realm, q url.Values) *oidc.Error {
	asked, err := scopes.Parse(q.Get("scope"))
	if err != nil || asked.Len() == 0 {
		return oidc.E(oidc.CodeInvalidScope, "scope is missing or malformed; the scope document lists the words")
	}
	granted := r.Catalogue.Narrow(r.Supported(), asked)
	if granted.Len() == 0 {
		return oidc.E(oidc.CodeInvalidScope, "none of these scopes opens anything here; the scope document lists the words")
	}
	a.Scope = granted.String()
	return nil
}

// maxParameter bounds what is kept of a stranger's request: state and nonce are
// rarely longer than 100 characters.
const maxParameter = 1024

// maxResources bounds the resource parameters of one request.
const maxResources = 32

// readResources turns each resource into the audience it names. The same list is
// asked at the token endpoint (RFC 8707, section 2.1).
func (a *Ask) readResources(r *directory.Realm, q url.Values) *oidc.Error {
	bad := oidc.E(oidc.CodeInvalidTarget, "a resource is not a service of this issuer, or the scope does not open it")
	if len(q["resource"]) > maxResources {
		return bad
	}
	asked, _ := scopes.Parse(a.Scope)
	services := PolicyServices(r, Account{})
	for _, resource := range q["resource"] {
		if resource == r.Issuer || resource == r.Issuer+oidc.ConfigurationPath {
			continue // the issuer itself is in every grant
		}
		s, ok := policy.Resolve(services, resource)
		if !ok || r.Catalogue.Opening(asked, s.Scopes).Len() == 0 {
			return bad
		}
		if !slices.Contains(a.Resources, s.Audience) {
			a.Resources = append(a.Resources, s.Audience)
		}
	}
	return nil
}

// readPerson reads what concerns who signs in and how.
func (a *Ask) readPerson(_ *directory.Realm, q url.Values) *oidc.Error {
	if hint := q.Get("login_hint"); len(hint) <= 320 {
		a.LoginHint = hint
	}
	if err := a.readPrompt(q.Get("prompt")); err != nil {
		return err
	}
	if q.Has("max_age") {
		n, err := strconv.ParseUint(q.Get("max_age"), 10, 31) // 68 years, so that it always is a time.Duration
		if err != nil {
			return oidc.E(oidc.CodeInvalidRequest, "max_age is not a number of seconds")
		}
		a.MaxAge = new(int(n))
	}
	return nil
}

// readPrompt reads a list of words of which none stands alone
// (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest). One goes
// upstream: who has to sign in again can choose the account while doing so.
func (a *Ask) readPrompt(prompt string) *oidc.Error {
	if prompt == "none" {
		return oidc.E(oidc.CodeConsentRequired, "this client is asked for consent each time; open the page without prompt=none")
	}
	for _, word := range strings.Fields(prompt) {
		switch word {
		case "consent": // the consent page is always shown (R12)
		case promptLogin:
			a.Prompt = word
		case "select_account":
			if a.Prompt == "" {
				a.Prompt = word
			}
		default:
			return oidc.E(oidc.CodeInvalidRequest, "prompt is not none, or a list of login, consent and select_account")
		}
	}
	return nil
}

// promptLogin asks that the person signs in now, whoever is signed in already.
const promptLogin = "login"

// visible reports whether a value holds printable ASCII or UTF-8 text and no control characters.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f || c == '\uFFFD' })
}

// answer is the redirect to the client with the given parameters, the client's
// state, and iss (RFC 9207, section 2).
func (a Ask) answer(issuer string, params url.Values) string {
	params.Set("iss", issuer)
	if a.State != "" {
		params.Set("state", a.State)
	}
	return a.RedirectURI + "?" + params.Encode()
}

// RedirectError is where the browser goes to tell the client of a refusal.
func (d *Denied) RedirectError(issuer string) string {
	return d.Ask.answer(issuer, url.Values{"error": {d.Err.Code}, "error_description": {d.Err.Description}})
}

// Providers returns the identity providers that may sign this person in: those
// responsible for the domain of the login hint, else all.
func (a Ask) Providers(r *directory.Realm) []directory.IdentityProvider {
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
