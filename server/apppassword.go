package server

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
	"signpost/web"
)

// checkAppPassword tells a server whether a login name and an app password go together (R21). All that is
// wrong with them is answered alike. Who can only look at the status of an answer sends status=1 and
// gets 204 or 403.
func (s *Server) checkAppPassword(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	// Empty ones are somebody's typing; missing ones are a server that asks wrongly.
	if !f.Has("username") || !f.Has("password") {
		return oidc.E(oidc.CodeInvalidRequest, "username or password is missing")
	}
	answer, err := s.Issuer.AppPasswordCheck(c.Request.Context(), r, call(c, r, f))
	switch {
	case err != nil:
		return err
	case f.Get("status") != "1":
		write(c, http.StatusOK, "application/json", answer)
	case answer["active"] == true:
		c.Status(http.StatusNoContent)
	default:
		c.Status(http.StatusForbidden)
	}
	return nil
}

// makeAppPassword makes an app password and shows it, in the answer to the form itself: it is kept
// nowhere, not even for the moment until a next page. issuer.ErrNoSession if there is no session any more.
func (s *Server) makeAppPassword(c *gin.Context, r *directory.Realm, v issuer.Visitor, f url.Values) error {
	if len(f["label"]) > 1 || len(f["once"]) != 1 {
		return errBadForm
	}
	if len(f["service"]) == 0 {
		return s.accountPage(c, r, v, web.NotMadeChoose)
	}
	// The rest of the page first: nothing may fail between the password and the person.
	shown, held, err := s.accountView(c, r, v)
	if err != nil {
		return err
	}
	made, err := s.Issuer.NewAppPassword(c.Request.Context(), r, v, issuer.Order{
		Audiences: f["service"], Label: f.Get("label"), Once: f.Get("once"),
	})
	switch {
	case err == nil:
		shown.Made = &web.MadePassword{Password: made.Password, Username: made.Kept.Username}
		shown.AppPasswords = slices.Insert(shown.AppPasswords, 0, appPasswordOf(r, made.Kept))
	case errors.Is(err, issuer.ErrNoSession):
		return err
	case errors.Is(err, issuer.ErrStale):
		shown.NotMade = web.NotMadeAgain
	case errors.Is(err, issuer.ErrLogins):
		shown.NotMade = web.NotMadeLogins
	case errors.Is(err, issuer.ErrRepeated):
		shown.NotMade = web.NotMadeRepeated
	case classify(err).status == http.StatusBadRequest:
		shown.NotMade = web.NotMadeRefused
	default:
		return err
	}
	s.showAccount(c, r, shown, held)
	return nil
}

// showWallet writes a person's app passwords on their page.
func showWallet(r *directory.Realm, shown *web.Account, w issuer.Wallet) {
	for _, k := range w.Living {
		shown.AppPasswords = append(shown.AppPasswords, appPasswordOf(r, k))
	}
	for _, o := range w.Offers {
		shown.Offers = append(shown.Offers, web.Offer{Value: o.Audience, Services: o.Titles, Username: o.Username})
	}
	shown.Once = w.Once
	if !w.Fresh {
		shown.SignInAgain = r.URL("/account?again=1")
	}
}

func appPasswordOf(r *directory.Realm, k apppassword.Kept) web.AppPassword {
	return web.AppPassword{ID: k.ID, Label: k.Label, Services: issuer.Titles(r, k), Since: k.CreatedAt, LastUsed: k.LastUsedAt}
}
