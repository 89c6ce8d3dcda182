package groupware

import (
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
)

// xoauth2 is the server's side of XOAUTH2, which has no RFC and is described at
// https://developers.google.com/workspace/gmail/imap/xoauth2-protocol: the same
// idea as OAUTHBEARER, with the user in a key of its own and other words for a
// refusal.
type xoauth2 struct {
	auth bearerAuth
	over bool // a decision was made: nothing but the end of a failure may follow
	bad  bool // the decision was no
}

// Next takes the client's message. A refused client first gets the reason as
// JSON, answers with an empty message, and then gets the failure.
func (s *xoauth2) Next(response []byte) (challenge []byte, done bool, err error) {
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
	user, token, err := parseXOAuth2(string(response))
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
	return refusal(struct {
		Status  string `json:"status"`
		Schemes string `json:"schemes"`
		Scope   string `json:"scope"`
	}{"401", "bearer", s.auth.scope}), false, nil
}

// parseXOAuth2 reads user={user} and auth=Bearer {token}, each ended by 0x01,
// and one more 0x01. The user is required; unknown keys are ignored.
func parseXOAuth2(message string) (user, token string, err error) {
	pairs, err := keyValues(message)
	if err != nil {
		return "", "", err
	}
	user = pairs["user"]
	if user == "" || strings.ContainsAny(user, "\r\n\x00") {
		return "", "", errMalformed
	}
	token, err = bearer(pairs["auth"])
	return user, token, err
}
