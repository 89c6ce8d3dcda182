package narrow_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/scopes"
	"signpost/test/narrow/oracle"
)

const (
	base         = "https://id.example.test"
	clientSecret = "a-secret-that-is-long-and-random-enough"
	redirectURI  = "http://127.0.0.1:49152/cb"
)

// vocabulary is small, so that random sets meet.
var vocabulary = []string{"urn:example:w0", "urn:example:w1", "urn:example:w2", "urn:example:w3", "urn:example:w4", "urn:example:w5"}

// people are those of each tenant: with and without a login name, with and without groups that
// the identity provider knows.
var people = []struct {
	local, login string
	groups       []string
}{{"alice", "alice", []string{"staff", "sales"}}, {"bob", "", []string{"guests"}}, {"carol", "", nil}}

// claimsOf are those that the identity provider gives about somebody in groups: none if it knows none.
func claimsOf(groups []string) map[string]any {
	if groups == nil {
		return nil
	}
	var list []any
	for _, g := range groups {
		list = append(list, g)
	}
	return map[string]any{"groups": list}
}

// Conditions that are declared, and what they mean.
const (
	staffOnly        = `"staff" in claims.groups`
	notMobile        = `client.id != "mobile"`
	staffIfAnonymous = `client.kind != "open" || "staff" in claims.groups`
)

