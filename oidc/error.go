package oidc

import "errors"

// Error codes of the endpoints (RFC 6749, section 4.1.2.1 and section 5.2;
// RFC 6750, section 3.1; RFC 8707, section 2) and of those that say so.
const (
	CodeInvalidRequest          = "invalid_request"
	CodeInvalidClient           = "invalid_client"
	CodeInvalidGrant            = "invalid_grant"
	CodeUnauthorizedClient      = "unauthorized_client"
	CodeUnsupportedGrantType    = "unsupported_grant_type"
	CodeUnsupportedResponseType = "unsupported_response_type"
	CodeInvalidScope            = "invalid_scope"
	CodeInvalidTarget           = "invalid_target"
	CodeAccessDenied            = "access_denied"
	CodeServerError             = "server_error"
	CodeTemporarilyUnavailable  = "temporarily_unavailable"
	CodeLoginRequired           = "login_required"
	CodeConsentRequired         = "consent_required"
	CodeInteractionRequired     = "interaction_required"
	CodeRequestNotSupported     = "request_not_supported"
	CodeRequestURINotSupported  = "request_uri_not_supported"
	CodeInvalidToken            = "invalid_token"
	CodeInsufficientScope       = "insufficient_scope"

	CodeInvalidRedirectURI    = "invalid_redirect_uri"    // RFC 7591, section 3.2.2
	CodeInvalidClientMetadata = "invalid_client_metadata" // RFC 7591, section 3.2.2
	CodeAuthorizationPending  = "authorization_pending"   // RFC 8628, section 3.5
	CodeSlowDown              = "slow_down"               // RFC 8628, section 3.5
	CodeExpiredToken          = "expired_token"           // RFC 8628, section 3.5
	CodeInvalidDPoPProof      = "invalid_dpop_proof"      // RFC 9449, section 5
	CodeUseDPoPNonce          = "use_dpop_nonce"          // RFC 9449, section 8
	CodeUnsupportedTokenType  = "unsupported_token_type"  // RFC 7009, section 2.2.1
)

// Error is a refusal in the words of the protocol. It is returned as a value and
// written by server alone. Code and Description are sent; Cause is only logged,
// so it may say what an outsider must not learn, but never a secret.
type Error struct {
	Code        string // from the registry: "invalid_grant"
	Description string // one sentence for the developer of the client: what is wrong and what to do
	Cause       error  // logged, never sent; may be nil
}

// E makes an Error of a code and a fixed sentence.
func E(code, description string) *Error { return &Error{Code: code, Description: description} }

// Because returns a copy of e with the cause that the log shall show.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error returns code, description and cause for the log.
func (e *Error) Error() string {
	s := e.Code + ": " + e.Description
	if e.Cause != nil {
		s += " (" + e.Cause.Error() + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the protocol code of err, or "" if err is not a protocol failure.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
