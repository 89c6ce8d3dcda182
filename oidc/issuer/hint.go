package issuer

import (
	"context"
	"errors"
	"net/url"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
)

// hintParameter holds an ID token that the client got earlier. It is longer than
// other parameters; package keys bounds it.
const hintParameter = "id_token_hint"

// readHint pins the request to the account of an ID token that this client got
// here (R17; https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest). Of the token only
// "sub" is used, and only to refuse: the account's address is not sent upstream as a
// login hint, because a client that was not told it could read it there.
func (i *Issuer) readHint(ctx context.Context, r *directory.Realm, a *Ask, q url.Values) *oidc.Error {
	if !q.Has(hintParameter) {
		return nil
	}
	unusable := oidc.E(oidc.CodeInvalidRequest, "id_token_hint is not an ID token that this issuer gave to this client")
	hint, err := i.Keys.VerifyHint(r.Name, r.Issuer, q.Get(hintParameter))
	if err != nil {
		return unusable.Because(err)
	}
	if hint.ClientID != a.ClientID {
		return unusable.Because(errors.New("it was given to another client"))
	}
	account, err := i.Store.Account(ctx, r.Name, hint.Subject)
	if errors.Is(err, ErrNotFound) {
		return unusable.Because(err)
	}
	if err != nil {
		return busy("load account of hint", err)
	}
	a.Subject, a.Upstream = account.ID, account.UpstreamIssuer
	if len(a.Providers(r)) == 0 {
		return oidc.E(oidc.CodeLoginRequired, "the identity provider of this account does not sign people in here any more")
	}
	return nil
}

// accountOf returns the id of the account that a person has already, or "".
func (i *Issuer) accountOf(ctx context.Context, r *directory.Realm, p oidc.Person) (string, error) {
	account, err := i.Store.AccountOf(ctx, r.Name, p.Issuer, p.Subject)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", busy("look for account", err)
	}
	return account.ID, nil
}

// another goes on after somebody else signed in than the account that the client
// named. The person may choose again at the identity provider, once; then the
// client is told. Nothing of who came is kept, and the client's older grant stays as it is (R17).
func (i *Issuer) another(ctx context.Context, r *directory.Realm, s SignIn, e audit.Event) (Next, error) {
	if s.Again || s.Ask.Silent() {
		refused := oidc.E(oidc.CodeLoginRequired, "another person signed in than the one whom id_token_hint names")
		return Next{}, i.refuse(ctx, e, "another-person", &Denied{Ask: s.Ask, Err: refused})
	}
	// The link to the first try in the browser's history begins nothing more.
	if err := i.Begun.Delete(ctx, s.Request); err != nil {
		return Next{}, busy("forget request", err)
	}
	s.Again, s.Prompt, s.Nonce, s.Verifier = true, promptSelect, secret(""), secret("")
	state, err := i.keepSignIn(ctx, r, s)
	if err != nil {
		return Next{}, err
	}
	return Next{State: state, SignIn: s}, nil
}
