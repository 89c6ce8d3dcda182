package issuer

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/clients"
)

// Bounds of a session at the person's own page.
const (
	sessionTTL  = time.Hour        // in all
	sessionIdle = 15 * time.Minute // without a request
)

// programsPatience bounds how long the page waits for the documents that programs
// keep of themselves elsewhere.
const programsPatience = 5 * time.Second

// reasonPerson is why a grant ended that the person ended.
const reasonPerson = "person"

// ErrNoSession means that nobody is signed in to their own page with this secret, or
// not any more. Show the way in.
var ErrNoSession = errors.New("issuer: nobody is signed in to the account page with this secret")

// accountPath is the person's own page below its issuer.
const accountPath = "/account"

// AccountFailed is the result of a sign-in to the person's own page that was broken off.
const AccountFailed = "failed"

// Session is a person who signed in to their own page. It is written once, so that a request
// that still runs cannot bring back one that was ended; when it was last used stands in
// an entry of its own.
type Session struct {
	Account   string    `json:"account"`
	Provider  string    `json:"provider"`
	Issuer    string    `json:"issuer"` // the provider's, as declared when the person signed in
	Form      string    `json:"form"`   // secret in the page's forms
	StartedAt time.Time `json:"started_at"`

	// AuthTime is when the person signed in, as far as anybody knows.
	AuthTime time.Time `json:"auth_time"`

	// Renewed is when the person ended everything from this session, and every other one with it; zero if they
	// did not.
	Renewed time.Time `json:"renewed,omitzero"`
}

// since is from when on a session counts: who ends everything of the person later ends it too.
func (s Session) since() time.Time {
	if s.Renewed.After(s.StartedAt) {
		return s.Renewed
	}
	return s.StartedAt
}

// openSession ends a sign-in to the person's own page. The secret is a new one, whatever
// the browser came with.
func (i *Issuer) openSession(ctx context.Context, r *directory.Realm, s SignIn, p oidc.Person, e audit.Event) (Next, error) {
	account, err := i.saveAccount(ctx, r, p, e)
	if err != nil {
		return Next{}, err
	}
	if err := i.settle(ctx, r, Consent{Request: s.Request}); err != nil {
		return Next{}, err
	}
	now := i.Now()
	value, err := i.keepSession(ctx, r, Session{
		Account: account.ID, Provider: s.Provider, Issuer: s.Issuer, Form: secret(""), StartedAt: now, AuthTime: signedInAt(p.AuthTime, now),
	})
	if err != nil {
		return Next{}, err
	}
	return Next{Session: value}, nil
}

// keepSession keeps a session under a new secret, and returns that.
func (i *Issuer) keepSession(ctx context.Context, r *directory.Realm, s Session) (value string, err error) {
	value = secret("sps_")
	if err := i.seen(ctx, r, value); err != nil {
		return "", err
	}
	if err := put(ctx, i.Cache, cacheKey("session", r.Name, value), s, sessionTTL); err != nil {
		return "", busy("keep session", err)
	}
	return value, nil
}

// seen notes that a session is in use.
func (i *Issuer) seen(ctx context.Context, r *directory.Realm, value string) error {
	if err := put(ctx, i.Cache, cacheKey("session-seen", r.Name, value), i.Now(), sessionIdle); err != nil {
		return busy("note use of session", err)
	}
	return nil
}

// EndSession ends a session: its secret opens nothing any more. Ending none is no error.
func (i *Issuer) EndSession(ctx context.Context, r *directory.Realm, value string) error {
	if value == "" {
		return nil
	}
	if err := i.Cache.Delete(ctx, cacheKey("session", r.Name, value)); err != nil {
		return busy("end session", err)
	}
	return nil
}

// session returns a session that has not run out: else ErrNoSession.
func (i *Issuer) session(ctx context.Context, r *directory.Realm, value string) (Session, error) {
	var s Session
	var used time.Time
	for _, entry := range []struct {
		kind string
		into any
	}{{"session", &s}, {"session-seen", &used}} {
		kept, found, err := i.Cache.Get(ctx, cacheKey(entry.kind, r.Name, value))
		if err != nil {
			return Session{}, busy("read session", err)
		}
		if !found || json.Unmarshal(kept, entry.into) != nil {
			return Session{}, ErrNoSession
		}
	}
	now := i.Now()
	if !now.Before(s.StartedAt.Add(sessionTTL)) || !now.Before(used.Add(sessionIdle)) {
		return Session{}, ErrNoSession
	}
	return s, nil
}

