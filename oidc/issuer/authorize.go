package issuer

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/clients"
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
	Prompt      string   `json:"prompt,omitempty"`    // sent upstream: "none", "login", "select_account" or empty
	AskAgain    bool     `json:"ask_again,omitempty"` // prompt=consent: the page is shown whatever is remembered
	MaxAge      *int     `json:"max_age,omitempty"`   // seconds
	ACRValues   string   `json:"acr_values,omitempty"`
	UILocales   string   `json:"ui_locales,omitempty"`
	Subject     string   `json:"subject,omitempty"`  // the account that id_token_hint named: this one or nobody (R17)
	Upstream    string   `json:"upstream,omitempty"` // issuer of the identity provider of that account
	Key         string   `json:"key,omitempty"`      // dpop_jkt: thumbprint of the key that the code is bound to (RFC 9449, section 10)
	// Authenticated says that the client has shown its credentials with this request.
	Authenticated bool   `json:"authenticated,omitempty"`
	Device        string `json:"device,omitempty"`  // the device request that is answered, in the place of RedirectURI (RFC 8628, section 3.3)
	Account       bool   `json:"account,omitempty"` // the person asks, for their own page: no client, no redirect URI, no consent, no code
	Pushed        string `json:"pushed,omitempty"`  // cache key of the pushed request that it came as (RFC 9126, section 2.2)
}

// Check reads an authorization request, or finds the one that was pushed. It returns
// *Unproven or *Denied, in that order: nothing is sent to a redirect URI that the
// client may not use. Other failures are *oidc.Error.
func (i *Issuer) Check(ctx context.Context, r *directory.Realm, q url.Values) (Ask, error) {
	a := Ask{ClientID: q.Get("client_id"), RedirectURI: q.Get("redirect_uri")}
	if len(q["client_id"]) != 1 {
		return a, &Unproven{"bad_client", "client_id is missing or repeated"}
	}
	if uri := q["request_uri"]; len(uri) == 1 && strings.HasPrefix(uri[0], pushedPrefix) {
		return i.pushed(ctx, r, a.ClientID, uri[0])
	}
	c, err := i.find(ctx, r, a.ClientID)
	if err != nil {
		return a, err
	}
	if len(q["redirect_uri"]) != 1 || !a.returns(c) {
		return a, &Unproven{"bad_redirect", "redirect_uri is missing, repeated or not of this client"}
	}
	if s := q["state"]; len(s) == 1 && visible(s[0]) && len(s[0]) <= maxParameter {
		a.State = s[0]
	}
	if err := i.read(ctx, r, c, &a, q); err != nil {
		return a, &Denied{Ask: a, Err: err, Confirm: c.Kind == clients.URL && strings.HasPrefix(a.RedirectURI, "https:") && !a.Silent()}
	}
	return a, nil
}

// Asker returns the client that a request comes from, if it may still ask: what was
// switched off while the person signed in gets nothing. *Unproven if it may not.
func (i *Issuer) Asker(ctx context.Context, r *directory.Realm, a Ask) (clients.Client, error) {
	c, err := i.find(ctx, r, a.ClientID)
	if err != nil {
		return clients.Client{}, err
	}
	if a.Device == "" && !a.returns(c) {
		return clients.Client{}, &Unproven{"bad_redirect", "redirect_uri is not of this client any more"}
	}
	return c, nil
}

func (i *Issuer) find(ctx context.Context, r *directory.Realm, id string) (clients.Client, error) {
	c, err := i.Clients.Find(ctx, r, id)
	if errors.Is(err, clients.ErrUnavailable) {
		return clients.Client{}, busy("find client", err)
	}
	if err != nil {
		return clients.Client{}, &Unproven{"bad_client", "unknown client_id"}
	}
	return c, nil
}

// returns reports whether the answer may be sent to the redirect URI. With a
// fragment, parameters would end up in it (RFC 6749, section 3.1.2).
func (a Ask) returns(c clients.Client) bool {
	return c.RedirectAllowed(a.RedirectURI) && !strings.Contains(a.RedirectURI, "#")
}

