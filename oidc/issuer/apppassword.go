package issuer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/clients"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// maxLabel bounds the name of an app password, in characters.
const maxLabel = 64

// reasonUnrecorded is why an app password ended that nobody was told, as the record could not be kept.
const reasonUnrecorded = "unrecorded"

// MakeAppPassword makes the app password that the policy allowed, under a name that the person or the
// program gives it, and returns it: it is shown once and cannot be read again. Failures are
// *oidc.Error: invalid_request if the person has too many or the sign-in ended meanwhile,
// temporarily_unavailable.
func (i *Issuer) MakeAppPassword(ctx context.Context, r *directory.Realm, d policy.Decision, label string) (password string, err error) {
	made, err := i.makeAppPassword(ctx, r, d, label, time.Time{})
	return made.Password, err
}

// Made is a new app password.
type Made struct {
	Password string           // for the person, once
	Kept     apppassword.Kept // what it is for
}

// makeAppPassword makes what the policy allowed. At the person's own page allowedAt is when their session began.
func (i *Issuer) makeAppPassword(ctx context.Context, r *directory.Realm, d policy.Decision, label string, allowedAt time.Time) (Made, error) {
	if !d.Allowed() || d.Claims.Subject == "" || len(d.Claims.Audience) == 0 {
		return Made{}, errors.New("issuer: make app password: the policy did not allow one")
	}
	kept := apppassword.Kept{
		ID: shortID(), AccountID: d.Claims.Subject, GrantID: d.Claims.GrantID, ClientID: d.Claims.ClientID, Label: cleanLabel(label),
		Username: d.Claims.Username, Audiences: d.Claims.Audience, Scopes: d.Claims.Scope, CreatedAt: i.Now(), AllowedAt: allowedAt,
	}
	if kept.GrantID == policy.AccountPage {
		kept.GrantID = ""
	}
	password, err := i.AppPasswords.Make(ctx, r.Name, kept)
	switch {
	case errors.Is(err, apppassword.ErrFull):
		return Made{}, oidc.E(oidc.CodeInvalidRequest, "this person has too many app passwords; end some of them")
	case errors.Is(err, apppassword.ErrEnded), errors.Is(err, apppassword.ErrNotFound):
		return Made{}, oidc.E(oidc.CodeInvalidRequest, "the sign-in has ended; sign in again").Because(err)
	case err != nil:
		return Made{}, busy("make app password", err)
	}
	if err := i.record(ctx, appPasswordEvent(r, kept, "made", kept.CreatedAt)); err != nil {
		return Made{}, errors.Join(err, i.takeBack(ctx, r, kept))
	}
	return Made{Password: password.Reveal(), Kept: kept}, nil
}

// takeBack ends an app password that nobody was told.
func (i *Issuer) takeBack(ctx context.Context, r *directory.Realm, k apppassword.Kept) error {
	if _, err := i.AppPasswords.Store.EndAppPassword(ctx, r.Name, k.AccountID, k.ID, reasonUnrecorded, i.Now()); err != nil {
		return fmt.Errorf("take back app password %s: %w", k.ID, err)
	}
	return nil
}

func appPasswordEvent(r *directory.Realm, k apppassword.Kept, rule string, at time.Time) audit.Event {
	return audit.Event{
		At: at, Kind: audit.KindAppPassword, Tenant: r.Name, Account: k.AccountID, Client: k.ClientID, Grant: k.GrantID,
		Service: strings.Join(k.Audiences, " "), Scope: k.Scopes, Rule: rule, Outcome: audit.Allowed,
	}
}

// cleanLabel keeps of a name what can be shown in one line.
func cleanLabel(label string) string {
	label = strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsPrint(c):
			return -1
		}
		return c
	}, label)), " ")
	if characters := []rune(label); len(characters) > maxLabel {
		label = string(characters[:maxLabel])
	}
	return label
}

// AppPasswordCheck answers a server that wants to know whether a person may sign in with a login name and
// an app password, and returns Inactive whatever is wrong with them. The server shows its own
// credentials as for Introspect, and may say in remote_address where the person's program is. Failures
// are *oidc.Error: invalid_client, invalid_request, temporarily_unavailable.
func (i *Issuer) AppPasswordCheck(ctx context.Context, r *directory.Realm, call Call) (Introspection, error) {
	if err := once(call.Form); err != nil {
		return nil, err
	}
	server, err := i.Clients.ResourceServer(ctx, r, call.credentials())
	if err != nil {
		return nil, err
	}
	return i.CheckAppPassword(ctx, r, server, call.Form.Get("username"), call.Form.Get("password"), call.Form.Get("remote_address"))
}

// CheckAppPassword tells a server what a login name and an app password are worth to it now. The login name
// has to be the one that the person has at the server's services today; like Dovecot, which writes
// names in lower case before it asks, it does not tell A from a. remote is the network address of the person's program, or empty.
// Failures are *oidc.Error: temporarily_unavailable.
func (i *Issuer) CheckAppPassword(ctx context.Context, r *directory.Realm, server directory.ResourceServer, username, password, remote string) (Introspection, error) {
	presented := apppassword.Presented{Password: password, From: remote, Server: server.Name}
	kept, d, err := i.appPassword(ctx, r, server, presented)
	if err != nil {
		return nil, err
	}
	if !d.Allowed() {
		return Inactive(), nil
	}
	if username == "" || lowerASCII(username) != lowerASCII(d.Claims.Username) {
		if err := i.recordTooMany(ctx, r, server, i.AppPasswords.Wrong(ctx, r.Name, presented)); err != nil {
			return nil, err
		}
		return Inactive(), nil
	}
	i.noteUse(ctx, r, kept)
	return Introspection{
		"active": true, "username": d.Claims.Username, "sub": d.Claims.Subject, "aud": audience(d.Claims), "scope": d.Claims.Scope,
	}, nil
}

