package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/cache"
	"signpost/internal/seal"
	"signpost/internal/store"
	"signpost/oidc/clients"
	"signpost/oidc/issuer"
	"signpost/oidc/policy"
	"signpost/scopes"
)

// Errors of Explain that are the caller's to explain.
var (
	// ErrSeveralAccounts means that several tenants have the account: name one.
	ErrSeveralAccounts = errors.New("several tenants have an account of this name")
	// ErrWay means that a way of asking for a token is not one that can be explained.
	ErrWay = errors.New("not a way that can be explained")
	// ErrScope means that the scope is not a list of words with one space between them.
	ErrScope = errors.New("not a scope")
)

// ExplainOptions say whose request to explain.
type ExplainOptions struct {
	Tenant  string // empty: the one that has the account
	Account string // address, login name or id
	Client  string // client id
	Service string // id or audience of the service, or whatever a client would name
	Scope   string // what is asked for; empty if the request does not say
	Way     string // "exchange", "refresh" or "app-password"; empty is "exchange"
	Now     func() time.Time
}

// Explained is what would become of a request, and why.
type Explained struct {
	policy.Explanation
	Tenant   string
	Account  string // id
	Client   string
	Service  string // audience, or what was named if there is no such service
	Way      string
	Grant    string   // id of the sign-in that was looked at; empty if none lives and one was supposed
	NoClient bool     // there is no such client, or it is switched off: it is refused before a rule is asked
	Supposed []string // what was supposed, one sentence each
}

// Allowed reports whether the token or password would be made.
func (e Explained) Allowed() bool { return !e.NoClient && e.Decision.Allowed() }