// programs are those of each tenant besides the client "open": one with a secret, one that
// takes bound tokens only, and one that takes anything.
var programs = []directory.FixedClient{
	{ID: "webmail", Authentication: oidc.AuthSecretPost, SecretHash: hashOf(clientSecret), IDTokenAlgorithm: "ES256"},
	{ID: "careful", Authentication: oidc.AuthNone, DPoPBound: true, IDTokenAlgorithm: "ES256"},
	{ID: "mobile", Authentication: oidc.AuthNone, IDTokenAlgorithm: "ES256"},
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// world is two tenants with an authorization server, and what is known of them.
type world struct {
	*ground
	*issuer.Issuer
	random  *rand.Rand
	now     time.Time
	audit   *recorder
	tenants []tenant
	oracle  oracle.World
	pool    []*held  // of earlier chains, for thieves and mistakes
	grants  []*grant // of the running chain

	passwords map[string]bool // ids of those that were made
}

// tenant is one of the two.
type tenant struct {
	realm     *directory.Realm
	abandoned *directory.Realm // the same after its identity provider was replaced
	subjects  []string         // of people
}

func newWorld(g *ground, number int, random *rand.Rand) *world {
	g.t.Helper()
	w := &world{ground: g, random: random, now: start, audit: &recorder{}, oracle: oracle.World{}, passwords: map[string]bool{}}
	declared := []directory.Tenant{
		w.draw(fmt.Sprintf("a%d", number), directory.PlacementBase, "a.test"), w.draw(fmt.Sprintf("b%d", number), directory.PlacementPath, "b.test"),
	}
	if problems := directory.Check(declared); len(problems) > 0 {
		g.t.Fatalf("a world that nobody could declare: %v\n%+v", problems, declared)
	}
	g.declare(declared)
	snapshot, err := directory.Compile(base, declared, 1)
	must(g.t, err)
	moved := slices.Clone(declared)
	for i, t := range moved {
		moved[i].IdentityProviders = []directory.IdentityProvider{provider("new." + t.Domains[0].Name)}
	}
	later, err := directory.Compile(base, moved, 2)
	must(g.t, err)
	w.Issuer = g.issuer(func() time.Time { return w.now }, w.audit)
	w.look()
	for i, d := range declared {
		realm, _ := snapshot.Realm(d.Name)
		abandoned, _ := later.Realm(d.Name)
		t := tenant{realm: realm, abandoned: abandoned}
		known := w.known(declared[i])
		for n, p := range people {
			account, err := g.db.SaveAccount(g.t.Context(), d.Name, issuer.Account{
				ID: fmt.Sprintf("%s-%d-%s", d.Name, n, strings.Repeat("x", 22))[:22], UpstreamIssuer: d.IdentityProviders[0].Issuer, UpstreamSubject: p.local,
				Addresses: []string{p.local + "@" + d.Domains[0].Name}, Login: p.login, Claims: claimsOf(p.groups), CreatedAt: w.now, LastSignInAt: w.now,
			})
			must(g.t, err)
			t.subjects = append(t.subjects, account.ID)
			names := []string{p.local + "@" + d.Domains[0].Name, p.local, account.ID}
			known.People[account.ID] = oracle.Person{Names: names, Groups: p.groups}
		}
		w.tenants, w.oracle[realm.Issuer] = append(w.tenants, t), known
	}
	return w
}

// look tells the server what ended, as it would find out every half second.
func (w *world) look() {
	w.t.Helper()
	revision, err := w.db.Revision(w.t.Context())
	must(w.t, err)
	must(w.t, w.Known.Looked(w.t.Context(), w.now, revision))
}

func provider(host string) directory.IdentityProvider {
	domain := host[strings.IndexByte(host, '.')+1:]
	return directory.IdentityProvider{
		Name: "staff", Title: "Staff", Issuer: "https://" + host, ClientID: "x", Scopes: []string{"openid"}, Domains: []string{domain},
		KeepClaims: []string{"groups"}, AddressClaim: "email", AddressTrust: directory.TrustDirectory, LoginClaim: "preferred_username", NameClaim: "name",
	}
}

// draw declares a tenant.
func (w *world) draw(name, placement, domain string) directory.Tenant {
	t := directory.Tenant{
		Name: name, Placement: placement, Title: "Example", Domains: []directory.Domain{{Name: domain, Verification: directory.VerificationOperator}},
		IdentityProviders: []directory.IdentityProvider{provider("login." + domain)}, TokenProfiles: []oidc.Profile{ownProfile},
		BroadToken: pick(w.random, oidc.ProfileRFC9068, oidc.ProfileRFC9068, oidc.ProfileOpaque),
	}
	if w.once(5) {
		t.Clients.Condition = staffIfAnonymous
	}
	for i, word := range vocabulary {
		// A word includes only later ones, so there are no circles.
		t.Scopes = append(t.Scopes, scopes.Scope{
			Name: word, Includes: w.some(vocabulary[i+1:], 2), Title: map[string]string{"en": word}, Text: map[string]string{"en": word},
		})
	}
	for _, p := range programs {
		p.Name, p.RedirectURIs = p.ID, []string{"http://127.0.0.1/cb"}
		if p.ID == "mobile" && w.once(2) {
			p.Condition = staffOnly
		}
		t.FixedClients = append(t.FixedClients, p)
	}
	mail := w.mailServices(domain)
	web := w.webServices(domain)
	t.Services = append(mail, web...)
	for i := range t.Services {
		t.Services[i].Order = i + 1
		t.Services[i].InBroad = t.Services[i].InBroad && t.Services[i].Profile == t.BroadToken
	}
	return t
}

// mailServices are three, of which two share a host, and now and then their audience.
func (w *world) mailServices(domain string) []directory.Service {
	service := func(id, protocol, host string) directory.Service {
		s := w.service(id, protocol)
		s.Audience, s.Authentication = id+"."+domain, []string{"oauthbearer"}
		s.Profile = pick(w.random, oidc.ProfileDovecot, oidc.ProfileOpaque)
		s.Endpoints = []directory.Endpoint{{Host: host + "." + domain, Port: 993, Security: directory.SecurityTLS}}
		return s
	}
	imap, pop, sieve := service("imap", directory.ProtocolIMAP, "imap"), service("pop", directory.ProtocolPOP3, "mail"), service("sieve", directory.ProtocolManageSieve, "mail")
	pop.Endpoints[0].Port = 995
	sieve.Endpoints[0].Port = 4190
	if w.once(3) {
		id, protocol, endpoints := sieve.ID, sieve.Protocol, sieve.Endpoints
		sieve = pop
		sieve.ID, sieve.Protocol, sieve.Endpoints = id, protocol, endpoints
	}
	imap.Profile, imap.InBroad = pick(w.random, oidc.ProfileDovecot, oidc.ProfileRFC9068, oidc.ProfileOpaque, ownProfile.Name), w.once(2)
	return []directory.Service{imap, pop, sieve}
}

// webServices are four, of which two lie one below the other.
func (w *world) webServices(domain string) []directory.Service {
	service := func(id, protocol, url string) directory.Service {
		s := w.service(id, protocol)
		s.Audience, s.Authentication, s.Profile = url, []string{"bearer"}, pick(w.random, oidc.ProfileRFC9068, oidc.ProfileRFC9068, oidc.ProfileOpaque, ownProfile.Name)
		s.Endpoints = []directory.Endpoint{{URL: url}}
		s.DPoP = pick(w.random, directory.DPoPNone, directory.DPoPNone, directory.DPoPAccepts, directory.DPoPRequires)
		s.InBroad = w.once(2)
		return s
	}
	files := service("files", directory.ProtocolWebDAV, "https://files."+domain+"/dav/")
	files.Username = "{login}"
	return []directory.Service{
		service("calendar", directory.ProtocolCalDAV, "https://dav."+domain+"/"), service("contacts", directory.ProtocolCardDAV, "https://dav."+domain+"/contacts/"),
		files, service("chat", directory.ProtocolHTTPS, "https://chat."+domain+"/api"),
	}
}

func (w *world) service(id, protocol string) directory.Service {
	return directory.Service{
		ID: id, Protocol: protocol, Title: id, Scopes: w.some(vocabulary, 2, 1), Username: pick(w.random, "{address}", "{address}", "{subject}", "{local}"),
		Algorithm: "ES256", Lifetime: pick(w.random, time.Minute, 5*time.Minute, 15*time.Minute, time.Hour), Credential: "sso",
		Condition: pick(w.random, "", "", "", "", staffOnly, notMobile), AppPasswords: w.once(2),
	}
}

// ownProfile is a form of tokens that no built-in profile has.
var ownProfile = oidc.Profile{
	Name: "own", Type: oidc.TypeJWT, AuthorizedParty: true, AudienceArray: true, IssuedAt: true, NotBefore: true, Backdate: 5 * time.Second, UserClaim: "login",
}

// known is what the oracle needs to know of a tenant; its people come later.
func (w *world) known(t directory.Tenant) oracle.Tenant {
	k := oracle.Tenant{Includes: map[string][]string{}, People: map[string]oracle.Person{}, Clients: map[string]oracle.Client{oidc.ClientOpen: {}}}
	for _, s := range t.Scopes {
		k.Includes[s.Name] = s.Includes
	}
	for _, c := range t.FixedClients {
		known := oracle.Client{Bound: c.DPoPBound}
		if c.Condition == staffOnly {
			known.Groups = []string{"staff"}
		}
		k.Clients[c.ID] = known
	}
	if t.Clients.Condition == staffIfAnonymous {
		k.Clients[oidc.ClientOpen] = oracle.Client{Groups: []string{"staff"}}
	}
	for _, s := range t.Services {
		o := oracle.Service{Audience: s.Audience, Scopes: s.Scopes, Lifetime: s.Lifetime, DPoP: s.DPoP, InBroad: s.InBroad, AppPasswords: s.AppPasswords}
		switch s.Condition {
		case staffOnly:
			o.Groups = []string{"staff"}
		case notMobile:
			o.Clients = []string{oidc.ClientOpen, "webmail", "careful"}
		}
		for _, e := range s.Endpoints {
			if e.Host != "" {
				o.Hosts = append(o.Hosts, e.Host)
			}
		}
		k.Services = append(k.Services, o)
	}
	return k
}

// once reports true once in n times.
func (w *world) once(n int) bool { return w.random.IntN(n) == 0 }

// some returns random ones of a list, at most n of them and, if it says so, at least one.
func (w *world) some(list []string, n int, least ...int) []string {
	n = min(n, len(list))
	low := 0
	if len(least) > 0 {
		low = least[0]
	}
	if n > low {
		n = low + w.random.IntN(n-low+1)
	}
	var drawn []string
	for _, i := range w.random.Perm(len(list))[:n] {
		drawn = append(drawn, list[i])
	}
	return drawn
}

func pick[V any](r *rand.Rand, values ...V) V { return values[r.IntN(len(values))] }
