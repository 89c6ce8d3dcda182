package directory

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"signpost/internal/condition"
	"signpost/oidc"
)

// Snapshot is everything that was declared, compiled at one revision: which
// tenant answers where, and the WebFinger answers of all served domains. It
// never changes; reading it needs no lock. The zero Snapshot serves nothing.
type Snapshot struct {
	Revision int64 // of the facts it was compiled from
	base     string
	baseHost string
	realms   []*Realm
	byName   map[string]*Realm
	byHost   map[string]*Realm // by Host header, for issuers without a path
	byDomain map[string]*Realm
	byPlace  map[place]*Realm
	byOrigin map[string][]protected // HTTP services by "https://host:port"
}

// place is a URL as a resource: the key is a struct because joining its parts
// would allocate on the hot path.
type place struct{ scheme, host, path string }

// Compile makes a snapshot of tenants that were checked. base is the URL of the
// installation, without a path. What would let two tenants answer at one place
// is an error even here, where Check should have refused it.
func Compile(base string, tenants []Tenant, revision int64) (*Snapshot, error) {
	base = strings.TrimSuffix(base, "/")
	u, err := parseURL(base)
	if err != nil {
		return nil, fmt.Errorf("base URL: %w", err)
	}
	if u.Path != "" {
		return nil, fmt.Errorf("base URL: it must not have a path")
	}
	s := &Snapshot{
		Revision: revision,
		base:     base,
		baseHost: u.Host,
		byName:   make(map[string]*Realm, len(tenants)),
		byHost:   make(map[string]*Realm),
		byDomain: make(map[string]*Realm),
		byPlace:  make(map[place]*Realm),
		byOrigin: make(map[string][]protected),
	}
	conditions := make(map[string]*condition.Condition)
	for _, t := range tenants {
		if err := s.add(t, conditions); err != nil {
			return nil, fmt.Errorf("tenant %s: %w", t.Name, err)
		}
	}
	if err := s.checkAudiences(); err != nil {
		return nil, err
	}
	s.compileProtected()
	s.reserve()
	return s, nil
}

// checkAudiences makes sure that a token for a service can never pass for one
// that is broad (R4, R7), whatever the base URL is.
func (s *Snapshot) checkAudiences() error {
	issuers := make(map[string]bool, len(s.realms))
	clients := map[string]bool{oidc.ClientOpen: true}
	for _, id := range builtInIDs() {
		clients[id] = true
	}
	for _, r := range s.realms {
		issuers[r.Issuer] = true
		for _, c := range r.FixedClients {
			clients[c.ID] = true
		}
	}
	for _, r := range s.realms {
		for _, service := range r.Services {
			if issuers[service.audienceKey()] || clients[service.Audience] {
				return fmt.Errorf("tenant %s: the audience of service %s is an issuer or a client id", r.Name, service.ID)
			}
		}
	}
	return nil
}

func (s *Snapshot) add(t Tenant, conditions map[string]*condition.Condition) error {
	if _, taken := s.byName[t.Name]; taken {
		return fmt.Errorf("the name comes twice")
	}
	r, err := compileRealm(s.base, t, conditions)
	if err != nil {
		return err
	}
	if t.Placement != PlacementPath {
		if r.at.path != "" {
			return fmt.Errorf("the issuer must not have a path")
		}
		if t.Placement != PlacementBase && r.at.host == s.baseHost || s.byHost[r.at.host] != nil {
			return fmt.Errorf("another tenant answers at its issuer's host")
		}
		s.byHost[r.at.host] = r
	}
	for _, d := range t.Domains {
		if s.byDomain[d.Name] != nil {
			return fmt.Errorf("domain %s comes twice", d.Name)
		}
		s.byDomain[d.Name] = r
		// An issuer at the domain's own host stands for itself.
		if at := (place{"https", d.Name, ""}); s.byPlace[at] == nil {
			s.byPlace[at] = r
		}
	}
	s.byPlace[r.at] = r
	s.byName[t.Name] = r
	s.realms = append(s.realms, r)
	return nil
}

// Base returns the URL of the installation, without trailing slash.
func (s *Snapshot) Base() string { return s.base }

// Realms returns every tenant in the order of declaration. The caller may change the slice.
func (s *Snapshot) Realms() []*Realm { return slices.Clone(s.realms) }

// Realm returns a tenant by its name.
func (s *Snapshot) Realm(name string) (*Realm, bool) {
	r, found := s.byName[name]
	return r, found
}

// RealmAt returns the tenant that answers a request. host is the request's Host.
// An empty name is a request at the root: the base tenant's or that of a tenant
// with a host of its own. A name is the segment after /t/: that tenant, if it
// has no other place, at the base host only.
func (s *Snapshot) RealmAt(host, name string) (*Realm, bool) {
	host = s.plainHost(host)
	if name == "" {
		r, found := s.byHost[host]
		return r, found
	}
	r, found := s.byName[name]
	if !found || r.Placement != PlacementPath || host != s.baseHost {
		return nil, false
	}
	return r, true
}

// KnownHost reports whether an issuer lives at the host, or the base URL does.
// WebFinger is answered at every host (RFC 7033, section 4): this is for all else.
func (s *Snapshot) KnownHost(host string) bool {
	host = s.plainHost(host)
	return host != "" && (host == s.baseHost || s.byHost[host] != nil)
}

// plainHost returns a Host header as the host of a URL is written: in lower
// case and without the port that the scheme implies. Only a loopback base has http.
func (s *Snapshot) plainHost(host string) string {
	host = strings.ToLower(host)
	if strings.HasPrefix(s.base, "http://") {
		return strings.TrimSuffix(host, ":80")
	}
	return strings.TrimSuffix(host, ":443")
}

// Answers holds the current snapshot: readers take it without a lock, a change
// puts a new one in its place. The zero Answers holds a snapshot that serves nothing.
type Answers struct{ current atomic.Pointer[Snapshot] }

// Current returns the snapshot to answer a request from. A request that needs
// it twice keeps it, so that both times see the same facts.
func (a *Answers) Current() *Snapshot {
	if s := a.current.Load(); s != nil {
		return s
	}
	return &Snapshot{}
}

// Store replaces the snapshot.
func (a *Answers) Store(s *Snapshot) { a.current.Store(s) }
