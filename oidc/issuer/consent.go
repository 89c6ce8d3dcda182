package issuer

import (
	"cmp"
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
	"signpost/scopes"
)

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
	ACR       string    `json:"acr,omitempty"`
	AMR       []string  `json:"amr,omitempty"`
	CreatedAt time.Time `json:"created_at"`
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
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`

	AllowedAt time.Time `json:"allowed_at,omitzero"` // when the person came to allow it
}

// code is what the person allows by a yes. It counts from when they came, not from the yes: who ends everything
// ends what waits on a page as well.
func (c Consent) code() code {
	return code{Ask: c.Ask, Account: c.Account, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR, AllowedAt: c.CreatedAt}
}

// Answer takes the person's yes or no and returns where the browser goes: to the
// client with a code, or with access_denied, or to the page of a device. A ticket is
// answered once. ErrGone, ErrOtherBrowser; *Unproven if the client was switched off meanwhile.
func (i *Issuer) Answer(ctx context.Context, r *directory.Realm, ticket, browser string, allow bool) (location string, err error) {
	key := cacheKey("consent", r.Name, ticket)
	// Look first: a ticket shown in another browser must not use it up.
	value, found, err := i.Cache.Get(ctx, key)
	c, err := readConsent(value, found, err, browser)
	if err != nil {
		return "", err
	}
	client, err := i.Asker(ctx, r, c.Ask)
	if err != nil {
		return "", err
	}
	if _, err := Provider(r, c.Provider); err != nil {
		return "", err
	}
	if err := i.mayAnswer(ctx, r, c); err != nil {
		return "", err
	}
	value, found, err = i.Cache.Take(ctx, key)
	if c, err = readConsent(value, found, err, browser); err != nil {
		return "", err
	}
	if err := i.settle(ctx, r, c); err != nil {
		return "", err
	}
	event := i.consentEvent(r, c)
	if !allow {
		event.Outcome = audit.Refused
		if c.Ask.remembered(client) { // who says no once is asked the next time
			if err := i.forgetConsent(ctx, r, c.Account, client.ID); err != nil {
				return "", err
			}
		}
	}
	if err := i.record(ctx, event); err != nil {
		return "", err
	}
	switch {
	case c.Ask.Device != "":
		return i.answerDevice(ctx, r, c, allow)
	case !allow:
		d := &Denied{Ask: c.Ask, Err: oidc.E(oidc.CodeAccessDenied, "the person did not allow it")}
		return d.RedirectError(r.Issuer), nil
	}
	if err := i.remember(ctx, r, client, c); err != nil {
		return "", err
	}
	return i.issueCode(ctx, r, c)
}

// mayAnswer returns ErrGone if the account is gone, or if everything of it was ended since the person
// came. If nobody can tell just now, the person need not say yes again: the same is asked before a grant is
// made of it.
func (i *Issuer) mayAnswer(ctx context.Context, r *directory.Realm, c Consent) error {
	account, err := i.Store.Account(ctx, r.Name, c.Account)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && account.EndedSince(c.CreatedAt):
		return ErrGone
	}
	return nil
}

// allowAgain answers with what the person allowed earlier, without asking (R12).
func (i *Issuer) allowAgain(ctx context.Context, r *directory.Realm, c Consent) (location string, err error) {
	if err := i.settle(ctx, r, c); err != nil {
		return "", err
	}
	event := i.consentEvent(r, c)
	event.Rule = "remembered"
	if err := i.record(ctx, event); err != nil {
		return "", err
	}
	return i.issueCode(ctx, r, c)
}

// settle makes this the one answer to a request. Another tab, a link in the browser's
// history or a sign-in that was left open at the identity provider answers it no more: ErrGone.
func (i *Issuer) settle(ctx context.Context, r *directory.Realm, c Consent) error {
	if request := cmp.Or(c.Ask.Pushed, c.Request); request != "" {
		first, err := i.Cache.Add(ctx, cacheKey("answered", r.Name, request), []byte{1}, signInTTL+consentTTL)
		if err != nil {
			return busy("settle request", err)
		}
		if !first {
			return ErrGone
		}
	}
	for _, key := range []string{c.Request, c.Ask.Pushed} {
		if key == "" {
			continue
		}
		if err := i.Begun.Delete(ctx, key); err != nil {
			return busy("forget request", err)
		}
	}
	return nil
}

func (i *Issuer) consentEvent(r *directory.Realm, c Consent) audit.Event {
	return audit.Event{
		At: i.Now(), Kind: audit.KindConsent, Tenant: r.Name, Account: c.Account, Client: c.Ask.ClientID,
		Scope: c.Ask.Scope, Outcome: audit.Allowed,
	}
}

// issueCode keeps what was allowed under a new code and returns the client's answer.
func (i *Issuer) issueCode(ctx context.Context, r *directory.Realm, c Consent) (location string, err error) {
	value := secret("spc_")
	if err := put(ctx, i.Cache, cacheKey("code", r.Name, value), c.code(), CodeTTL); err != nil {
		return "", busy("keep code", err)
	}
	return c.Ask.answer(r.Issuer, url.Values{"code": {value}}), nil
}

// allowed reports whether the person need not be asked: an account of theirs allowed
// all of this to this client before, and nobody else can be taken for it (R12).
func (i *Issuer) allowed(ctx context.Context, r *directory.Realm, client clients.Client, a Ask, accountID string) (bool, error) {
	if accountID == "" || a.AskAgain || !a.remembered(client) {
		return false, nil
	}
	granted, err := i.remembered(ctx, r, client, accountID)
	return r.Catalogue.Cover(granted, scopes.Of(strings.Fields(a.Scope)...)), err
}

// remembered reports whether consent to such a request is kept: the answer must go
// where only this client receives it. A device gets no answer there.
func (a Ask) remembered(client clients.Client) bool {
	return a.Device == "" && client.Remembers(a.RedirectURI)
}

// remember keeps what the person allowed, with what they allowed earlier.
func (i *Issuer) remember(ctx context.Context, r *directory.Realm, client clients.Client, c Consent) error {
	if !c.Ask.remembered(client) {
		return nil
	}
	granted, err := i.remembered(ctx, r, client, c.Account)
	if err != nil {
		return err
	}
	granted = granted.Union(scopes.Of(strings.Fields(c.Ask.Scope)...))
	if err := i.Store.KeepConsent(ctx, r.Name, c.Account, client.ID, granted.String(), i.Now()); err != nil {
		return busy("remember consent", err)
	}
	return nil
}

// remembered returns what an account allowed a client earlier.
func (i *Issuer) remembered(ctx context.Context, r *directory.Realm, client clients.Client, accountID string) (scopes.Set, error) {
	granted, err := i.Store.Consent(ctx, r.Name, accountID, client.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return scopes.Set{}, busy("read remembered consent", err)
	}
	return scopes.Of(strings.Fields(granted)...), nil
}

// notSilently is said when a page would have to be shown that the client does not want.
// Anybody can be a client with a URL for an id: such a one is not told that its visitor is
// signed in here, which it would be by another word than for somebody who is not.
func notSilently(client clients.Client) *oidc.Error {
	if client.Kind == clients.URL {
		return SignInNeeded()
	}
	return oidc.E(oidc.CodeConsentRequired, "the person has not allowed all of this; open the page without prompt=none")
}
