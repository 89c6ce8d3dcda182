package issuer

import (
	"context"
	"errors"
	"slices"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc/apppassword"
	"signpost/oidc/policy"
)

// Refusals of an app password that a person can do something about.
var (
	// ErrStale means that they signed in to their own page too long ago. Ask them to sign in again.
	ErrStale = errors.New("issuer: signed in too long ago for an app password")
	// ErrLogins means that they have different login names at the services. Ask them to choose fewer.
	ErrLogins = errors.New("issuer: an app password is for one login name")
	// ErrRepeated means that the form came before and a password was made. Say so: they may not have seen it.
	ErrRepeated = errors.New("issuer: this form has made an app password already")
)

// SignInAgain is what asks a person to sign in to their own page anew, whoever is signed in at the
// identity provider.
func SignInAgain() Ask { return Ask{Account: true, Prompt: promptLogin} }

// Offer is what an app password may be made for at the person's own page: the services of one
// audience, and the login name there.
type Offer struct {
	Audience string
	Titles   []string // of the services
	Username string
}

// Wallet is what a person has and can have of app passwords.
type Wallet struct {
	Living []apppassword.Kept // newest first
	Offers []Offer            // none if no service of theirs takes app passwords
	Fresh  bool               // they signed in lately enough to make one
	Once   string             // to come back with the form that makes one
}

// Wallet returns a person's app passwords and what new ones may be for.
func (i *Issuer) Wallet(ctx context.Context, r *directory.Realm, v Visitor) (Wallet, error) {
	living, err := i.AppPasswords.Store.AppPasswords(ctx, r.Name, v.Account.ID)
	if err != nil {
		return Wallet{}, busy("list app passwords", err)
	}
	w := Wallet{
		Living: slices.DeleteFunc(living, func(k apppassword.Kept) bool { return !k.Lives() }),
		Fresh:  i.fresh(v),
		Once:   secret(""),
	}
	request, err := i.pageRequest(r, v)
	if err != nil {
		return Wallet{}, err
	}
	for _, s := range request.Services {
		request.Targets = []string{s.Audience}
		d := policy.Decide(request)
		if !d.Allowed() || slices.ContainsFunc(w.Offers, func(o Offer) bool { return o.Audience == s.Audience }) {
			continue
		}
		w.Offers = append(w.Offers, Offer{Audience: s.Audience, Titles: titles(r, s.Audience), Username: d.Claims.Username})
	}
	return w, nil
}

// fresh reports whether somebody signed in lately enough for a lasting password: a browser that was
// left open makes none.
func (i *Issuer) fresh(v Visitor) bool { return policy.SignedInLately(v.SignedInAt, i.Now()) }

// titles are those of the services that an audience stands for.
func titles(r *directory.Realm, audience string) (titles []string) {
	for _, s := range r.Services {
		if s.Audience == audience && !slices.Contains(titles, s.Title) {
			titles = append(titles, s.Title)
		}
	}
	return titles
}

// Titles names the services of an app password for the person; one that is gone by its audience.
func Titles(r *directory.Realm, k apppassword.Kept) (list []string) {
	for _, audience := range k.Audiences {
		names := titles(r, audience)
		if len(names) == 0 {
			names = []string{audience}
		}
		list = append(list, names...)
	}
	return list
}

// pageRequest is what the policy judges of a person at their own page.
func (i *Issuer) pageRequest(r *directory.Realm, v Visitor) (policy.Request, error) {
	request, err := i.PolicyRequest(r, v.Account, pageGrant(r, v.Account))
	if err != nil {
		return policy.Request{}, err
	}
	request.Way, request.ClientID = policy.AppPassword, policy.AccountPage
	request.ClientKind, request.ClientConditions = policy.AccountPage, r.ClientConditions(policy.AccountPage)
	return request, nil
}

// Order is a form that asks for an app password.
type Order struct {
	Audiences []string // of the services that it shall open
	Label     string
	Once      string // of the Wallet that the form showed
}