// Visitor is a person who is signed in to their own page.
type Visitor struct {
	Account  Account
	Address  string // primary, as far as the identity provider speaks for it
	Provider directory.IdentityProvider
	Form     string // secret that every form of the page has to bring

	SignedInAt time.Time // as far as anybody knows

	secret  string // of the session
	session Session
}

// Sent reports whether a form came from a page of this session.
func (v Visitor) Sent(form string) bool {
	return subtle.ConstantTimeCompare([]byte(v.Form), []byte(form)) == 1
}

// Visitor returns who is signed in with a session's secret, and notes the visit.
// ErrNoSession, also when the identity provider does not speak for the account any more, or when everything of
// the person was ended since the session began.
func (i *Issuer) Visitor(ctx context.Context, r *directory.Realm, value string) (Visitor, error) {
	if value == "" {
		return Visitor{}, ErrNoSession
	}
	s, err := i.session(ctx, r, value)
	if err != nil {
		return Visitor{}, err
	}
	account, err := i.Store.Account(ctx, r.Name, s.Account)
	if errors.Is(err, ErrNotFound) {
		return Visitor{}, ErrNoSession
	}
	if err != nil {
		return Visitor{}, busy("load account of session", err)
	}
	p, err := Provider(r, s.Provider)
	standing := StandingOf(r, account)
	if err != nil || p.Issuer != s.Issuer || account.UpstreamIssuer != s.Issuer || !standing.Vouched || account.EndedSince(s.since()) {
		return Visitor{}, ErrNoSession
	}
	if err := i.seen(ctx, r, value); err != nil {
		return Visitor{}, err
	}
	return Visitor{
		Account: account, Address: standing.Address, Provider: p, Form: s.Form, SignedInAt: s.AuthTime, secret: value, session: s,
	}, nil
}

// Held is a grant that lives, with its program: the zero Client if that is switched off
// or gone.
type Held struct {
	Grant
	Client clients.Client
}

// Held returns the grants of a person that live, newest first.
func (i *Issuer) Held(ctx context.Context, r *directory.Realm, v Visitor) ([]Held, error) {
	grants, err := i.Store.Grants(ctx, r.Name, v.Account.ID)
	if err != nil {
		return nil, busy("list grants", err)
	}
	ctx, cancel := context.WithTimeout(ctx, programsPatience)
	defer cancel()
	known := map[string]clients.Client{}
	held := make([]Held, 0, len(grants))
	for _, g := range grants {
		c, found := known[g.ClientID]
		if !found {
			if c, err = i.program(ctx, r, g.ClientID); err != nil {
				return nil, err
			}
			known[g.ClientID] = c
		}
		held = append(held, Held{g, c})
	}
	return held, nil
}

// program finds the client of a grant. One whose document cannot be read just now is
// all the same known by its id.
func (i *Issuer) program(ctx context.Context, r *directory.Realm, id string) (clients.Client, error) {
	c, err := i.Clients.Find(ctx, r, id)
	if err == nil {
		return c, nil
	}
	if errors.Is(err, clients.ErrUnknown) {
		return clients.Client{}, nil
	}
	if u, parseErr := url.Parse(id); parseErr == nil && strings.HasPrefix(id, "https://") {
		return clients.Client{ID: id, Kind: clients.URL, Host: u.Host}, nil
	}
	return clients.Client{}, busy("find client", err)
}

// Ended is what a person ended on their own page.
type Ended struct {
	All         bool   `json:"all,omitempty"`
	AppPassword bool   `json:"app_password,omitempty"`
	Client      string `json:"client,omitempty"` // id of the program; empty if there was nothing to end
}

