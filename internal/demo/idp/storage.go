package idp

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	requestTTL  = 10 * time.Minute
	tokenTTL    = 5 * time.Minute
	maxRequests = 1000 // sign-ins begun and not finished
)

var (
	errUnknown     = errors.New("idp: unknown or expired")
	errUnsupported = errors.New("idp: not supported")
)

// storage is op.Storage in memory. What expired is dropped when something new
// comes in.
type storage struct {
	config Config
	key    signingKey

	mu       sync.Mutex
	requests map[string]authRequest // by id
	codes    map[string]string      // code to request id
	tokens   map[string]accessToken // by id
}

type accessToken struct {
	subject   string
	scopes    []string
	expiresAt time.Time
}

func newStorage(c Config, key *rsa.PrivateKey) *storage {
	return &storage{
		config: c, key: signingKey{id: rand.Text(), private: key},
		requests: make(map[string]authRequest),
		codes:    make(map[string]string),
		tokens:   make(map[string]accessToken),
	}
}

// showForm binds the form that is about to be shown to the request.
func (s *storage) showForm(id, token, browser string) (authRequest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.pendingLocked(id)
	if !ok {
		return authRequest{}, false
	}
	request.formToken, request.browser = token, browser
	s.requests[id] = request
	return request, true
}

// pending returns a request that waits for somebody to sign in.
func (s *storage) pending(id string) (authRequest, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pendingLocked(id)
}

func (s *storage) pendingLocked(id string) (authRequest, bool) {
	request, ok := s.requests[id]
	return request, ok && !request.Done() && s.config.Now().Before(request.expiresAt)
}

// finish records who signed in. It returns false if the request is gone or done.
func (s *storage) finish(id, subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.pendingLocked(id)
	if !ok {
		return false
	}
	request.subject, request.signedAt = subject, s.config.Now()
	s.requests[id] = request
	return true
}

// CreateAuthRequest keeps a sign-in that begins. It has to use PKCE (RFC 7636, section 4.3).
func (s *storage) CreateAuthRequest(_ context.Context, r *zoidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if r.CodeChallenge == "" || r.CodeChallengeMethod != zoidc.CodeChallengeMethodS256 {
		return nil, zoidc.ErrInvalidRequest().WithDescription("code_challenge with the method S256 is required")
	}
	if slices.Contains(r.Prompt, zoidc.PromptNone) {
		return nil, zoidc.ErrLoginRequired() // there are no sessions here: everybody types a password
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropExpiredLocked()
	if len(s.requests) >= maxRequests {
		return nil, zoidc.ErrServerError().WithDescription("too many sign-ins are open, try again later")
	}
	request := authRequest{id: rand.Text(), request: *r, loginHint: r.LoginHint, expiresAt: s.config.Now().Add(requestTTL)}
	s.requests[request.id] = request
	return request, nil
}

func (s *storage) dropExpiredLocked() {
	now := s.config.Now()
	for id, r := range s.requests {
		if !now.Before(r.expiresAt) {
			delete(s.requests, id)
		}
	}
	for code, id := range s.codes {
		if _, ok := s.requests[id]; !ok {
			delete(s.codes, code)
		}
	}
	for id, t := range s.tokens {
		if !now.Before(t.expiresAt) {
			delete(s.tokens, id)
		}
	}
}

// AuthRequestByID returns a request that was begun.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.requests[id]
	if !ok || !s.config.Now().Before(request.expiresAt) {
		return nil, errUnknown
	}
	return request, nil
}

// SaveAuthCode keeps the code of a request.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

// AuthRequestByCode takes the code: it works once (RFC 6749, section 4.1.2).
func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id, ok := s.codes[code]
	delete(s.codes, code)
	s.mu.Unlock()
	if !ok {
		return nil, errUnknown
	}
	return s.AuthRequestByID(ctx, id)
}

// DeleteAuthRequest forgets a request that got its tokens.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

// CreateAccessToken keeps a token for the userinfo endpoint.
func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, expiresAt := rand.Text(), s.config.Now().Add(tokenTTL)
	s.tokens[id] = accessToken{subject: r.GetSubject(), scopes: slices.Clone(r.GetScopes()), expiresAt: expiresAt}
	return id, expiresAt, nil
}

// SetUserinfoFromToken answers the userinfo endpoint, by the token's scopes
// (https://openid.net/specs/openid-connect-core-1_0.html#ScopeClaims).
func (s *storage) SetUserinfoFromToken(_ context.Context, info *zoidc.UserInfo, tokenID, subject, _ string) error {
	s.mu.Lock()
	token, ok := s.tokens[tokenID]
	s.mu.Unlock()
	if !ok || token.subject != subject || !s.config.Now().Before(token.expiresAt) {
		return errUnknown
	}
	for _, p := range s.config.People {
		if p.Subject == subject {
			setUserinfo(info, p, token.scopes)
			return nil
		}
	}
	return errUnknown
}

// SetUserinfoFromScopes fills in what an ID token says beside its own claims:
// the subject, which the library takes from here, and nothing else.
func (*storage) SetUserinfoFromScopes(_ context.Context, info *zoidc.UserInfo, subject, _ string, _ []string) error {
	info.Subject = subject
	return nil
}

func setUserinfo(info *zoidc.UserInfo, p Person, scopes []string) {
	info.Subject = p.Subject
	if slices.Contains(scopes, zoidc.ScopeProfile) {
		info.Name, info.PreferredUsername = p.Name, p.Username
	}
	if slices.Contains(scopes, zoidc.ScopeEmail) {
		info.Email, info.EmailVerified = p.Address, true
	}
}

// GetClientByClientID returns Signpost.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.config.ClientID {
		return nil, errUnknown
	}
	return client{s.config}, nil
}

// AuthorizeClientIDSecret checks Signpost's secret.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != s.config.ClientID || !same(secret, s.config.ClientSecret) {
		return errUnknown
	}
	return nil
}

// SigningKey returns the key of ID tokens.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

// KeySet returns the public key.
func (s *storage) KeySet(context.Context) ([]op.Key, error) { return []op.Key{publicKey{s.key}}, nil }

// SignatureAlgorithms returns what ID tokens are signed with.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{s.key.SignatureAlgorithm()}, nil
}

// Health reports that memory is there.
func (s *storage) Health(context.Context) error { return nil }
