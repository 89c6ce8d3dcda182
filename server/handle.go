package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/oidc"
	"signpost/web"
)

// handler answers a request to a tenant's issuer, or returns why not. It writes
// nothing when it returns an error.
type handler func(c *gin.Context, r *directory.Realm) error

// oauth answers clients: failures are RFC 6749, section 5.2 JSON, nothing is stored
// on the way (RFC 6749, section 5.1).
func (s *Server) oauth(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header["Cache-Control"], header["Pragma"] = noStore, noCache
		if err := s.answer(c, h); err != nil {
			f := s.fail(c, err)
			if f.status == http.StatusUnauthorized && f.code == oidc.CodeInvalidClient {
				c.Header("WWW-Authenticate", `Basic realm="signpost"`)
			}
			write(c, f.status, "application/json", object{"error": f.code, "error_description": f.sentence})
		}
	}
}

// problem answers other machines: failures are RFC 9457, section 3 JSON.
func (s *Server) problem(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := s.answer(c, h); err != nil {
			s.writeProblem(c, err)
		}
	}
}

func (s *Server) writeProblem(c *gin.Context, err error) {
	f := s.fail(c, err)
	c.Header("Cache-Control", "no-store")
	write(c, f.status, "application/problem+json", object{
		"title": http.StatusText(f.status), "status": f.status, "detail": f.sentence, "request_id": requestID(c),
	})
}

// page answers people: failures are a page that says what to do next.
func (s *Server) page(h handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		err := s.answer(c, h)
		if err == nil {
			return
		}
		f := s.fail(c, err)
		v := web.Problem{Title: f.page, RequestID: requestID(c)}
		if r, ok := s.realm(c); ok {
			v.Help = r.Help
		}
		s.render(c, f.status, "", func(b *bytes.Buffer, lang string) error { return s.Pages.Problem(b, lang, v) })
	}
}

// answer finds the tenant that a request is for and calls its handler.
func (s *Server) answer(c *gin.Context, h handler) error {
	r, ok := s.realm(c)
	if !ok && !s.Answers.Current().KnownHost(c.Request.Host) && len(s.Answers.Current().Realms()) > 0 {
		return errMisdirected
	}
	if !ok {
		return directory.ErrNotFound
	}
	return h(c, r)
}

// realm is the tenant that answers at this host and path.
func (s *Server) realm(c *gin.Context) (*directory.Realm, bool) {
	if name, named := c.Params.Get("tenant"); named && name == "" {
		return nil, false // "/t//jwks"
	}
	return s.Answers.Current().RealmAt(c.Request.Host, c.Param("tenant"))
}

// render writes a page. redirect is an origin to which a form of the page may lead; usually none.
func (s *Server) render(c *gin.Context, status int, redirect string, draw func(b *bytes.Buffer, lang string) error) {
	s.renderIn(c, status, "", redirect, draw)
}

// renderIn is render in the first language of ui_locales that there is, if any.
func (s *Server) renderIn(c *gin.Context, status int, locales, redirect string, draw func(b *bytes.Buffer, lang string) error) {
	lang := s.Pages.Wished(locales, c.GetHeader("Accept-Language"))
	var b bytes.Buffer
	if err := draw(&b, lang); err != nil {
		s.Log.ErrorContext(c.Request.Context(), "page", "request_id", requestID(c), "err", err)
		c.String(http.StatusInternalServerError, "internal error, request %s\n", requestID(c))
		return
	}
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action "+
		formAction(redirect)+"; frame-ancestors 'none'; base-uri 'none'")
	c.Header("Content-Language", lang)
	c.Header("Vary", "Accept-Language")
	c.Data(status, "text/html; charset=utf-8", b.Bytes())
}

// formAction names where forms may lead. Browsers hold the redirect after a form
// to it too, so the client's redirect stands here on the one page that needs it.
func formAction(redirect string) string {
	if redirect == "" {
		return "'self'"
	}
	return "'self' " + redirect
}

type object = map[string]any

// write sends JSON of a media type.
func write(c *gin.Context, status int, mediaType string, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // our own types: a programming fault
	}
	send(c, status, mediaType, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// send writes bytes that are ready.
func send(c *gin.Context, status int, mediaType string, body []byte) {
	header := c.Writer.Header()
	header["Content-Type"], header["Content-Length"] = []string{mediaType}, []string{strconv.Itoa(len(body))}
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(body) // who hung up is not told
}

// Values of headers that most answers have. They are shared by all, and written under the
// names that net/http gives them, which spares hot answers a tenth of their time. Nobody
// changes them: Header.Add appends to a copy, because they have no room.
var (
	noStore       = []string{"no-store"}
	noCache       = []string{"no-cache"}
	noSniff       = []string{"nosniff"}
	sameOriginTo  = []string{"same-origin"}
	aYear         = []string{"max-age=31536000"}
	anyOrigin     = []string{"*"}
	programsLearn = []string{nonceHeader + ", WWW-Authenticate"}
)

func requestID(c *gin.Context) string { return audit.RequestID(c.Request.Context()) }