// read checks everything whose fault can be told to the client.
func (i *Issuer) read(ctx context.Context, r *directory.Realm, c clients.Client, a *Ask, q url.Values) *oidc.Error {
	for _, step := range []func(*directory.Realm, url.Values) *oidc.Error{
		a.readForm, a.readChallenge, a.readScope, a.readResources, a.readPerson,
	} {
		if err := step(r, q); err != nil {
			return err
		}
	}
	if a.Prompt == promptNone && !c.Remembers(a.RedirectURI) {
		return oidc.E(oidc.CodeConsentRequired, "this client is asked for consent each time; open the page without prompt=none")
	}
	return i.readHint(ctx, r, a, q)
}

// readForm refuses what no request may look like, and reads what is kept as it stands.
func (a *Ask) readForm(_ *directory.Realm, q url.Values) *oidc.Error {
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
			if name != "scope" && name != hintParameter && len(value) > maxParameter {
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
	a.Nonce = q.Get("nonce")
	return nil
}

// readChallenge demands PKCE with S256 of every client (RFC 7636, section 4.3; RFC 9700,
// section 2.1.1), and reads the key that the code shall be bound to (RFC 9449, section 10).
func (a *Ask) readChallenge(_ *directory.Realm, q url.Values) *oidc.Error {
	a.Challenge = q.Get("code_challenge")
	switch {
	case a.Challenge == "":
		return oidc.E(oidc.CodeInvalidRequest, "code_challenge is missing: PKCE is required")
	case q.Get("code_challenge_method") != "S256":
		return oidc.E(oidc.CodeInvalidRequest, "code_challenge_method must be S256")
	case !isDigest(a.Challenge):
		return oidc.E(oidc.CodeInvalidRequest, "code_challenge is not the base64url form of a SHA-256 digest")
	}
	a.Key = q.Get("dpop_jkt")
	if q.Has("dpop_jkt") && !isDigest(a.Key) {
		return oidc.E(oidc.CodeInvalidRequest, "dpop_jkt is not the base64url form of a SHA-256 thumbprint")
	}
	return nil
}

// isDigest reports whether s has the form of a SHA-256 digest in base64url.
func isDigest(s string) bool { return len(s) == 43 && strings.Trim(s, base64url) == "" }

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

// maxWish bounds what is only a wish and is left out if it is longer.
const maxWish = 320

// readPerson reads what concerns who signs in and how.
func (a *Ask) readPerson(_ *directory.Realm, q url.Values) *oidc.Error {
	if hint := q.Get("login_hint"); len(hint) <= maxWish {
		a.LoginHint = hint
	}
	if values := q.Get("acr_values"); len(values) <= maxWish {
		a.ACRValues = values
	}
	// Language tags are letters, digits and hyphens (RFC 5646, section 2.1).
	if locales := q.Get("ui_locales"); len(locales) <= maxWish && strings.Trim(locales, base64url+" ") == "" {
		a.UILocales = locales
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
	if prompt == promptNone {
		a.Prompt = prompt
		return nil
	}
	for _, word := range strings.Fields(prompt) {
		switch word {
		case "consent":
			a.AskAgain = true
		case promptLogin:
			a.Prompt = word
		case promptSelect:
			if a.Prompt == "" {
				a.Prompt = word
			}
		default:
			return oidc.E(oidc.CodeInvalidRequest, "prompt is not none, or a list of login, consent and select_account")
		}
	}
	return nil
}

// What a client or Signpost may ask of a sign-in
// (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest).
const (
	promptNone   = "none"           // no page is shown
	promptLogin  = "login"          // the person signs in now, whoever is signed in already
	promptSelect = "select_account" // the person says as whom
)

// Silent reports whether the client asked that no page is shown: every failure is
// told to the client.
func (a Ask) Silent() bool { return a.Prompt == promptNone }

// visible reports whether a value holds printable ASCII or UTF-8 text and no control characters.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f || c == '\uFFFD' })
}
