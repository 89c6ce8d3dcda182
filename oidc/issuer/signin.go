package issuer

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
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
	Prompt    string    `json:"prompt,omitempty"` // sent to the provider
	Again     bool      `json:"again,omitempty"`  // somebody else signed in before, and the person was asked to choose (R17)
	Browser   []byte    `json:"browser"`          // digest of the browser's cookie
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

// BeginSilently begins a sign-in without any page, at the only identity provider
// that may sign this person in, and returns what Choose returns.
// *Denied if the person would have to choose.
func (i *Issuer) BeginSilently(ctx context.Context, r *directory.Realm, a Ask, browser string) (state string, s SignIn, err error) {
	providers := a.Providers(r)
	switch len(providers) {
	case 0:
		return "", s, &Denied{Ask: a, Err: oidc.E(oidc.CodeLoginRequired, "there is nowhere to sign in")}
	case 1:
	default:
		return "", s, &Denied{Ask: a, Err: oidc.E(oidc.CodeInteractionRequired, "the person has to choose where to sign in; send login_hint or id_token_hint")}
	}
	ticket, err := i.Begin(ctx, r, a, browser)
	if err != nil {
		return "", s, err
	}
	return i.Choose(ctx, r, ticket, providers[0].Name, browser)
}

// Choose begins the sign-in at the named identity provider and returns it with the
// state to send upstream. The ticket stays: who comes back may choose again.
// ErrGone, ErrOtherBrowser; directory.ErrNotFound if the provider may not sign this person in.
func (i *Issuer) Choose(ctx context.Context, r *directory.Realm, ticket, providerName, browser string) (state string, s SignIn, err error) {
	key, b, err := i.begun(ctx, r, ticket, browser)
	if err != nil {
		return "", s, err
	}
	if b.Choices >= maxChoices {
		return "", s, ErrGone
	}
	providers := b.Ask.Providers(r)
	chosen := slices.IndexFunc(providers, func(p directory.IdentityProvider) bool { return p.Name == providerName })
	if chosen < 0 {
		return "", s, directory.ErrNotFound
	}
	b.Choices++
	if err := put(ctx, i.Begun, key, b, signInTTL); err != nil {
		return "", s, busy("count choice", err)
	}
	s = SignIn{
		Request: key, Provider: providerName, Issuer: providers[chosen].Issuer,
		Nonce: secret(""), Verifier: secret(""), Prompt: b.Ask.Prompt,
		Browser: b.Browser, Ask: b.Ask, StartedAt: b.StartedAt,
	}
	state, err = i.keepSignIn(ctx, r, s)
	if err != nil {
		return "", SignIn{}, err
	}
	return state, s, nil
}

// Cancel returns the refusal of a person who goes back before the identity provider
// was asked. The request stays, for who comes back again; a device's is answered with no.
// ErrGone, ErrOtherBrowser.
func (i *Issuer) Cancel(ctx context.Context, r *directory.Realm, ticket, browser string) (*Denied, error) {
	_, b, err := i.begun(ctx, r, ticket, browser)
	if err != nil {
		return nil, err
	}
	if b.Ask.Device != "" {
		if _, err := i.answerDevice(ctx, r, Consent{Ask: b.Ask, Browser: b.Browser}, false); err != nil {
			return nil, err
		}
	}
	return &Denied{Ask: b.Ask, Err: oidc.E(oidc.CodeAccessDenied, "the person went back")}, nil
}

// begun returns a request that waits in this browser, and its cache key.
func (i *Issuer) begun(ctx context.Context, r *directory.Realm, ticket, browser string) (key string, b begun, err error) {
	key = cacheKey("ask", r.Name, ticket)
	value, found, err := i.Begun.Get(ctx, key)
	if err != nil {
		return "", b, busy("read request", err)
	}
	if !found || json.Unmarshal(value, &b) != nil {
		return "", b, ErrGone
	}
	if subtle.ConstantTimeCompare(b.Browser, digest(browser)) != 1 {
		return "", b, ErrOtherBrowser
	}
	return key, b, nil
}

