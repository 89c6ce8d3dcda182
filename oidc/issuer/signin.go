package issuer

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
)

// Errors of a sign-in in flight. They are shown as pages.
var (
	// ErrGone means that the sign-in or consent is not known: it took too long, was
	// answered already, or the cache was emptied. Ask the person to start again in the program.
	ErrGone = errors.New("issuer: sign-in is over or was never begun")
	// ErrOtherBrowser means that an answer came in a browser which did not begin
	// the sign-in. Refuse it (RFC 9700, section 4.7).
	ErrOtherBrowser = errors.New("issuer: sign-in was begun in another browser")
)

// SignIn is a sign-in at an identity provider that is in flight.
type SignIn struct {
	Provider  string    `json:"provider"`
	Nonce     string    `json:"nonce"`
	Verifier  string    `json:"verifier"`
	Browser   []byte    `json:"browser"` // digest of the browser's cookie
	Ask       Ask       `json:"ask"`
	StartedAt time.Time `json:"started_at"`
}

// Begin keeps a sign-in at the named identity provider, bound to the browser that
// holds the cookie value, and returns it with the state to send upstream.
func (i *Issuer) Begin(ctx context.Context, r *directory.Realm, a Ask, providerName, browser string) (state string, s SignIn, err error) {
	s = SignIn{
		Provider: providerName, Nonce: secret(""), Verifier: secret(""),
		Browser: digest(browser), Ask: a, StartedAt: i.Now(),
	}
	state = secret("")
	if err := i.put(ctx, cacheKey("sign-in", r.Name, state), s, signInTTL); err != nil {
		return "", SignIn{}, busy("keep sign-in", err)
	}
	return state, s, nil
}

// Resume takes the sign-in that an answer from the identity provider belongs to.
// State names tenant, provider and browser, and all are compared (R3): ErrGone,
// ErrOtherBrowser.
func (i *Issuer) Resume(ctx context.Context, r *directory.Realm, providerName, state, browser string) (SignIn, error) {
	var s SignIn
	value, found, err := i.Cache.Take(ctx, cacheKey("sign-in", r.Name, state))
	if err != nil {
		return s, busy("take sign-in", err)
	}
	if !found || json.Unmarshal(value, &s) != nil || s.Provider != providerName {
		return SignIn{}, ErrGone
	}
	if subtle.ConstantTimeCompare(s.Browser, digest(browser)) != 1 {
		return SignIn{}, ErrOtherBrowser
	}
	return s, nil
}

// Consent is a person who has signed in and has not yet said yes or no.
type Consent struct {
	Ask       Ask       `json:"ask"`
	Account   string    `json:"account"`
	Name      string    `json:"name,omitempty"`
	Address   string    `json:"address,omitempty"`
	Provider  string    `json:"provider"`
	Browser   []byte    `json:"browser"`
	AuthTime  time.Time `json:"auth_time,omitzero"`
	CreatedAt time.Time `json:"created_at"`
}

// SignedIn makes or updates the account of a person whom the identity provider
// has named (R1) and returns a ticket for the consent page. ErrTaken if an address or login
// name belongs to another account; *Denied if the sign-in is too old for max_age.
func (i *Issuer) SignedIn(ctx context.Context, r *directory.Realm, s SignIn, p oidc.Person) (ticket string, err error) {
	now := i.Now()
	if s.Ask.MaxAge != nil {
		// Counted from the request, so that max_age=0 can be met at all; auth_time has whole seconds.
		oldest := s.StartedAt.Add(-time.Duration(*s.Ask.MaxAge) * time.Second).Truncate(time.Second)
		// An identity provider that does not say when is not fresh: auth_time is never invented (R17).
		if p.AuthTime.IsZero() || p.AuthTime.Before(oldest) {
			return "", &Denied{s.Ask, oidc.E(oidc.CodeLoginRequired, "the sign-in at the identity provider is older than max_age")}
		}
	}
	event := audit.Event{At: now, Kind: audit.KindSignIn, Tenant: r.Name, Client: s.Ask.ClientID, Outcome: audit.Allowed}
	account, err := i.Store.SaveAccount(ctx, r.Name, Account{
		ID: subjectID(), UpstreamIssuer: p.Issuer, UpstreamSubject: p.Subject,
		Addresses: p.Addresses, Login: p.Login, Name: p.Name, CreatedAt: now, LastSignInAt: now,
	})
	if errors.Is(err, ErrTaken) {
		event.Kind, event.Outcome, event.Rule = audit.KindSignInRefused, audit.Refused, "address-taken"
		if err := i.record(ctx, event); err != nil {
			return "", err
		}
		return "", ErrTaken
	}
	if err != nil {
		return "", busy("save account", err)
	}
	event.Account = account.ID
	if err := i.record(ctx, event); err != nil {
		return "", err
	}
	c := Consent{
		Ask: s.Ask, Account: account.ID, Name: account.Name, Address: Holder(account).Address,
		Provider: s.Provider, Browser: s.Browser, AuthTime: p.AuthTime, CreatedAt: now,
	}
	ticket = secret("")
	if err := i.put(ctx, cacheKey("consent", r.Name, ticket), c, consentTTL); err != nil {
		return "", busy("keep consent", err)
	}
	return ticket, nil
}

