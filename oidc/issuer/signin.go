package issuer

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
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
	// ErrNobody means that the identity provider proved no address in a domain for
	// which its word counts. Tell the person which organisation was asked.
	ErrNobody = errors.New("issuer: identity provider proved no address of the tenant")
	// ErrOtherBrowser means that an answer came in a browser which did not begin
	// the sign-in. Refuse it (RFC 9700, section 4.7).
	ErrOtherBrowser = errors.New("issuer: sign-in was begun in another browser")
)

// SignIn is a sign-in at an identity provider that is in flight.
type SignIn struct {
	Request   string    `json:"request"` // cache key of the request it answers
	Provider  string    `json:"provider"`
	Issuer    string    `json:"issuer"` // the provider's, as declared when it began
	Nonce     string    `json:"nonce"`
	Verifier  string    `json:"verifier"`
	Browser   []byte    `json:"browser"` // digest of the browser's cookie
	Ask       Ask       `json:"ask"`
	StartedAt time.Time `json:"started_at"`
}

// begun is a request that waits for the person to choose an identity provider.
type begun struct {
	Ask       Ask       `json:"ask"`
	Browser   []byte    `json:"browser"` // digest of the browser's cookie
	StartedAt time.Time `json:"started_at"`
	Choices   int       `json:"choices"` // how often a provider was chosen
}

// maxChoices bounds what one request may leave in the cache.
const maxChoices = 10

// Begin keeps a request, bound to the browser that holds the cookie value, and
// returns a ticket with which Choose goes on.
func (i *Issuer) Begin(ctx context.Context, r *directory.Realm, a Ask, browser string) (ticket string, err error) {
	ticket = secret("")
	b := begun{Ask: a, Browser: digest(browser), StartedAt: i.Now()}
	if err := put(ctx, i.Begun, cacheKey("ask", r.Name, ticket), b, signInTTL); err != nil {
		return "", busy("keep request", err)
	}
	return ticket, nil
}

// Choose begins the sign-in at the named identity provider and returns it with the
// state to send upstream. The ticket stays: who comes back may choose again.
// ErrGone, ErrOtherBrowser; directory.ErrNotFound if the provider may not sign this person in.
func (i *Issuer) Choose(ctx context.Context, r *directory.Realm, ticket, providerName, browser string) (state string, s SignIn, err error) {
	key := cacheKey("ask", r.Name, ticket)
	value, found, err := i.Begun.Get(ctx, key)
	if err != nil {
		return "", s, busy("read request", err)
	}
	var b begun
	if !found || json.Unmarshal(value, &b) != nil || b.Choices >= maxChoices {
		return "", s, ErrGone
	}
	if subtle.ConstantTimeCompare(b.Browser, digest(browser)) != 1 {
		return "", s, ErrOtherBrowser
	}
	chosen := slices.IndexFunc(b.Ask.Providers(r), func(p directory.IdentityProvider) bool { return p.Name == providerName })
	if chosen < 0 {
		return "", s, directory.ErrNotFound
	}
	b.Choices++
	if err := put(ctx, i.Begun, key, b, signInTTL); err != nil {
		return "", s, busy("count choice", err)
	}
	s = SignIn{
		Request: key, Provider: providerName, Issuer: b.Ask.Providers(r)[chosen].Issuer,
		Nonce: secret(""), Verifier: secret(""),
		Browser: b.Browser, Ask: b.Ask, StartedAt: b.StartedAt,
	}
	state = secret("")
	if err := put(ctx, i.Begun, cacheKey("sign-in", r.Name, state), s, signInTTL); err != nil {
		return "", SignIn{}, busy("keep sign-in", err)
	}
	return state, s, nil
}

// Resume takes the sign-in that an answer from the identity provider belongs to.
// State names tenant, provider and browser, and all are compared (R3): ErrGone,
// ErrOtherBrowser. An answer that does not fit leaves the sign-in to its owner.
func (i *Issuer) Resume(ctx context.Context, r *directory.Realm, p directory.IdentityProvider, state, browser string) (SignIn, error) {
	key := cacheKey("sign-in", r.Name, state)
	value, found, err := i.Begun.Get(ctx, key)
	if _, err := readSignIn(value, found, err, p, browser); err != nil {
		return SignIn{}, err
	}
	value, found, err = i.Begun.Take(ctx, key)
	return readSignIn(value, found, err, p, browser)
}

