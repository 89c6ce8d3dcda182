package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"signpost/directory"
	"signpost/oidc/clients"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// Standing is what of an account counts today: what it had at its last sign-in, as
// far as an identity provider that is still declared speaks for it (R1).
type Standing struct {
	directory.Holder          // what login names are filled from
	Addresses        []string // primary first
	Vouched          bool     // an identity provider of the tenant speaks for the account
}

// StandingOf compares an account with what is declared now. An account whose
// identity provider was removed has none; an address in a domain that the provider lost is gone.
func StandingOf(r *directory.Realm, a Account) Standing {
	s := Standing{Holder: directory.Holder{Subject: a.ID}}
	for _, p := range r.IdentityProviders {
		if p.Issuer != a.UpstreamIssuer {
			continue
		}
		for _, address := range a.Addresses {
			if slices.Contains(p.Domains, domainOf(address)) && !slices.Contains(s.Addresses, address) {
				s.Addresses = append(s.Addresses, address)
			}
		}
	}
	if len(s.Addresses) > 0 {
		s.Vouched, s.Address, s.Login = true, s.Addresses[0], a.Login
	}
	if strings.Contains(s.Login, "@") && !slices.Contains(s.Addresses, s.Login) {
		s.Login = "" // it was in a domain that the provider lost
	}
	return s
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// PolicyServices returns a tenant's services for an account as the policy sees them.
func PolicyServices(r *directory.Realm, a Account) []policy.Service {
	return servicesOf(r, StandingOf(r, a))
}

func servicesOf(r *directory.Realm, standing Standing) []policy.Service {
	services := make([]policy.Service, 0, len(r.Services))
	for n, s := range r.Services {
		login, _ := r.LoginName(s, standing.Holder) // none is "": the policy refuses it
		p := policy.Service{
			ID: s.ID, Protocol: s.Protocol, Audience: s.Audience, Hosts: r.Hosts(n), Scopes: r.OpenedBy(n), Profile: s.Profile, Algorithm: s.Algorithm,
			Lifetime: s.Lifetime, InBroad: s.InBroad, Username: login, DPoP: s.DPoP, Condition: r.ServiceCondition(s), AppPasswords: s.AppPasswords,
		}
		if s.HTTP() {
			p.URL = s.Audience
		}
		services = append(services, p)
	}
	return services
}

// PolicyRequest joins the facts that every way of making a token gives to the policy. Who
// asks is not among them: see AskedBy and AskedByGrant. Slices and maps in it are shared with
// other requests: do not change them.
func (i *Issuer) PolicyRequest(r *directory.Realm, a Account, g Grant) (policy.Request, error) {
	request, err := a.joined.with(r, a, g)
	if err != nil {
		return policy.Request{}, err
	}
	request.Now, request.Grant.Ended = i.Now(), !g.EndedAt.IsZero()
	return request, nil
}

// joined remembers what was joined last of an account and a grant that Known read together: it
// is the same at every request until one of them is read again or other facts are
// declared, and joining it is much of what a request costs that needs no signature.
type joined struct {
	last atomic.Pointer[joint]
}

type joint struct {
	realm   *directory.Realm
	grant   string
	request policy.Request
}

// with returns the facts but for the time, and whether the grant has ended. It may be called on nil.
func (j *joined) with(r *directory.Realm, a Account, g Grant) (policy.Request, error) {
	if j != nil {
		if last := j.last.Load(); last != nil && last.realm == r && last.grant == g.ID {
			return last.request, nil
		}
	}
	request, err := join(r, a, g)
	if j != nil && err == nil {
		j.last.Store(&joint{r, g.ID, request})
	}
	return request, err
}

func join(r *directory.Realm, a Account, g Grant) (policy.Request, error) {
	granted, err := scopes.Parse(g.Scopes)
	if err != nil {
		return policy.Request{}, fmt.Errorf("scopes of grant %s: %w", g.ID, err)
	}
	standing := StandingOf(r, a)
	return policy.Request{
		Tenant: r.Name, Issuer: r.Issuer, Domains: r.DomainNames(), BroadProfile: r.BroadProfile(),
		Account: policy.Account{ID: a.ID, Username: standing.Address, Vouched: standing.Vouched},
		Grant: policy.Grant{
			ID: g.ID, Tenant: r.Name, AccountID: g.AccountID, ClientID: g.ClientID,
			Scope: granted, Resources: g.Resources, Key: g.Key,
		},
		Claims: claimsOf(standing, a, g), AuthTime: g.AuthTime,
		Services: servicesOf(r, standing), Catalogue: r.Catalogue,
	}, nil
}

// ours are the claims that conditions know from this server, whatever an identity provider
// says under the same name.
var ours = [...]string{"acr", "amr", "auth_time", "address", "domain", "login"}

// claimsOf returns what conditions may ask of a person and a sign-in. What is not known is
// not there, so that asking for it means no.
func claimsOf(standing Standing, a Account, g Grant) map[string]any {
	claims := make(map[string]any, len(a.Claims)+len(ours))
	for name, value := range a.Claims {
		if !slices.Contains(ours[:], name) {
			claims[name] = value
		}
	}
	if g.ACR != "" {
		claims["acr"] = g.ACR
	}
	if len(g.AMR) > 0 {
		claims["amr"] = g.AMR
	}
	if !g.AuthTime.IsZero() {
		claims["auth_time"] = g.AuthTime
	}
	if standing.Address != "" {
		claims["address"], claims["domain"] = standing.Address, domainOf(standing.Address)
	}
	if standing.Login != "" {
		claims["login"] = standing.Login
	}
	return claims
}

// AskedBy adds to a request that a client asks, and what its conditions are.
func AskedBy(request *policy.Request, r *directory.Realm, c clients.Client) {
	request.ClientID, request.ClientKind, request.ClientBound = c.ID, string(c.Kind), c.DPoPBound
	request.ClientConditions = r.ClientConditions(c.ID)
}

// AskedByGrant adds to a request whose token somebody presents what the conditions of its
// grant's client are. clients.ErrUnknown means that the client is switched off. One whose description is
// not at hand is not for that reason switched off, and nobody is asked for it: whoever presents a
// token waits for the answer.
func (i *Issuer) AskedByGrant(ctx context.Context, request *policy.Request, r *directory.Realm) error {
	id := request.Grant.ClientID
	c, err := i.Clients.Recall(ctx, r, id)
	if errors.Is(err, clients.ErrUnknown) {
		return err
	}
	if err != nil {
		c.Kind = clients.Registered
		if strings.HasPrefix(id, "https://") {
			c.Kind = clients.URL
		}
	}
	request.ClientKind, request.ClientConditions = string(c.Kind), r.ClientConditions(id)
	return nil
}
