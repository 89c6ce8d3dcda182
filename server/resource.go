package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/dpop"
	"signpost/oidc/issuer"
)

// nonceHeader brings programs the nonce of their next proof (RFC 9449, section 8 and section 9).
const nonceHeader = "DPoP-Nonce"

// holder answers a request to one of the issuer's own resources whose token was checked.
type holder func(c *gin.Context, r *directory.Realm, b issuer.Bearer) error

// resource is the face of the issuer's own resources: it reads the token, checks it
// with the proof of its key and for the scope word that is needed, and challenges who has
// none that is good. What h answers goes out as oauth's answers do.
func (s *Server) resource(need string, h holder) gin.HandlerFunc {
	return s.oauth(s.holding(need, h))
}

// holding is resource before its answers are written.
func (s *Server) holding(need string, h holder) handler {
	return func(c *gin.Context, r *directory.Realm) error {
		p, err := s.presented(c, r, need)
		if err != nil {
			return err
		}
		b, err := s.Issuer.Authenticate(c.Request.Context(), r, p, need)
		if err != nil {
			return refused(c, r, p.Scheme, need, err)
		}
		return h(c, r, b)
	}
}

// presented reads the token that a request brings, without looking at it, or challenges who
// brings none.
func (s *Server) presented(c *gin.Context, r *directory.Realm, need string) (issuer.Presented, error) {
	c.Header(nonceHeader, s.Issuer.Proofs.Nonce(r.Name))
	scheme, token, ok := authorization(c)
	if !ok {
		// No token, no error code: the client may not have known (RFC 6750, section 3.1).
		challenge(c, r, "", need, "")
		return issuer.Presented{}, oidc.E(oidc.CodeInvalidToken, "send the broad token as Authorization: Bearer, or DPoP if it is bound to a key")
	}
	return issuer.Presented{Scheme: scheme, Token: token, Call: call(c, r, nil)}, nil
}

// authorization reads "Authorization: Bearer TOKEN" or "DPoP TOKEN" and nothing else: not
// the query, not a form (RFC 6750, section 2.1; RFC 9449, section 7.1). The scheme is compared
// without case.
func authorization(c *gin.Context) (scheme, token string, ok bool) {
	headers := c.Request.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", "", false
	}
	said, token, _ := strings.Cut(headers[0], " ")
	for _, scheme := range []string{oidc.Bearer, oidc.DPoP} {
		if strings.EqualFold(said, scheme) && token != "" {
			return scheme, token, true
		}
	}
	return "", "", false
}

// unproven is a refusal of a proof at a resource, where it has the status 401 and not
// 400 as at the token endpoint (RFC 9449, section 7.1 and section 9).
type unproven struct{ error }

// Unwrap returns the refusal.
func (u unproven) Unwrap() error { return u.error }

// refused challenges who presented a token that does not do, and returns why.
func refused(c *gin.Context, r *directory.Realm, scheme, need string, err error) error {
	switch code := oidc.CodeOf(err); code {
	case oidc.CodeInvalidToken, oidc.CodeInsufficientScope:
		challenge(c, r, scheme, need, code)
	case oidc.CodeInvalidDPoPProof, oidc.CodeUseDPoPNonce:
		challenge(c, r, scheme, need, code)
		return unproven{err}
	}
	return err
}

// challenge says which schemes there are and where to learn how to get a token (RFC
// 9728, section 5.1; RFC 6750, section 3; RFC 9449, section 7.1). The error stands with the scheme
// that was used.
func challenge(c *gin.Context, r *directory.Realm, used, need, code string) {
	for _, scheme := range []string{oidc.Bearer, oidc.DPoP} {
		value := scheme + ` realm="signpost"`
		if endpoint(c) == oidc.ConfigurationPath { // the one that has a document about itself (RFC 9728, section 3.3)
			value = fmt.Sprintf("%s resource_metadata=%q", scheme, resourceMetadataURL(r))
		}
		if scheme == oidc.DPoP {
			value += fmt.Sprintf(", algs=%q", strings.Join(dpop.Algorithms(), " "))
		}
		if code != "" && scheme == used {
			value += fmt.Sprintf(", error=%q", code)
		}
		if code == oidc.CodeInsufficientScope && scheme == used {
			value += fmt.Sprintf(", scope=%q", need)
		}
		c.Writer.Header().Add("WWW-Authenticate", value)
	}
}

// programs lets scripts of every origin call an endpoint for programs: clients that
// are web pages. Nothing here depends on cookies, so no origin has more than another.
func programs(r gin.IRoutes, path string, h gin.HandlerFunc, methods ...string) {
	for _, method := range methods {
		r.Handle(method, path, crossOriginProgram, h)
	}
	r.OPTIONS(path, crossOriginProgram, func(c *gin.Context) {
		c.Header("Access-Control-Allow-Methods", strings.Join(methods, ", "))
		c.Header("Access-Control-Allow-Headers", "Authorization, DPoP, Content-Type")
		c.Header("Access-Control-Max-Age", "86400")
		c.Status(http.StatusNoContent)
	})
}

// crossOriginProgram lets scripts read the answer with what they need of its headers.
func crossOriginProgram(c *gin.Context) {
	crossOrigin(c)
	c.Writer.Header()["Access-Control-Expose-Headers"] = programsLearn
}