// NewAppPassword makes an app password for a person at their own page. ErrStale, ErrLogins, ErrRepeated;
// ErrNoSession if everything of theirs was ended meanwhile. Other refusals are *oidc.Error, and so is
// temporarily_unavailable.
func (i *Issuer) NewAppPassword(ctx context.Context, r *directory.Realm, v Visitor, o Order) (Made, error) {
	// Who hangs up leaves nothing half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenPatience)
	defer cancel()
	if !i.fresh(v) {
		return Made{}, i.refuseAppPassword(ctx, r, v, policy.RuleFresh, ErrStale)
	}
	request, err := i.pageRequest(r, v)
	if err != nil {
		return Made{}, err
	}
	request.Targets = o.Audiences
	d := policy.Decide(request)
	if d.Rule == policy.RuleLogin {
		return Made{}, i.refuseAppPassword(ctx, r, v, d.Rule, ErrLogins)
	}
	if !d.Allowed() {
		return Made{}, i.refuseAppPassword(ctx, r, v, d.Rule, d.Refusal)
	}
	return i.makeOnce(ctx, r, v, d, o)
}

// makeOnce makes an app password, unless this form has made one: a page that is loaded again, or a button that is
// pressed twice, sends it anew.
func (i *Issuer) makeOnce(ctx context.Context, r *directory.Realm, v Visitor, d policy.Decision, o Order) (Made, error) {
	key := cacheKey("session-made", r.Name, v.secret+" "+o.Once)
	first, err := i.Cache.Add(ctx, key, []byte{1}, sessionTTL)
	if err != nil {
		return Made{}, busy("look whether the form came before", err)
	}
	if !first {
		return Made{}, ErrRepeated
	}
	made, err := i.makeAppPassword(ctx, r, d, o.Label, v.session.since())
	if err != nil {
		_ = i.Cache.Delete(ctx, key) // it has made none
	}
	if errors.Is(err, apppassword.ErrEnded) || errors.Is(err, apppassword.ErrNotFound) {
		return Made{}, ErrNoSession
	}
	return made, err
}

// refuseAppPassword records that a person got none and returns why.
func (i *Issuer) refuseAppPassword(ctx context.Context, r *directory.Realm, v Visitor, rule string, why error) error {
	err := i.record(ctx, audit.Event{
		At: i.Now(), Kind: audit.KindAppPassword, Tenant: r.Name, Account: v.Account.ID, Client: policy.AccountPage,
		Rule: string(policy.AppPassword) + "/" + rule, Outcome: audit.Refused,
	})
	if err != nil {
		return err
	}
	return why
}

// EndAppPassword ends an app password of the person. What is not theirs, or has ended, is like one that
// never was.
func (i *Issuer) EndAppPassword(ctx context.Context, r *directory.Realm, v Visitor, id string) error {
	// Who hangs up wanted it ended all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenPatience)
	defer cancel()
	now := i.Now()
	ended := false
	if isShortID(id) {
		var err error
		if ended, err = i.AppPasswords.Store.EndAppPassword(ctx, r.Name, v.Account.ID, id, reasonPerson, now); err != nil {
			return busy("end app password", err)
		}
	}
	if !ended {
		i.tellEnded(ctx, r, v, Ended{})
		return nil
	}
	if err := i.recordAppPasswordsEnded(ctx, r, v, now); err != nil {
		return err
	}
	i.tellEnded(ctx, r, v, Ended{AppPassword: true})
	return nil
}

// endAppPasswords ends all of the person's and reports whether there were any.
func (i *Issuer) endAppPasswords(ctx context.Context, r *directory.Realm, v Visitor, now time.Time) (bool, error) {
	ended, err := i.AppPasswords.Store.EndAppPasswords(ctx, r.Name, v.Account.ID, reasonPerson, now)
	if err != nil {
		return false, busy("end app passwords", err)
	}
	if ended == 0 {
		return false, nil
	}
	return true, i.recordAppPasswordsEnded(ctx, r, v, now)
}

func (i *Issuer) recordAppPasswordsEnded(ctx context.Context, r *directory.Realm, v Visitor, now time.Time) error {
	return i.record(ctx, audit.Event{
		At: now, Kind: audit.KindAppPassword, Tenant: r.Name, Account: v.Account.ID,
		Rule: "ended/" + reasonPerson, Outcome: audit.Allowed,
	})
}

// signedInAt is when a person signed in to their own page: as the identity provider says or, if
// that says nothing, when it sent them here. It may have known them from before; the page asks
// it to make them sign in again when that is too long ago.
func signedInAt(said, came time.Time) time.Time {
	if said.IsZero() {
		return came
	}
	return said
}
