package connect

import (
	"fmt"
	"strconv"

	"github.com/emersion/go-sasl"
)

// Names of the mechanisms.
const (
	OAuthBearer = "OAUTHBEARER"
	XOAuth2     = "XOAUTH2"
)

// saslClient sends one message, and after a refusal the one answer that lets the
// server end the exchange with its failure: 0x01 (RFC 7628, section 3.2.3) or,
// in XOAUTH2, nothing.
type saslClient struct {
	mechanism string
	message   string
	answer    []byte
	refusal   string // the JSON of the server, once it refused
}

func newSASLClient(s Service, token string) (*saslClient, error) {
	switch s.Mechanism {
	case OAuthBearer:
		message := "n,a=" + s.Username + ",\x01host=" + s.Host + "\x01port=" + strconv.Itoa(s.Port) +
			"\x01auth=Bearer " + token + "\x01\x01"
		return &saslClient{mechanism: OAuthBearer, message: message, answer: []byte{1}}, nil
	case XOAuth2:
		message := "user=" + s.Username + "\x01auth=Bearer " + token + "\x01\x01"
		return &saslClient{mechanism: XOAuth2, message: message, answer: []byte{}}, nil
	}
	return nil, fmt.Errorf("connect: unknown mechanism %q", s.Mechanism)
}

func (c *saslClient) Start() (mechanism string, message []byte, err error) {
	return c.mechanism, []byte(c.message), nil
}

func (c *saslClient) Next(challenge []byte) ([]byte, error) {
	if c.refusal != "" || len(challenge) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	c.refusal = string(challenge)
	return c.answer, nil
}
