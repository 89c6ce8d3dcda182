package server

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/web"
)

// authorize checks the request and shows the page before the identity provider, or
// goes there at once if the client wants no page (RFC 6749, section 4.1.1).
func (s *Server) authorize(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	ask, err := s.Issuer.Check(c.Request.Context(), r, sent(q))
	if err == nil && ask.Silent() {
		err = s.authorizeSilently(c, r, ask)
	} else if err == nil {
		err = s.before(c, r, ask)
	}
	return s.tellClient(c, r, err)
}

// authorizeForm turns a request that came as a form into one that came as a link. A
// form of another site comes without our cookie, and answering it would
// give the browser a new one and end the sign-ins in flight.
func (s *Server) authorizeForm(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	c.Redirect(http.StatusSeeOther, r.URL("/authorize")+"?"+f.Encode())
	return nil
}

// authorizeSilently sends the browser to the identity provider without a page
// (https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest).
func (s *Server) authorizeSilently(c *gin.Context, r *directory.Realm, ask issuer.Ask) error {
	state, signIn, err := s.Issuer.BeginSilently(c.Request.Context(), r, ask, ensureBrowser(c, r))
	if err == nil {
		err = s.toProvider(c, r, state, signIn)
	}
	return s.quietly(c, ask, err)
}

// before shows the page before the identity provider, with a link to each that may sign
// this person in. None is asked anything before somebody follows its link.
func (s *Server) before(c *gin.Context, r *directory.Realm, ask issuer.Ask) error {
	providers := ask.Providers(r)
	if len(providers) == 0 {
		return errNoProvider
	}
	v := web.SignIn{Organisation: organisation(r), Account: ask.Account, Failed: ask.Account && c.Query("result") == issuer.AccountFailed}
	if !ask.Account {
		asker, err := s.asker(c, r, ask)
		if err != nil {
			return err
		}
		v.Asker = asker
	}
	ticket, err := s.Issuer.Begin(c.Request.Context(), r, ask, ensureBrowser(c, r))
	if err != nil {
		return err
	}
	if !ask.Account { // there is nobody to tell
		v.Cancel = r.URL("/authorize/cancel") + "?ticket=" + ticket
	}
	for _, p := range providers {
		v.Choices = append(v.Choices, web.Choice{Title: p.Title, Host: host(p.Issuer), URL: r.URL("/sign-in/"+p.Name) + "?ticket=" + ticket})
	}
	s.renderIn(c, http.StatusOK, ask.UILocales, "", func(b *bytes.Buffer, lang string) error {
		v.Permissions = permissions(r, ask.Scope, lang)
		return s.Pages.SignIn(b, lang, v)
	})
	return nil
}

// cancel tells the client that the person went back. The page leads here and not to
// the client, because not every redirect URI can be a link on a page.
func (s *Server) cancel(c *gin.Context, r *directory.Realm) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	denied, err := s.Issuer.Cancel(c.Request.Context(), r, q.Get("ticket"), browser(c, r))
	if err != nil {
		return err
	}
	return s.tellClient(c, r, denied)
}

// tellClient sends the browser to the client if that is what err means, and logs it;
// other errors are returned.
func (s *Server) tellClient(c *gin.Context, r *directory.Realm, err error) error {
	denied, ok := errors.AsType[*issuer.Denied](err)
	if !ok {
		return err
	}
	level := slog.LevelInfo
	if classify(denied.Err).status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.Log.Log(c.Request.Context(), level, "denied", "request_id", requestID(c), "route", c.FullPath(),
		"code", denied.Err.Code, "err", denied.Err.Cause)
	to := denied.RedirectError(r.Issuer)
	if denied.Confirm {
		s.renderIn(c, http.StatusBadRequest, denied.Ask.UILocales, "", func(b *bytes.Buffer, lang string) error {
			return s.Pages.Problem(b, lang, web.Problem{
				Title: web.ProblemBadRequest, RequestID: requestID(c), Help: r.Help, Back: to, BackHost: host(to),
			})
		})
		return nil
	}
	c.Redirect(http.StatusSeeOther, to)
	return nil
}

// quietly turns what would be a page into an answer to the client, if the client
// wants no page. What is wrong with the client itself stays a page.
func (s *Server) quietly(c *gin.Context, ask issuer.Ask, err error) error {
	if err == nil || !ask.Silent() {
		return err
	}
	if _, ok := errors.AsType[*issuer.Denied](err); ok {
		return err
	}
	if _, ok := errors.AsType[*issuer.Unproven](err); ok {
		return err
	}
	f := classify(err)
	return &issuer.Denied{Ask: ask, Err: oidc.E(f.code, f.sentence).Because(err)}
}
