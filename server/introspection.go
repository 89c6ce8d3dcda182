package server

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
)

// signedIntrospection is the media type of signed answers (RFC 9701, section 4).
const signedIntrospection = "application/token-introspection+jwt"

// introspect tells a resource server what a token is worth to it (RFC 7662, section 2), signed
// if it asks for that (RFC 9701, section 4).
func (s *Server) introspect(c *gin.Context, r *directory.Realm) error {
	f, err := form(c)
	if err != nil {
		return err
	}
	server, answer, err := s.Issuer.Introspect(c.Request.Context(), r, call(c, r, f))
	if err != nil {
		return err
	}
	if !accepts(c.Request.Header.Values("Accept"), signedIntrospection) {
		write(c, http.StatusOK, "application/json", answer)
		return nil
	}
	signed, err := s.Keys.SignIntrospection(r.Name, r.Issuer, server.Name, answer)
	if err != nil {
		return err
	}
	send(c, http.StatusOK, signedIntrospection, []byte(signed))
	return nil
}

// accepts reports whether Accept names a media type and does not refuse it
// (RFC 9110, section 12.5.1). Who takes anything has not asked for it.
func accepts(headers []string, mediaType string) bool {
	for one := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		named, parameters, err := mime.ParseMediaType(one)
		if err != nil || named != mediaType {
			continue
		}
		quality, err := strconv.ParseFloat(parameters["q"], 64)
		return parameters["q"] == "" || err == nil && quality > 0
	}
	return false
}

// refusalsLimited bounds how often one address may come with wrong credentials. Right ones
// are not counted, for servers ask at each of their people's requests, nor shut out by the
// wrong ones of a neighbour at the same address: secrets are too long to be guessed.
func (s *Server) refusalsLimited(h handler) handler {
	return func(c *gin.Context, r *directory.Realm) error {
		err := h(c, r)
		if oidc.CodeOf(err) != oidc.CodeInvalidClient {
			return err
		}
		key := "refused:1:" + network(c.ClientIP())
		ok, wait, limitErr := s.Limiter.Allow(context.WithoutCancel(c.Request.Context()), key, s.RequestsPerMinute, time.Minute)
		if limitErr != nil || ok {
			return err // a cache that is away changes no answer
		}
		c.Header("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		return errTooMany
	}
}