// Explain replays what the policy would decide now, beside a running service. It changes nothing
// and records nothing. Errors are ErrNoTenant, ErrNoAccount, ErrSeveralAccounts, ErrWay, ErrScope, and
// those of the database.
func Explain(ctx context.Context, c Config, o ExplainOptions) (e Explained, err error) {
	o.Now, o.Way = nowOr(o.Now), cmp.Or(o.Way, string(policy.Exchange))
	if !slices.Contains([]policy.Way{policy.Exchange, policy.Refresh, policy.AppPassword}, policy.Way(o.Way)) {
		return Explained{}, ErrWay
	}
	asked, err := scopes.Parse(o.Scope)
	if err != nil {
		return Explained{}, ErrScope
	}
	box, db, err := openExisting(ctx, c)
	if err != nil {
		return Explained{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	realm, account, err := whose(ctx, db, c, o)
	if err != nil {
		return Explained{}, err
	}
	memory := cache.NewMemory(1 << 20)
	defer memory.Close()
	x := explainer{db: db, box: box, memory: memory, realm: realm, account: account, options: o}
	return x.explain(ctx, asked)
}

func nowOr(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// whose finds the account and its tenant.
func whose(ctx context.Context, db *store.Store, c Config, o ExplainOptions) (*directory.Realm, issuer.Account, error) {
	names, err := chosenTenants(ctx, db, o.Tenant)
	if err != nil {
		return nil, issuer.Account{}, err
	}
	var tenant string
	var account issuer.Account
	for _, name := range names {
		found, err := accountOf(ctx, db, name, o.Account)
		switch {
		case errors.Is(err, issuer.ErrNotFound):
			continue
		case err != nil:
			return nil, issuer.Account{}, err
		case tenant != "":
			return nil, issuer.Account{}, ErrSeveralAccounts
		}
		tenant, account = name, found
	}
	if tenant == "" {
		return nil, issuer.Account{}, ErrNoAccount
	}
	realm, err := realmNow(ctx, db, c, tenant)
	return realm, account, err
}

// accountOf finds an account by a name or by its id.
func accountOf(ctx context.Context, db *store.Store, tenant, name string) (issuer.Account, error) {
	a, err := db.AccountByName(ctx, tenant, name)
	if errors.Is(err, issuer.ErrNotFound) {
		return db.Account(ctx, tenant, name)
	}
	return a, err
}

// realmNow compiles what is declared, as the service does.
func realmNow(ctx context.Context, db *store.Store, c Config, tenant string) (*directory.Realm, error) {
	base, err := servedBaseURL(ctx, db, c)
	if err != nil {
		return nil, err
	}
	declared, revision, err := db.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("load tenants: %w", err)
	}
	snapshot, err := compile(base, declared, revision)
	if err != nil {
		return nil, err
	}
	realm, found := snapshot.Realm(tenant)
	if !found { // removed in this moment
		return nil, fmt.Errorf("tenant %q: %w", tenant, ErrNoTenant)
	}
	return realm, nil
}

// explainer is one request to explain.
type explainer struct {
	db       *store.Store
	box      *seal.Box
	memory   *cache.Memory // empty: what clients say of themselves elsewhere is not read
	realm    *directory.Realm
	account  issuer.Account
	options  ExplainOptions
	supposed []string
}

func (x *explainer) suppose(sentence string) { x.supposed = append(x.supposed, sentence) }

func (x *explainer) explain(ctx context.Context, asked scopes.Set) (Explained, error) {
	grant, lives, err := x.grant(ctx)
	if err != nil {
		return Explained{}, err
	}
	i := &issuer.Issuer{
		Store: x.db, Now: x.options.Now,
		Clients: &clients.Clients{Store: x.db, Sealer: x.box, Documents: x.memory, Marks: x.memory, Now: x.options.Now},
	}
	request, err := i.PolicyRequest(x.realm, x.account, grant)
	if err != nil {
		return Explained{}, err
	}
	known, err := x.askedBy(ctx, i, &request)
	if err != nil {
		return Explained{}, err
	}
	x.present(&request)
	if x.options.Scope != "" {
		request.Scope = &asked
	}
	e := Explained{
		Explanation: policy.Explain(request), Tenant: x.realm.Name, Account: x.account.ID, Client: x.options.Client,
		Service: x.target(), Way: x.options.Way, NoClient: !known, Supposed: x.supposed,
	}
	if lives {
		e.Grant = grant.ID
	}
	return e, nil
}

// grant returns the newest sign-in that lives of the account with the client. Without one it supposes
// one of this moment in which the person allowed everything.
func (x *explainer) grant(ctx context.Context) (g issuer.Grant, lives bool, err error) {
	living, err := x.db.Grants(ctx, x.realm.Name, x.account.ID)
	if err != nil {
		return issuer.Grant{}, false, err
	}
	if i := slices.IndexFunc(living, func(g issuer.Grant) bool { return g.ClientID == x.options.Client }); i >= 0 {
		return living[i], true, nil
	}
	x.suppose("no sign-in with this client lives; this supposes one of this moment in which everything that the tenant supports was allowed")
	return issuer.Grant{
		ID: "supposed", AccountID: x.account.ID, ClientID: x.options.Client,
		Scopes: x.realm.Supported().String(), AuthTime: x.options.Now(),
	}, false, nil
}

// askedBy adds what is known of the client, and reports whether there is one.
func (x *explainer) askedBy(ctx context.Context, i *issuer.Issuer, request *policy.Request) (known bool, err error) {
	c, err := i.Clients.Recall(ctx, x.realm, x.options.Client)
	switch {
	case err == nil:
		issuer.AskedBy(request, x.realm, c)
		return true, nil
	case errors.Is(err, clients.ErrUnknown):
		request.ClientID = x.options.Client
		return false, nil
	case !errors.Is(err, clients.ErrUnavailable) || !strings.HasPrefix(x.options.Client, "https://"):
		return false, err
	}
	x.suppose("what the client says of itself at its URL was not read; this supposes that it does not demand bound tokens")
	request.ClientID = x.options.Client
	return true, i.AskedByGrant(ctx, request, x.realm)
}

// present adds what the client would present: a token for the issuer with everything that was
// granted, and the proof of the key that it must have.
func (x *explainer) present(request *policy.Request) {
	request.Way, request.Targets = policy.Way(x.options.Way), []string{x.target()}
	request.Key = request.Grant.Key
	if request.ClientBound && request.Key == "" {
		request.Key = "supposed"
	}
	if request.Key != "" {
		x.suppose("this supposes that the client proves possession of its key (DPoP)")
	}
	if request.Way == policy.Refresh {
		return
	}
	x.suppose("this supposes a token for the issuer alone with everything that was granted")
	request.Subject = &policy.Subject{
		Issuer: request.Issuer, Subject: request.Account.ID, Audience: []string{request.Issuer}, Scope: request.Grant.Scope,
		ClientID: request.ClientID, GrantID: request.Grant.ID, ExpiresAt: request.Now.Add(policy.Lifetime), Key: request.Key,
	}
}

// target is the audience of the service that is meant, or what was named.
func (x *explainer) target() string {
	for _, s := range x.realm.Services {
		if s.ID == x.options.Service {
			return s.Audience
		}
	}
	if s, found := policy.Resolve(issuer.PolicyServices(x.realm, x.account), x.options.Service); found {
		return s.Audience
	}
	return x.options.Service
}
