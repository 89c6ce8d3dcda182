package server

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/upstream"
	"signpost/web"
	"signpost/webfinger"
)

// Refusals of the server itself.
var (
	errMisdirected = errors.New("server: no issuer lives at this host")
	errNoMethod    = errors.New("server: method not allowed")
	errTooMany     = errors.New("server: too many requests")
	errCrossOrigin = errors.New("server: form was sent by another site")
	errMediaType   = errors.New("server: body is not a form")
	errBadForm     = errors.New("server: form or query is malformed")
	errLongQuery   = errors.New("server: query is too long")
)

// failure is how an error is shown.
type failure struct {
	status   int
	code     string // for OAuth clients
	sentence string // for machines: what to do
	page     string // for people: a word of web.Problem
}

// shown is the only table from errors to answers. Order matters where errors wrap
// each other.
var shown = []struct {
	err error
	failure
}{
	{webfinger.ErrResource, failure{400, oidc.CodeInvalidRequest, "resource is missing, repeated or malformed; send one acct:, mailto: or https: URI", web.ProblemBadRequest}},
	{directory.ErrNotFound, failure{404, oidc.CodeInvalidRequest, "nothing is served under this name", web.ProblemNotFound}},
	{issuer.ErrGone, failure{400, oidc.CodeInvalidRequest, "the sign-in is over; start again in the program", web.ProblemExpired}},
	{issuer.ErrOtherBrowser, failure{400, oidc.CodeInvalidRequest, "the sign-in was begun in another browser", web.ProblemWrongBrowser}},
	{issuer.ErrGuesses, failure{429, oidc.CodeTemporarilyUnavailable, "too many codes were entered; wait some minutes", web.ProblemTooMany}},
	{issuer.ErrTaken, failure{403, oidc.CodeAccessDenied, "the address belongs to another account", web.ProblemAddressTaken}},
	{issuer.ErrNobody, failure{403, oidc.CodeAccessDenied, "the identity provider proved no address of this organisation", web.ProblemNoAddress}},
	{upstream.ErrUnavailable, failure{502, oidc.CodeTemporarilyUnavailable, "the identity provider does not answer", web.ProblemProviderUnavailable}},
	{upstream.ErrRejected, failure{502, oidc.CodeServerError, "the identity provider's answer is not acceptable", web.ProblemProviderRefused}},
	{errNoProvider, failure{503, oidc.CodeServerError, "no identity provider is declared", web.ProblemNoProvider}},
	{errMisdirected, failure{421, oidc.CodeInvalidRequest, "no issuer lives at this host; use the issuer URL as the metadata spells it", web.ProblemNotServed}},
	{errNoMethod, failure{405, oidc.CodeInvalidRequest, "this method is not allowed here", web.ProblemMethodNotAllowed}},
	{errTooMany, failure{429, oidc.CodeTemporarilyUnavailable, "too many requests; wait as Retry-After says", web.ProblemTooMany}},
	{errCrossOrigin, failure{403, oidc.CodeInvalidRequest, "forms of other sites are not accepted", web.ProblemBadRequest}},
	{errMediaType, failure{400, oidc.CodeInvalidRequest, "send the parameters as application/x-www-form-urlencoded", web.ProblemBadRequest}},
	{errLongQuery, failure{414, oidc.CodeInvalidRequest, "the query is too long; ask for fewer scopes and resources", web.ProblemBadRequest}},
	{errBadForm, failure{400, oidc.CodeInvalidRequest, "the parameters are malformed", web.ProblemBadRequest}},
}

// errNoProvider means that a tenant has nobody to sign its people in.
var errNoProvider = errors.New("server: tenant has no identity provider")

// statuses of protocol codes that are not 400.
var statuses = map[string]int{
	oidc.CodeInvalidClient:          http.StatusUnauthorized,
	oidc.CodeInvalidToken:           http.StatusUnauthorized,
	oidc.CodeInsufficientScope:      http.StatusForbidden,
	oidc.CodeServerError:            http.StatusInternalServerError,
	oidc.CodeTemporarilyUnavailable: http.StatusServiceUnavailable,
}

// classify finds how an error is shown. What is not known is an internal error and says nothing else.
func classify(err error) failure {
	if e, ok := errors.AsType[*oidc.Error](err); ok {
		f := failure{http.StatusBadRequest, e.Code, e.Description, web.ProblemBadRequest}
		if status, ok := statuses[e.Code]; ok {
			f.status = status
		}
		if _, ok := errors.AsType[unproven](err); ok {
			f.status = http.StatusUnauthorized
		}
		switch f.status {
		case http.StatusServiceUnavailable:
			f.page = web.ProblemUnavailable
		case http.StatusInternalServerError:
			f.page = web.ProblemInternal
		}
		return f
	}
	if u, ok := errors.AsType[*issuer.Unproven](err); ok {
		return failure{http.StatusBadRequest, oidc.CodeInvalidRequest, u.Reason, u.Page}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return failure{http.StatusRequestEntityTooLarge, oidc.CodeInvalidRequest, "the request is too large", web.ProblemBadRequest}
	}
	for _, s := range shown {
		if errors.Is(err, s.err) {
			return s.failure
		}
	}
	return failure{http.StatusInternalServerError, oidc.CodeServerError, "internal error; the request id helps your administrator to find it", web.ProblemInternal}
}

// fail logs a failure, once, and returns how it is shown.
func (s *Server) fail(c *gin.Context, err error) failure {
	f := classify(err)
	level := slog.LevelInfo
	if f.status >= 500 {
		level = slog.LevelError
	}
	s.Log.Log(c.Request.Context(), level, "refused", "request_id", requestID(c), "route", c.FullPath(),
		"status", f.status, "code", f.code, "err", err)
	return f
}
