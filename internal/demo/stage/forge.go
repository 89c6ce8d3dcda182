package stage

import (
	"context"
	"fmt"

	"signpost/internal/demo"
)

// Forge is the stage's demo.Forger: it reads a token as Signpost does, changes one
// thing, and signs it again with Signpost's own key, in the profile and algorithm of
// the service that the token is for. Only a program that holds the keys can do
// this; it is how the walk finds out whether a service looks at that thing.
func (s *Stage) Forge(_ context.Context, token string, change demo.Change) (string, error) {
	claims, err := s.Service.Keys.Verify(Tenant, s.URL, token)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	realm, ok := s.Service.Answers.Current().Realm(Tenant)
	if !ok {
		return "", fmt.Errorf("no tenant %q", Tenant)
	}
	target, ok := realm.Service(claims.Audience[0])
	if !ok {
		return "", fmt.Errorf("no service with the audience %q", claims.Audience[0])
	}
	profile, ok := realm.Profile(target.Profile)
	if !ok {
		return "", fmt.Errorf("no profile %q", target.Profile)
	}
	switch {
	case change.Issuer != "":
		claims.Issuer = change.Issuer
	case change.Audience != "":
		claims.Audience = []string{change.Audience}
	case change.Scope != "":
		claims.Scope = change.Scope
	case !change.ExpiresAt.IsZero():
		claims.ExpiresAt = change.ExpiresAt
	}
	return s.Service.Keys.Sign(Tenant, profile, target.Algorithm, claims)
}

// Walk goes the whole way of somebody on this stage.
func (s *Stage) Walk(ctx context.Context, o demo.WalkOptions) (demo.Report, error) {
	o.World, o.Forge = s.World, s.Forge
	return demo.Walk(ctx, o)
}