// EndHeld ends a grant of the person with everything made from it. What is not theirs,
// or has ended, is like one that never was.
func (i *Issuer) EndHeld(ctx context.Context, r *directory.Realm, v Visitor, grantID string) error {
	// Who hangs up wanted it ended all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenPatience)
	defer cancel()
	var g Grant
	err := ErrNotFound
	if isShortID(grantID) {
		g, err = i.Store.Grant(ctx, r.Name, grantID)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return busy("load grant", err)
	}
	if err != nil || g.AccountID != v.Account.ID || !g.EndedAt.IsZero() {
		i.tellEnded(ctx, r, v, Ended{})
		return nil
	}
	// First: after a failure between the two the program is still on the list. The other way round it
	// would be on none, and might come back without asking.
	if err := i.forgetConsent(ctx, r, v.Account.ID, g.ClientID); err != nil {
		return err
	}
	if err := i.end(ctx, r, g, reasonPerson); err != nil {
		return err
	}
	i.tellEnded(ctx, r, v, Ended{Client: g.ClientID})
	return nil
}

// EndAllHeld ends every grant of the person with everything made from them, their app passwords, their sessions
// at this page, and what they allowed that no program has redeemed yet. It returns the secret of the session
// with which they go on here; empty if they have to sign in again.
func (i *Issuer) EndAllHeld(ctx context.Context, r *directory.Realm, v Visitor) (session string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenPatience)
	defer cancel()
	if err := i.forgetConsent(ctx, r, v.Account.ID, ""); err != nil {
		return "", err
	}
	now := i.Now()
	ended, err := i.Store.EndGrants(ctx, r.Name, v.Account.ID, "", reasonPerson, now)
	if err != nil && !errors.Is(err, ErrNotFound) { // its tenant was removed, and the account with it
		return "", busy("end grants", err)
	}
	if ended > 0 {
		i.Known.changedAccount(r.Name, v.Account.ID)
		err = i.record(ctx, audit.Event{
			At: now, Kind: audit.KindGrantEnded, Tenant: r.Name, Account: v.Account.ID, Rule: reasonPerson, Outcome: audit.Allowed,
		})
		if err != nil {
			return "", err
		}
	}
	// After the end of all: from then on no session that began before it makes another.
	passwords, err := i.endAppPasswords(ctx, r, v, now)
	if err != nil {
		return "", err
	}
	// A session of its own, with a new secret: whoever else had the old one has nothing now.
	renewed := v.session
	renewed.Renewed = now.Add(time.Millisecond) // which is all that what is stored tells from now
	if v.secret, err = i.keepSession(ctx, r, renewed); err != nil {
		return "", nil // all has ended as was asked, and signing in again is all that is left to do
	}
	i.tellEnded(ctx, r, v, Ended{All: ended > 0 || passwords})
	return v.secret, nil
}

// forgetConsent drops what a person allowed a client or, with an empty clientID, all, so that it
// asks again (R12).
func (i *Issuer) forgetConsent(ctx context.Context, r *directory.Realm, accountID, clientID string) error {
	if err := i.Store.ForgetConsent(ctx, r.Name, accountID, clientID); err != nil {
		return busy("forget consent", err)
	}
	return nil
}

// tellEnded leaves a word for the page that follows. It is not in that page's address,
// where anybody could write it. If it is lost, the list itself says what is left.
func (i *Issuer) tellEnded(ctx context.Context, r *directory.Realm, v Visitor, e Ended) {
	_ = put(ctx, i.Cache, cacheKey("session-ended", r.Name, v.secret), e, sessionIdle)
}

// Ended returns, once, what the person ended a moment ago, and its program.
func (i *Issuer) Ended(ctx context.Context, r *directory.Realm, v Visitor) (e Ended, program clients.Client, found bool, err error) {
	kept, found, err := i.Cache.Take(ctx, cacheKey("session-ended", r.Name, v.secret))
	if err != nil {
		return Ended{}, clients.Client{}, false, busy("read what was ended", err)
	}
	if !found || json.Unmarshal(kept, &e) != nil {
		return Ended{}, clients.Client{}, false, nil
	}
	if e.Client == "" {
		return e, clients.Client{}, true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, programsPatience)
	defer cancel()
	program, err = i.program(ctx, r, e.Client)
	return e, program, true, err
}
