package server

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc/issuer"
	"signpost/web"
)

// deviceAuthorization is the device authorization endpoint (RFC 8628, section 3.1).
func (s *Server) deviceAuthorization(c *gin.Context, r *directory.Realm) error {
	c.Header(nonceHeader, s.Issuer.Proofs.Nonce(r.Name))
	f, err := form(c)
	if err != nil {
		return err
	}
	answer, err := s.Issuer.AuthorizeDevice(c.Request.Context(), r, call(c, r, f), c.ClientIP())
	if err != nil {
		return err
	}
	write(c, http.StatusOK, "application/json", answer)
	return nil
}

// devicePage is where a person types the code that a device shows (RFC 8628, section
// 3.3), and where they come back to in the end. A code in the query fills in the field; nobody
// is led past it (R16).
func (s *Server) devicePage(c *gin.Context, r *directory.Realm) error {
	if !issuer.UsesDevices(r) {
		return directory.ErrNotFound
	}
	q, err := query(c)
	if err != nil {
		return err
	}
	if result := q.Get("result"); result != "" {
		s.render(c, http.StatusOK, "", func(b *bytes.Buffer, lang string) error {
			return s.Pages.DeviceDone(b, lang, web.DeviceDone{Organisation: organisation(r), Result: result})
		})
		return nil
	}
	ensureBrowser(c, r)
	v := web.DeviceCode{UserCode: issuer.UserCode(q.Get("user_code"))}
	if v.UserCode != "" {
		v.Link = r.URL("/device") + "?user_code=" + v.UserCode
	}
	s.renderDeviceCode(c, r, http.StatusOK, v)
	return nil
}

func (s *Server) renderDeviceCode(c *gin.Context, r *directory.Realm, status int, v web.DeviceCode) {
	v.Organisation, v.Action = organisation(r), r.URL("/device")
	s.render(c, status, "", func(b *bytes.Buffer, lang string) error { return s.Pages.DeviceCode(b, lang, v) })
}

// deviceForm takes the code, and then the person's word that they started this.
func (s *Server) deviceForm(c *gin.Context, r *directory.Realm) error {
	if !issuer.UsesDevices(r) {
		return directory.ErrNotFound
	}
	f, err := form(c)
	if err != nil {
		return err
	}
	if len(f["user_code"]) != 1 || len(f["decision"]) > 1 {
		return errBadForm
	}
	typed := issuer.Typed{Code: f.Get("user_code"), Browser: browser(c, r), From: network(c.ClientIP())}
	if typed.Browser == "" {
		// Our page sets the cookie, and a form of another site comes without it.
		return issuer.ErrOtherBrowser
	}
	switch {
	case !f.Has("decision"):
		err = s.confirmDevice(c, r, typed)
	case f.Get("decision") == web.DecisionAllow:
		err = s.beginDevice(c, r, typed)
	default:
		err = s.refuseDevice(c, r, typed)
	}
	if errors.Is(err, issuer.ErrUserCode) {
		s.renderDeviceCode(c, r, http.StatusBadRequest, web.DeviceCode{UserCode: typed.Code, Wrong: true})
		return nil
	}
	return err
}

// confirmDevice shows what waits behind the code and asks whether the person started it.
func (s *Server) confirmDevice(c *gin.Context, r *directory.Realm, typed issuer.Typed) error {
	d, err := s.Issuer.Device(c.Request.Context(), r, typed)
	if err != nil {
		return err
	}
	asker, err := s.asker(c, r, d.Ask)
	if err != nil {
		return err
	}
	s.render(c, http.StatusOK, "", func(b *bytes.Buffer, lang string) error {
		return s.Pages.DeviceConfirm(b, lang, web.DeviceConfirm{
			Asker: asker, Organisation: organisation(r), UserCode: issuer.UserCode(typed.Code),
			Address: d.Address, Age: s.Issuer.Now().Sub(d.StartedAt),
			Permissions: permissions(r, d.Ask.Scope, lang), Action: r.URL("/device"),
		})
	})
	return nil
}

// beginDevice goes on to the identity provider as an authorization request does.
func (s *Server) beginDevice(c *gin.Context, r *directory.Realm, typed issuer.Typed) error {
	ask, err := s.Issuer.BeginDevice(c.Request.Context(), r, typed)
	if err != nil {
		return err
	}
	return s.before(c, r, ask)
}

// refuseDevice ends what the person did not start.
func (s *Server) refuseDevice(c *gin.Context, r *directory.Realm, typed issuer.Typed) error {
	if err := s.Issuer.RefuseDevice(c.Request.Context(), r, typed); err != nil {
		return err
	}
	c.Redirect(http.StatusSeeOther, r.URL("/device")+"?result="+issuer.DeviceDenied)
	return nil
}

// deviceEndpoint is for the metadata: empty where the tenant has no device flow.
func deviceEndpoint(r *directory.Realm) string {
	if !issuer.UsesDevices(r) {
		return ""
	}
	return r.URL("/device_authorization")
}
