package groupware

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// Names of the two mechanisms that every mail server here takes.
const (
	mechanismOAuthBearer = "OAUTHBEARER"
	mechanismXOAuth2     = "XOAUTH2"
)

var errMalformed = errors.New("groupware: malformed SASL message")

// bearerAuth is what both mechanisms are made from.
type bearerAuth struct {
	login       func(user, token string) error // nil means: signed in. The user may be empty
	failed      error                          // the protocol's way to say no
	unavailable error                          // the protocol's way to say that nobody can tell now
	scope       string                         // told to a client that was refused
	issuer      string                         // told to a client that was refused
	hosts       []string                       // names that a client may give for this server; none means any
	port        string                         // likewise
}

// oauthBearer is the server's side of OAUTHBEARER (RFC 7628, section 3).
type oauthBearer struct {
	auth bearerAuth
	over bool // a decision was made: nothing but the end of a failure may follow
	bad  bool // the decision was no
}

// Next takes the client's message. A refused client first gets the reason as
// JSON and then, whatever it answers, the failure (RFC 7628, section 3.2.3).
func (s *oauthBearer) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.over {
		if s.bad {
			return nil, false, s.auth.failed
		}
		return nil, false, sasl.ErrUnexpectedClientResponse
	}
	if response == nil {
		return []byte{}, false, nil
	}
	s.over = true
	user, token, err := s.auth.parseOAuthBearer(string(response))
	if err == nil {
		err = s.auth.login(user, token)
	}
	if err == nil {
		return nil, true, nil
	}
	s.bad = true
	if errors.Is(err, ErrUnavailable) {
		return nil, false, s.auth.unavailable
	}
	return s.auth.oauthBearerRefusal(err), false, nil
}

func (a bearerAuth) oauthBearerRefusal(err error) []byte {
	status := "invalid_token"
	switch {
	case errors.Is(err, errMalformed):
		status = "invalid_request"
	case errors.Is(err, ErrInsufficientScope):
		status = "insufficient_scope"
	}
	return refusal(struct {
		Status        string `json:"status"`
		Scope         string `json:"scope"`
		Configuration string `json:"openid-configuration"`
	}{status, a.scope, openIDConfiguration(a.issuer)})
}

// parseOAuthBearer reads the GS2 header and the key/value pairs (RFC 7628,
// section 3.1). The authorization identity is optional; unknown keys are ignored.
func (a bearerAuth) parseOAuthBearer(message string) (user, token string, err error) {
	header, rest, ok := strings.Cut(message, "\x01")
	if !ok {
		return "", "", errMalformed
	}
	flag, authzid, ok := strings.Cut(header, ",")
	if !ok || flag != "n" && flag != "y" {
		return "", "", errMalformed
	}
	authzid, ok = strings.CutSuffix(authzid, ",")
	if !ok {
		return "", "", errMalformed
	}
	if authzid != "" {
		if user, ok = saslName(authzid); !ok {
			return "", "", errMalformed
		}
	}
	pairs, err := keyValues(rest)
	if err != nil {
		return "", "", err
	}
	if host := pairs["host"]; host != "" && len(a.hosts) > 0 && !slices.Contains(a.hosts, strings.ToLower(host)) {
		return "", "", errMalformed
	}
	if port := pairs["port"]; port != "" && a.port != "" && port != a.port {
		return "", "", errMalformed
	}
	token, err = bearer(pairs["auth"])
	return user, token, err
}

// saslName reads "a=" and a saslname, where "=2C" stands for a comma and "=3D"
// for an equals sign (RFC 5801, section 4).
func saslName(s string) (string, bool) {
	name, ok := strings.CutPrefix(s, "a=")
	if !ok || name == "" || strings.Contains(name, ",") {
		return "", false
	}
	plain := strings.NewReplacer("=2C", "", "=3D", "").Replace(name)
	if strings.Contains(plain, "=") {
		return "", false
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name), true
}

// keyValues reads "key=value" pairs, each ended by 0x01, and one more 0x01. A
// repeated key would leave open which one counts, so it is malformed.
func keyValues(s string) (map[string]string, error) {
	s, ok := strings.CutSuffix(s, "\x01")
	if !ok {
		return nil, errMalformed
	}
	pairs := make(map[string]string)
	for s != "" {
		var pair string
		if pair, s, ok = strings.Cut(s, "\x01"); !ok {
			return nil, errMalformed
		}
		key, value, ok := strings.Cut(pair, "=")
		if _, repeated := pairs[key]; !ok || key == "" || repeated {
			return nil, errMalformed
		}
		pairs[key] = value
	}
	return pairs, nil
}

// bearer reads "Bearer" in any case, spaces, and a token (RFC 6750, section 2.1).
func bearer(authorization string) (string, error) {
	scheme, token, ok := strings.Cut(authorization, " ")
	token = strings.TrimLeft(token, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", errMalformed
	}
	return token, nil
}

func refusal(members any) []byte {
	out, err := json.Marshal(members)
	if err != nil {
		panic("groupware: a refusal of strings cannot be written: " + err.Error())
	}
	return out
}
