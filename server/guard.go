package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/internal/audit"
)

// maxBody bounds every request body: no form that a client sends is larger.
const maxBody = 16 << 10

// maxQuery bounds the query; authorization requests with many resources stay far below.
const maxQuery = 8 << 10

// envelope is around every request: an id, headers that every answer has, bounds,
// one log line without anything personal in it, and the only recover.
func (s *Server) envelope(c *gin.Context) {
	start := time.Now()
	id := newRequestID(start)
	c.Request = c.Request.WithContext(audit.WithRequestID(c.Request.Context(), id))
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
	h := c.Writer.Header()
	h["X-Request-Id"], h["X-Content-Type-Options"] = []string{id}, noSniff
	// Not no-referrer: with it browsers send "Origin: null" with our own forms.
	h["Referrer-Policy"] = sameOriginTo
	if strings.HasPrefix(s.Answers.Current().Base(), "https://") {
		h["Strict-Transport-Security"] = aYear
	}
	defer func() {
		if fault := recover(); fault != nil {
			s.Log.ErrorContext(c.Request.Context(), "panic", "request_id", id, "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				s.writeProblem(c, errors.New("panic"))
			}
		}
		took := time.Since(start)
		if s.Requests != nil {
			s.Requests.RequestEnded(c.FullPath(), c.Request.Method, c.Writer.Status(), took)
		}
		if !s.Log.Enabled(c.Request.Context(), slog.LevelDebug) {
			return
		}
		// The route's template, never the path or the query: those may name people.
		s.Log.DebugContext(c.Request.Context(), "request", "request_id", id, "method", c.Request.Method,
			"route", c.FullPath(), "status", c.Writer.Status(), "took", took)
	}()
	if s.Requests != nil {
		s.Requests.RequestBegan()
	}
	if len(c.Request.URL.RawQuery) > maxQuery {
		c.Abort()
		s.writeProblem(c, errLongQuery)
		return
	}
	c.Next()
}

// newRequestID returns the time in milliseconds and 72 random bits, in an order that is that of
// time: the audit's index of them grows at its end, which costs a fraction of random places.
func newRequestID(now time.Time) string {
	var b [15]byte
	_, _ = rand.Read(b[6:]) // never fails: crypto/rand ends the program instead
	milliseconds := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(milliseconds >> (8 * (5 - i)))
	}
	// This base32 keeps the order of bytes, which base64 does not.
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])
}

// limited bounds how often one address may call a handler.
func (s *Server) limited(h handler) handler {
	return s.limitedTo("limit:1:", s.RequestsPerMinute, h)
}

// limitedTo is limited with a number, per minute, and a counter of its own.
func (s *Server) limitedTo(counter string, perMinute int, h handler) handler {
	return func(c *gin.Context, r *directory.Realm) error {
		// Whoever hangs up is counted all the same: their requests make work too.
		ok, wait, err := s.Limiter.Allow(context.WithoutCancel(c.Request.Context()), counter+network(c.ClientIP()), perMinute, time.Minute)
		if err != nil {
			// A cache that is away must not stop sign-ins: the limit is a courtesy, not a guard.
			s.Log.WarnContext(c.Request.Context(), "limit", "request_id", requestID(c), "err", err)
			return h(c, r)
		}
		if !ok {
			c.Header("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			return errTooMany
		}
		return h(c, r)
	}
}

// network is what counts as one address: an IPv4 address, or the /64 that one customer has.
func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.String()
}

// sameOrigin refuses forms that another site sent in the person's name.
func (s *Server) sameOrigin(h handler) handler {
	return func(c *gin.Context, r *directory.Realm) error {
		if err := s.cross.Check(c.Request); err != nil {
			return errCrossOrigin
		}
		return h(c, r)
	}
}

// query reads the query strictly: a malformed one is refused, not read in part.
func query(c *gin.Context) (url.Values, error) {
	q, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, errBadForm
	}
	return q, nil
}

// sent leaves out parameters without a value: they "MUST be treated as if they were
// omitted from the request" (RFC 6749, section 3.1 and section 3.2).
func sent(parameters url.Values) url.Values {
	for name, values := range parameters {
		values = slices.DeleteFunc(values, func(value string) bool { return value == "" })
		if parameters[name] = values; len(values) == 0 {
			delete(parameters, name)
		}
	}
	return parameters
}

// form reads the body of a form. Parameters of the query do not count (RFC 6749, section 3.2).
func form(c *gin.Context) (url.Values, error) {
	const formType = "application/x-www-form-urlencoded"
	if said := c.GetHeader("Content-Type"); said != formType {
		if mediaType, _, err := mime.ParseMediaType(said); err != nil || mediaType != formType {
			return nil, errMediaType
		}
	}
	var body bytes.Buffer
	if length := c.Request.ContentLength; length > 0 {
		body.Grow(int(min(length, maxBody)) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(c.Request.Body); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, err
		}
		return nil, errBadForm
	}
	f, err := url.ParseQuery(body.String())
	if err != nil {
		return nil, errBadForm
	}
	return f, nil
}

func noRoute(c *gin.Context, _ *directory.Realm) error  { return directory.ErrNotFound }
func noMethod(c *gin.Context, _ *directory.Realm) error { return errNoMethod }

// browserCookie names the cookie that binds a sign-in to a browser. The tenant is
// in the name because tenants by path share an origin and its cookies (R3). The
// prefix makes browsers take it from this host over https only; on loopback http
// there is no such thing.
func browserCookie(r *directory.Realm) (name string, secure bool) {
	if strings.HasPrefix(r.Issuer, "https://") {
		return "__Host-signpost-" + r.Name, true
	}
	return "signpost-" + r.Name, false
}

// browser returns the cookie's value, or "" if the browser has none.
func browser(c *gin.Context, r *directory.Realm) string {
	name, _ := browserCookie(r)
	value, err := c.Request.Cookie(name)
	if err != nil || len(value.Value) != browserLength {
		return ""
	}
	return value.Value
}

// browserLength is that of 256 bits in base64url.
const browserLength = 43

// ensureBrowser returns the cookie's value and sets the cookie if there is none.
func ensureBrowser(c *gin.Context, r *directory.Realm) string {
	if value := browser(c, r); value != "" {
		return value
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, see newRequestID
	value := base64.RawURLEncoding.EncodeToString(b[:])
	name, secure := browserCookie(r)
	setCookie(c, name, value, secure)
	return value
}

// setCookie gives the browser a cookie that no script reads, until it is closed; an empty value takes
// it away.
func setCookie(c *gin.Context, name, value string, secure bool) {
	cookie := http.Cookie{ //nolint:gosec // G124: Secure is off on loopback http only, where browsers would not send it
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.Writer, &cookie)
}
