package exchange

import (
	"context"
	"fmt"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/policy"
)

// Source is where the tokens of a service come from. The policy has allowed each of
// them before a source is asked, and the record has been kept.
//
// Local makes them here. Two more kinds are foreseen, which bring a token of the identity
// provider: "exchange" trades the person's token there for one of the service, and "refresh"
// gets one by a refresh token that was kept. Neither may hand on what it was given as it came
// (R23). It checks first that the token
//
//   - is for this service: its audience is the one that the service's declaration expects
//     of the provider's tokens, and nothing else;
//   - carries no scope beyond Decision.Scope as the declaration writes it in the provider's words;
//   - has an end, which is in the future; the answer tells that end, also if it is later than
//     Decision.Claims.ExpiresAt, for nobody here can end it sooner.
//
// It says so with Upstream, refuses with temporarily_unavailable what it cannot get just now and with
// invalid_target what the provider refuses, and never falls back on another source.
type Source interface {
	Token(ctx context.Context, a Allowed) (Delivery, error)
}

// Allowed is an exchange that the policy allowed.
type Allowed struct {
	Realm    *directory.Realm
	Service  directory.Service
	Subject  string // the subject token, which was checked
	Decision policy.Decision
}

// Delivery is a token for one service.
type Delivery struct {
	Token     string
	ExpiresAt time.Time
	Upstream  bool // the identity provider made it
}

// Local makes tokens here, in the service's profile.
type Local struct{ Issuer *issuer.Issuer }

// Token makes a token, or returns one that was made of the same subject a moment ago.
func (l Local) Token(ctx context.Context, a Allowed) (Delivery, error) {
	made, err := l.Issuer.MakeToken(ctx, a.Realm, a.Decision, a.Subject)
	return Delivery{Token: made.Token, ExpiresAt: made.ExpiresAt}, err
}

// source finds the one that a service names. A name without a meaning is a fault: a service
// whose tokens come from elsewhere takes none of ours.
func (g Grant) source(s directory.Service) (Source, error) {
	switch s.Source {
	case "", directory.SourceLocal:
		return Local(g), nil
	}
	return nil, oidc.E(oidc.CodeServerError, "tokens of this service cannot be had; the provider's administrator finds the reason in the log").
		Because(fmt.Errorf("service %s: no token source %q", s.ID, s.Source))
}

// sourceUpstream marks tokens in the configuration that the identity provider made (R23).
const sourceUpstream = "upstream"

// narrow gets the token that the policy allowed, and the mark of where it comes from.
func (g Grant) narrow(ctx context.Context, r *directory.Realm, subject string, d policy.Decision) (answer issuer.TokenResponse, mark string, err error) {
	service, ok := r.Service(d.Claims.Audience[0])
	if !ok {
		return issuer.TokenResponse{}, "", fmt.Errorf("exchange: no service with the audience that was decided on")
	}
	source, err := g.source(service)
	if err != nil {
		return issuer.TokenResponse{}, "", err
	}
	got, err := source.Token(ctx, Allowed{Realm: r, Service: service, Subject: subject, Decision: d})
	if err != nil {
		return issuer.TokenResponse{}, "", err
	}
	answer = issuer.Answer(d, got.Token, got.ExpiresAt)
	answer.IssuedTokenType = oidc.TokenTypeAccessToken
	if got.Upstream {
		mark = sourceUpstream
	}
	return answer, mark, nil
}