// Consent returns what the consent page shows. It changes nothing, so the page may be
// loaded again. ErrGone, ErrOtherBrowser.
func (i *Issuer) Consent(ctx context.Context, r *directory.Realm, ticket, browser string) (Consent, error) {
	value, found, err := i.Cache.Get(ctx, cacheKey("consent", r.Name, ticket))
	return readConsent(value, found, err, browser)
}

func readConsent(value []byte, found bool, err error, browser string) (Consent, error) {
	var c Consent
	if err != nil {
		return c, busy("read consent", err)
	}
	if !found || json.Unmarshal(value, &c) != nil {
		return Consent{}, ErrGone
	}
	if subtle.ConstantTimeCompare(c.Browser, digest(browser)) != 1 {
		return Consent{}, ErrOtherBrowser
	}
	return c, nil
}

// code is an authorization code's meaning, kept under its digest.
type code struct {
	Ask      Ask       `json:"ask"`
	Account  string    `json:"account"`
	AuthTime time.Time `json:"auth_time,omitzero"`
}

// Answer takes the person's yes or no and returns where the browser goes: to the
// client with a code, or with access_denied. A ticket is answered once. ErrGone, ErrOtherBrowser.
func (i *Issuer) Answer(ctx context.Context, r *directory.Realm, ticket, browser string, allow bool) (location string, err error) {
	key := cacheKey("consent", r.Name, ticket)
	// Look first: a ticket shown in another browser must not use it up.
	value, found, err := i.Cache.Get(ctx, key)
	if _, err := readConsent(value, found, err, browser); err != nil {
		return "", err
	}
	value, found, err = i.Cache.Take(ctx, key)
	c, err := readConsent(value, found, err, browser)
	if err != nil {
		return "", err
	}
	event := audit.Event{
		At: i.Now(), Kind: audit.KindConsent, Tenant: r.Name, Account: c.Account, Client: c.Ask.ClientID,
		Scope: c.Ask.Scope, Outcome: audit.Refused,
	}
	if !allow {
		if err := i.record(ctx, event); err != nil {
			return "", err
		}
		d := &Denied{c.Ask, oidc.E(oidc.CodeAccessDenied, "the person did not allow it")}
		return d.RedirectError(r.Issuer), nil
	}
	event.Outcome = audit.Allowed
	if err := i.record(ctx, event); err != nil {
		return "", err
	}
	codeValue := secret("spc_")
	if err := i.put(ctx, cacheKey("code", r.Name, codeValue), code{Ask: c.Ask, Account: c.Account, AuthTime: c.AuthTime}, CodeTTL); err != nil {
		return "", busy("keep code", err)
	}
	return c.Ask.answer(r.Issuer, url.Values{"code": {codeValue}}), nil
}

// record keeps an event. What cannot be audited does not happen.
func (i *Issuer) record(ctx context.Context, e audit.Event) error {
	if e.RequestID == "" {
		e.RequestID = audit.RequestID(ctx)
	}
	if err := i.Audit.Record(ctx, e); err != nil {
		return busy("record "+e.Kind, err)
	}
	return nil
}

// Deny is the answer to the client when the identity provider refused the person.
func (i *Issuer) Deny(ctx context.Context, r *directory.Realm, s SignIn, e *oidc.Error) (location string, err error) {
	event := audit.Event{At: i.Now(), Kind: audit.KindSignInRefused, Tenant: r.Name, Client: s.Ask.ClientID, Rule: e.Code, Outcome: audit.Refused}
	if err := i.record(ctx, event); err != nil {
		return "", err
	}
	return (&Denied{s.Ask, e}).RedirectError(r.Issuer), nil
}