// lowerASCII folds letters of ASCII and no others: letters that look alike elsewhere are not the same mailbox.
func lowerASCII(name string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, name)
}

// appPasswordWorth is the answer to a server that asks about an app password as if it were a
// token. It does not say when it ends, because it does not.
func (i *Issuer) appPasswordWorth(ctx context.Context, r *directory.Realm, server directory.ResourceServer, presented string) (Introspection, error) {
	kept, d, err := i.appPassword(ctx, r, server, apppassword.Presented{Password: presented, Server: server.Name})
	if err != nil {
		return nil, err
	}
	if !d.Allowed() {
		return Inactive(), nil
	}
	i.noteUse(ctx, r, kept)
	return Introspection{
		"active": true, "iss": r.Issuer, "sub": d.Claims.Subject, "aud": audience(d.Claims), "scope": d.Claims.Scope,
		"client_id": kept.ClientID, "username": d.Claims.Username, "iat": kept.CreatedAt.Unix(), "token_type": oidc.NotAToken,
	}, nil
}

// noteUse writes down that a password was used. Nobody's mail waits for that to succeed.
func (i *Issuer) noteUse(ctx context.Context, r *directory.Realm, k apppassword.Kept) {
	_ = i.AppPasswords.Used(ctx, r.Name, k)
}

// appPassword finds an app password and judges it by what is so today: the person, the service, the
// grant and the program that it was made with (R21). What was presented is read from SQL each time,
// on every replica: what was ended has ended everywhere. A refusal says nothing of why.
//
// No check is kept in the audit. Programs for calendars ask many times a minute, and whoever types
// anything into them could fill a record that nobody may shorten; what is in it are the facts that decide:
// when a password was made and ended, and when attempts became too many.
func (i *Issuer) appPassword(ctx context.Context, r *directory.Realm, server directory.ResourceServer, presented apppassword.Presented) (apppassword.Kept, policy.Decision, error) {
	kept, err := i.AppPasswords.Find(ctx, r.Name, presented)
	if errors.Is(err, apppassword.ErrWrong) {
		return kept, policy.Decision{}, i.recordTooMany(ctx, r, server, err)
	}
	if err != nil {
		return kept, policy.Decision{}, busy("find app password", err)
	}
	request, err := i.appPasswordRequest(ctx, r, kept)
	if errors.Is(err, ErrNotFound) || errors.Is(err, clients.ErrUnknown) || errors.Is(err, scopes.ErrSyntax) {
		return kept, policy.Decision{}, nil
	}
	if err != nil {
		return kept, policy.Decision{}, err
	}
	request.Targets = server.Audiences
	return kept, policy.AliveAppPassword(request), nil
}

// recordTooMany records that wrong passwords became too many for one that somebody has, and where they were tried.
func (i *Issuer) recordTooMany(ctx context.Context, r *directory.Realm, server directory.ResourceServer, wrong error) error {
	if !errors.Is(wrong, apppassword.ErrTooMany) {
		return nil
	}
	return i.record(ctx, audit.Event{
		At: i.Now(), Kind: audit.KindAppPassword, Tenant: r.Name, Service: strings.Join(server.Audiences, " "),
		Rule: "check/too-many", Outcome: audit.Refused,
	})
}

// appPasswordRequest joins what there is to know of an app password. ErrNotFound, clients.ErrUnknown and
// scopes.ErrSyntax mean that it is worth nothing.
func (i *Issuer) appPasswordRequest(ctx context.Context, r *directory.Realm, k apppassword.Kept) (policy.Request, error) {
	account, err := i.Store.Account(ctx, r.Name, k.AccountID)
	if err != nil {
		return policy.Request{}, unlessGone("load account", err)
	}
	grant := pageGrant(r, account)
	if k.GrantID != "" {
		if grant, err = i.Store.Grant(ctx, r.Name, k.GrantID); err != nil {
			return policy.Request{}, unlessGone("load grant", err)
		}
	}
	request, err := i.PolicyRequest(r, account, grant)
	if err != nil {
		return policy.Request{}, err
	}
	request.Grant.Ended = !k.Lives() // one that ran out or was replaced leaves its app passwords
	if err := i.madeBy(ctx, &request, r, k.GrantID); err != nil {
		return policy.Request{}, err
	}
	scope, err := scopes.Parse(k.Scopes)
	if err != nil {
		return policy.Request{}, fmt.Errorf("scopes of app password %s: %w", k.ID, err)
	}
	request.Subject = &policy.Subject{
		Issuer: r.Issuer, Subject: k.AccountID, Audience: k.Audiences, Scope: scope,
		ClientID: k.ClientID, GrantID: grant.ID, Username: k.Username,
	}
	return request, nil
}

func unlessGone(doing string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return err
	}
	return busy(doing, err)
}

// madeBy adds who made a password. One that a program made dies with the program: clients.ErrUnknown.
func (i *Issuer) madeBy(ctx context.Context, request *policy.Request, r *directory.Realm, grantID string) error {
	if grantID != "" {
		return i.AskedByGrant(ctx, request, r)
	}
	request.ClientKind, request.ClientConditions = policy.AccountPage, r.ClientConditions(policy.AccountPage)
	return nil
}

// pageGrant stands for a person at their own page, who may allow themselves whatever there is. It
// says nothing of how they signed in: that is not kept, and a condition that asks for it does
// not hold when a password is made any more than when it is used.
func pageGrant(r *directory.Realm, a Account) Grant {
	return Grant{
		ID: policy.AccountPage, AccountID: a.ID, ClientID: policy.AccountPage,
		Scopes: r.Supported().Union(scopes.Of(oidc.ScopeAppPassword)).String(),
	}
}
