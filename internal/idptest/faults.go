package idptest

import (
	"io"
	"net/http"
)

// Faults is how the provider answers wrongly. The zero value is a provider that
// does everything right. Each knob is named for the one thing it breaks.
type Faults struct {
	// Any endpoint; the value is one of the paths, the empty string is none.
	FailAt     string // answers 500
	HangAt     string // answers nothing until the request's context ends
	HugeAt     string // answers rightly, after 1 MiB of white space (JSON endpoints only)
	RedirectAt string // redirects to itself, where the right answer is

	// Discovery.
	DiscoveryIssuer       bool // "issuer" is another URL (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation)
	DiscoveryHTTPEndpoint bool // "token_endpoint" is http on a host that is not loopback

	// Authorization response.
	ResponseIssuer   bool // "iss" is another URL (RFC 9207, section 2.4)
	NoResponseIssuer bool // "iss" is missing although the metadata promise it

	// ID token (https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation).
	NoIDToken          bool // the token response has none
	WrongNonce         bool // "nonce" is another one
	NoNonce            bool // "nonce" is missing
	WrongIssuer        bool // "iss" is another URL
	WrongAudience      bool // "aud" is another client
	ExtraAudience      bool // "aud" has another client too and "azp" is ours: unusual, but right
	ExtraAudienceNoAzp bool // "aud" has another client too and "azp" is missing
	WrongAzp           bool // "aud" has another client too and "azp" is that one
	Expired            bool // "exp" was an hour ago
	AlgNone            bool // not signed; the metadata list "none"
	AlgHS256           bool // signed with the client secret; the metadata list HS256
	OtherKey           bool // signed with a key that is not published, under the key ID of the one that is
	WrongAtHash        bool // "at_hash" is that of another access token
	NoAtHash           bool // "at_hash" is missing: right in the code flow
	NoSubject          bool // "sub" is empty
	NoAuthTime         bool // "auth_time" is missing: right unless it was asked for

	// Userinfo.
	OtherSubject     bool // "sub" is somebody else (https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse)
	EmailNotVerified bool // "email_verified" is false for everybody
}

// otherURL and otherClient are what is put in place of the right values.
const (
	otherURL    = "https://other.example"
	otherClient = "other-client"
)

// currentFaults returns the faults of this moment.
func (p *Provider) currentFaults() Faults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// faulty counts a request and answers it wrongly if a fault of any endpoint
// says so; else it hands it on.
func (p *Provider) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests[r.URL.Path]++
		faults := p.faults
		p.mu.Unlock()
		switch {
		case r.URL.Path == faults.FailAt:
			http.Error(w, "this went wrong", http.StatusInternalServerError)
		case r.URL.Path == faults.HangAt:
			p.hang(r)
		case r.URL.Path == faults.RedirectAt && !r.URL.Query().Has("redirected"):
			http.Redirect(w, r, r.URL.Path+"?redirected=1", http.StatusTemporaryRedirect)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hang waits until whoever asks gives up, or the test ends. The server only
// notices that the other side is gone when the body has been read.
func (p *Provider) hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case <-r.Context().Done():
	case <-p.stopped:
	}
}