// keepSignIn keeps a sign-in and returns the state that names it.
func (i *Issuer) keepSignIn(ctx context.Context, r *directory.Realm, s SignIn) (state string, err error) {
	state = secret("")
	if err := put(ctx, i.Begun, cacheKey("sign-in", r.Name, state), s, signInTTL); err != nil {
		return "", busy("keep sign-in", err)
	}
	return state, nil
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

// Next is where the browser goes after the identity provider: to the consent page,
// to the client, to the identity provider once more, or to the person's own page.
type Next struct {
	Session  string // secret of a new session at the person's own page
	Ticket   string // of the consent page
	Location string // of the client's answer
	State    string // names SignIn, the second try (R17)
	SignIn   SignIn
}

// SignedIn makes or updates the account of a person whom the identity provider
// has named (R1) and says how to go on. ErrTaken if an address or login
// name belongs to another account, ErrNobody if the identity provider proved no
// address; *Denied if the sign-in is older than the client asked, if it is somebody
// else's (R17), or if a page would have to be shown that the client does not want.
func (i *Issuer) SignedIn(ctx context.Context, r *directory.Realm, s SignIn, p oidc.Person) (Next, error) {
	if !s.fresh(p) {
		return Next{}, &Denied{Ask: s.Ask, Err: oidc.E(oidc.CodeLoginRequired, "the identity provider did not say that the person signed in as lately as was asked")}
	}
	event := audit.Event{At: i.Now(), Kind: audit.KindSignIn, Tenant: r.Name, Client: s.Ask.ClientID, Outcome: audit.Allowed}
	if s.Ask.Account {
		return i.openSession(ctx, r, s, p, event)
	}
	// Before anything is written: who came, and what they allowed earlier.
	id, err := i.accountOf(ctx, r, p)
	if err != nil {
		return Next{}, err
	}
	if s.Ask.Subject != "" && s.Ask.Subject != id {
		return i.another(ctx, r, s, event)
	}
	client, err := i.Asker(ctx, r, s.Ask)
	if err != nil {
		return Next{}, err
	}
	allowed, err := i.allowed(ctx, r, client, s.Ask, id)
	if err != nil {
		return Next{}, err
	}
	if s.Ask.Silent() && !allowed {
		return Next{}, &Denied{Ask: s.Ask, Err: notSilently(client)}
	}
	account, err := i.saveAccount(ctx, r, p, event)
	if err != nil {
		return Next{}, err
	}
	c := Consent{
		Request: s.Request, Ask: s.Ask, Account: account.ID, Name: account.Name, Address: p.Addresses[0],
		Provider: s.Provider, Browser: s.Browser, AuthTime: p.AuthTime, ACR: p.ACR, AMR: p.AMR, CreatedAt: event.At,
	}
	if allowed {
		location, err := i.allowAgain(ctx, r, c)
		return Next{Location: location}, err
	}
	ticket := secret("")
	if err := put(ctx, i.Cache, cacheKey("consent", r.Name, ticket), c, consentTTL); err != nil {
		return Next{}, busy("keep consent", err)
	}
	return Next{Ticket: ticket}, nil
}

// saveAccount makes or updates the account and records that it was, or why not.
func (i *Issuer) saveAccount(ctx context.Context, r *directory.Realm, p oidc.Person, e audit.Event) (Account, error) {
	if !r.UsesLogin() {
		p.Login = "" // a name that nobody needs must not keep somebody else out
	}
	if len(p.Addresses) == 0 {
		return Account{}, i.refuse(ctx, e, "no-address", ErrNobody)
	}
	account, err := i.Store.SaveAccount(ctx, r.Name, Account{
		ID: subjectID(), UpstreamIssuer: p.Issuer, UpstreamSubject: p.Subject,
		Addresses: p.Addresses, Login: p.Login, Name: p.Name, Claims: p.Claims, CreatedAt: e.At, LastSignInAt: e.At,
	})
	if errors.Is(err, ErrTaken) {
		return Account{}, i.refuse(ctx, e, "address-taken", ErrTaken)
	}
	if errors.Is(err, ErrUnvouched) {
		return Account{}, ErrGone
	}
	if err != nil {
		return Account{}, busy("save account", err)
	}
	i.Known.changedAccount(r.Name, account.ID)
	e.Account = account.ID
	if err := i.record(ctx, e); err != nil {
		return Account{}, err
	}
	return account, nil
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
	case s.Ask.Account: // that page says itself what may be done how long after signing in
		return true
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