func readSignIn(value []byte, found bool, err error, p directory.IdentityProvider, browser string) (SignIn, error) {
	var s SignIn
	if err != nil {
		return s, busy("read sign-in", err)
	}
	if !found || json.Unmarshal(value, &s) != nil || s.Provider != p.Name || s.Issuer != p.Issuer {
		return SignIn{}, ErrGone
	}
	if subtle.ConstantTimeCompare(s.Browser, digest(browser)) != 1 {
		return SignIn{}, ErrOtherBrowser
	}
	return s, nil
}

// Consent is a person who has signed in and has not yet said yes or no.
type Consent struct {
	Request   string    `json:"request"` // cache key of the request it answers
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
// name belongs to another account, ErrNobody if the identity provider proved no
// address; *Denied if the sign-in is older than the client asked.
func (i *Issuer) SignedIn(ctx context.Context, r *directory.Realm, s SignIn, p oidc.Person) (ticket string, err error) {
	now := i.Now()
	if !s.fresh(p) {
		return "", &Denied{s.Ask, oidc.E(oidc.CodeLoginRequired, "the identity provider did not say that the person signed in as lately as was asked")}
	}
	if !r.UsesLogin() {
		p.Login = "" // a name that nobody needs must not keep somebody else out
	}
	event := audit.Event{At: now, Kind: audit.KindSignIn, Tenant: r.Name, Client: s.Ask.ClientID, Outcome: audit.Allowed}
	if len(p.Addresses) == 0 {
		return "", i.refuse(ctx, event, "no-address", ErrNobody)
	}
	account, err := i.Store.SaveAccount(ctx, r.Name, Account{
		ID: subjectID(), UpstreamIssuer: p.Issuer, UpstreamSubject: p.Subject,
		Addresses: p.Addresses, Login: p.Login, Name: p.Name, CreatedAt: now, LastSignInAt: now,
	})
	if errors.Is(err, ErrTaken) {
		return "", i.refuse(ctx, event, "address-taken", ErrTaken)
	}
	if errors.Is(err, ErrUnvouched) {
		return "", ErrGone
	}
	if err != nil {
		return "", busy("save account", err)
	}
	i.Known.signedIn(r.Name, account.ID)
	event.Account = account.ID
	if err := i.record(ctx, event); err != nil {
		return "", err
	}
	c := Consent{
		Request: s.Request, Ask: s.Ask, Account: account.ID, Name: account.Name, Address: p.Addresses[0],
		Provider: s.Provider, Browser: s.Browser, AuthTime: p.AuthTime, CreatedAt: now,
	}
	ticket = secret("")
	if err := put(ctx, i.Cache, cacheKey("consent", r.Name, ticket), c, consentTTL); err != nil {
		return "", busy("keep consent", err)
	}
	return ticket, nil
}

// refuse records that a sign-in was refused and returns why.
func (i *Issuer) refuse(ctx context.Context, e audit.Event, rule string, why error) error {
	e.Kind, e.Outcome, e.Rule = audit.KindSignInRefused, audit.Refused, rule
	if err := i.record(ctx, e); err != nil {
		return err
	}
	return why
}

// fresh reports whether the person signed in as lately as the client asked with
// max_age or prompt=login, counted from the request. An identity provider that
// does not say when is not fresh: auth_time is never invented (R17).
func (s SignIn) fresh(p oidc.Person) bool {
	age := 0
	switch {
	case s.Ask.Prompt == promptLogin: // now, whatever max_age allows
	case s.Ask.MaxAge != nil:
		age = *s.Ask.MaxAge
	default:
		return true
	}
	// auth_time has whole seconds, and the provider has its own clock.
	oldest := s.StartedAt.Add(-time.Duration(age)*time.Second - clockLeeway).Truncate(time.Second)
	return !p.AuthTime.IsZero() && !p.AuthTime.Before(oldest)
}

// clockLeeway is by how much an identity provider's clock may be behind ours.
const clockLeeway = 5 * time.Second

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
	// The request is answered: its link in the browser's history begins nothing more.
	if err := i.Begun.Delete(ctx, c.Request); err != nil {
		return "", busy("forget request", err)
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
	if err := put(ctx, i.Cache, cacheKey("code", r.Name, codeValue), code{Ask: c.Ask, Account: c.Account, AuthTime: c.AuthTime}, CodeTTL); err != nil {
		return "", busy("keep code", err)
	}
	return c.Ask.answer(r.Issuer, url.Values{"code": {codeValue}}), nil
}

// record hands in an event. What the record does not take does not happen.
func (i *Issuer) record(ctx context.Context, e audit.Event) error {
	if e.RequestID == "" {
		e.RequestID = audit.RequestID(ctx)
	}
	if err := i.Audit.Record(ctx, e); err != nil {
		return busy("record "+e.Kind, err)
	}
	return nil
}
