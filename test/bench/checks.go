package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
)

// exchanges asks for narrow tokens.
type exchanges struct {
	head     string // of the request
	subjects []subject
	places   []place
	endless  bool // go round and round; else each pair of subject and place once
	issuer   string
	key      func(id string) crypto.PublicKey // nil for an unknown key
	numbers  *numbers                         // of tokens that must all be new; nil if they need not be
}

// numbers remembers the numbers of tokens.
type numbers struct {
	mu   sync.Mutex
	seen map[string]bool
}

func newNumbers() *numbers { return &numbers{seen: map[string]bool{}} }

// isNew reports whether it did not see a number before.
func (n *numbers) isNew(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer func() { n.seen[id] = true }()
	return !n.seen[id]
}

const beforeSubject = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&client_id=" + client + "&subject_token="

const afterSubject = "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&audience="

// post is the head of a form's request, up to the length of the body.
func post(host, path string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
}

func (e *exchanges) pick(n int) (subject, place) {
	return e.subjects[n%len(e.subjects)], e.places[n/len(e.subjects)%len(e.places)]
}

func (e *exchanges) request(b []byte, n int) []byte {
	if !e.endless && n >= len(e.subjects)*len(e.places) {
		return nil
	}
	s, p := e.pick(n)
	audience := url.QueryEscape(p.audience)
	b = append(b, e.head...)
	b = strconv.AppendInt(b, int64(len(beforeSubject)+len(s.token)+len(afterSubject)+len(audience)), 10)
	b = append(b, "\r\n\r\n"+beforeSubject...)
	b = append(b, s.token...)
	b = append(b, afterSubject...)
	return append(b, audience...)
}

var errWrong = errors.New("wrong answer")

// check looks whether there is a token for the right person at the right service.
func (e *exchanges) check(n int, body []byte) error {
	s, p := e.pick(n)
	_, rest, _ := bytes.Cut(body, []byte(`"access_token":"`))
	_, rest, _ = bytes.Cut(rest, []byte("."))
	encoded, _, _ := bytes.Cut(rest, []byte("."))
	var space [2 << 10]byte
	if len(encoded) == 0 || base64.RawURLEncoding.DecodedLen(len(encoded)) > len(space) {
		return fmt.Errorf("%w: no token", errWrong)
	}
	length, err := base64.RawURLEncoding.Decode(space[:], encoded)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	payload := space[:length]
	if !bytes.Contains(payload, []byte(s.person)) || !bytes.Contains(payload, []byte(p.audience)) || !bytes.Contains(body, []byte(p.scope)) {
		return fmt.Errorf("%w: a token for somebody else or something else", errWrong)
	}
	return nil
}

// narrowClaims are those of a narrow token.
type narrowClaims struct {
	jwt.RegisteredClaims
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
}

// studiedWithin is how old an answer may be when it is studied.
const studiedWithin = 10 * time.Second

// study checks all that there is, the signature first.
func (e *exchanges) study(n int, body []byte) error {
	s, p := e.pick(n)
	var a tokenAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	var c narrowClaims
	_, err := jwt.ParseWithClaims(a.AccessToken, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		return e.key(id), nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(p.audience), jwt.WithIssuer(e.issuer), jwt.WithSubject(s.person), jwt.WithExpirationRequired())
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	left := time.Until(c.ExpiresAt.Time)
	switch said := time.Duration(a.ExpiresIn) * time.Second; {
	case len(c.Audience) != 1, c.ClientID != client, c.Scope != p.scope, a.Scope != p.scope:
		return fmt.Errorf("%w: other claims than were asked for", errWrong)
	case a.TokenType != oidc.Bearer || a.IssuedTokenType != oidc.TokenTypeAccessToken:
		return fmt.Errorf("%w: another type of token", errWrong)
	case said <= 0 || left > time.Hour || said > left+studiedWithin:
		return fmt.Errorf("%w: it is said to live for %v and does for %v", errWrong, said, left)
	case e.numbers != nil && !e.numbers.isNew(c.ID):
		return fmt.Errorf("%w: the same token again, where another one was wanted", errWrong)
	}
	return nil
}

// questions are asked again and again, and each has one right answer.
type questions struct {
	asked [][]byte
	right [][]byte
}

// learn asks each question once and lets somebody look at the answers.
func learn(ctx context.Context, t *target, asked [][]byte, look func(n int, body []byte) error) (_ *questions, err error) {
	q := &questions{asked: asked}
	opened, err := t.dial(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.close()) }()
	c := opened[0]
	for n, question := range asked {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
		if _, err := c.Write(question); err != nil {
			return nil, err
		}
		status, err := c.answer()
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("status %d: %s", status, shortened(c.body))
		}
		if err := look(n, c.body); err != nil {
			return nil, fmt.Errorf("%w: %s", err, shortened(c.body))
		}
		q.right = append(q.right, bytes.Clone(c.body))
	}
	return q, nil
}

func (q *questions) request(b []byte, n int) []byte { return append(b, q.asked[n%len(q.asked)]...) }

func (q *questions) check(n int, body []byte) error {
	if !bytes.Equal(body, q.right[n%len(q.right)]) {
		return fmt.Errorf("%w: not what was answered before", errWrong)
	}
	return nil
}

// study has nothing to add: the answer is, byte for byte, one that was looked at.
func (q *questions) study(int, []byte) error { return nil }

// published fetches the keys of an issuer.
func published(ctx context.Context, issuer string) (func(id string) crypto.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/jwks", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return func(id string) crypto.PublicKey {
		for _, k := range set.Key(id) {
			return k.Key
		}
		return nil
	}, nil
}
