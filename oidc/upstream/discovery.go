package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	// freshFor is how long discovered metadata and keys are used without asking
	// again. A new key is fetched as soon as a token names it; a withdrawn one is
	// believed that long.
	freshFor = time.Hour
	// usableFor is how long they are used while asking again goes wrong: a
	// provider whose metadata are away for a moment may still sign people in.
	usableFor = 24 * time.Hour
	// pause is how long nobody asks after a failure: anybody can start a sign-in,
	// and a sick provider must neither be hammered nor waited for each time.
	pause = 10 * time.Second
	// maxKnown is how many issuers are remembered.
	maxKnown = 1000
)

// metadata is what go-oidc does not hand out
// (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata).
type metadata struct {
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	Algorithms            []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	ResponseIssuer        bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207, section 3
}

// known is what was discovered about an issuer.
type known struct {
	provider *gooidc.Provider
	keys     gooidc.KeySet
	metadata metadata
	since    time.Time
}

// finding is how the last discovery of an issuer ended: with metadata, new or old,
// or with an error. It holds until then.
type finding struct {
	known *known
	err   error
	until time.Time
}

// discover returns what is known about an issuer, asking it if that is nothing or
// old. All who ask at the same time wait for one request; whoever gives up leaves
// it to the others.
func (c *Client) discover(ctx context.Context, issuer string) (*known, error) {
	if f, holds := c.remembered(issuer); holds {
		return f.known, f.err
	}
	asked := c.asking.DoChan(issuer, func() (any, error) {
		f := c.ask(issuer)
		return f.known, f.err
	})
	select {
	case <-ctx.Done():
		return nil, unavailable(fmt.Sprintf("discover %q", issuer), ctx.Err())
	case answer := <-asked:
		k, _ := answer.Val.(*known)
		return k, answer.Err
	}
}

// ask discovers an issuer and remembers how that ended.
func (c *Client) ask(issuer string) finding {
	before, holds := c.remembered(issuer)
	if holds {
		return before // the request of those who asked a moment ago has just ended
	}
	found, err := c.fetch(issuer)
	now := c.now()
	var f finding
	switch {
	case err == nil:
		f = finding{known: found, until: now.Add(freshFor)}
	case before.known != nil && !now.Add(pause).After(before.known.since.Add(usableFor)):
		f = finding{known: before.known, until: now.Add(pause)}
	default:
		f = finding{err: err, until: now.Add(pause)}
	}
	c.remember(issuer, f)
	return f
}

// fetch asks an issuer for its metadata. The request belongs to nobody in
// particular, and the keys outlive it, so the context is no caller's: the time
// limit of the HTTP client ends it.
func (c *Client) fetch(issuer string) (*known, error) {
	doing := fmt.Sprintf("discover %q", issuer)
	if err := checkIssuer(issuer); err != nil {
		return nil, unavailable(doing, err)
	}
	ctx := gooidc.ClientContext(context.Background(), c.http)
	provider, err := gooidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, unavailable(doing, err)
	}
	k := &known{provider: provider, since: c.now()}
	if err := provider.Claims(&k.metadata); err != nil {
		return nil, unavailable(doing, err)
	}
	if err := k.metadata.check(strings.HasPrefix(issuer, "http:")); err != nil {
		return nil, unavailable(doing, err)
	}
	k.keys = gooidc.NewRemoteKeySet(ctx, k.metadata.JWKSURI)
	return k, nil
}

// remembered returns the last finding about an issuer and whether it still holds.
func (c *Client) remembered(issuer string) (f finding, holds bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, found := c.found[issuer]
	return f, found && c.now().Before(f.until)
}

func (c *Client) remember(issuer string, f finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, again := c.found[issuer]; !again && len(c.found) >= maxKnown {
		c.forgetOldest()
	}
	c.found[issuer] = f
}

func (c *Client) forgetOldest() {
	var oldest string
	for issuer, f := range c.found {
		if oldest == "" || f.until.Before(c.found[oldest].until) {
			oldest = issuer
		}
	}
	delete(c.found, oldest)
}

// checkIssuer refuses what cannot be an issuer: it has no query and no fragment.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.RawQuery != "" || u.ForceQuery {
		return errors.New("issuer is not a URL without query")
	}
	return checkURL("issuer", issuer, true)
}

// check refuses metadata that lack an endpoint or name an insecure one. Plain
// http is for loopback addresses, and only if the issuer is on one too.
func (m metadata) check(loopback bool) error {
	return errors.Join(
		checkURL("authorization_endpoint", m.AuthorizationEndpoint, loopback),
		checkURL("token_endpoint", m.TokenEndpoint, loopback),
		checkURL("jwks_uri", m.JWKSURI, loopback),
		m.checkUserinfo(loopback),
	)
}

// checkUserinfo lets the one optional endpoint be missing.
func (m metadata) checkUserinfo(loopback bool) error {
	if m.UserinfoEndpoint == "" {
		return nil
	}
	return checkURL("userinfo_endpoint", m.UserinfoEndpoint, loopback)
}

func checkURL(name, raw string, loopback bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%s is missing or not a URL", name)
	}
	if u.Scheme == "https" || loopback && u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s is not https", name)
}

// isLoopback takes addresses only: what "localhost" means is the resolver's to say.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// algorithms returns those of the provider's that prove who signed. "none" proves
// nothing, and HMAC only that somebody knows the client secret.
func (m metadata) algorithms() []string {
	var out []string
	for _, a := range m.Algorithms {
		switch a {
		case gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
			gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.EdDSA:
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return []string{gooidc.RS256} // what every provider must support
	}
	return out
}

// config is the provider in the words of x/oauth2.
func (k *known) config(p Provider) *oauth2.Config {
	scopes := []string{gooidc.ScopeOpenID}
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	endpoint := k.provider.Endpoint()
	endpoint.AuthStyle = k.authStyle(p)
	return &oauth2.Config{
		ClientID:     p.ClientID,
		ClientSecret: p.ClientSecret,
		Endpoint:     endpoint,
		RedirectURL:  p.RedirectURL,
		Scopes:       scopes,
	}
}

// authStyle decides how the client says who it is. Left to itself x/oauth2 tries
// one way after the other, and the first try may burn the code. Without a list
// client_secret_basic is the rule; a public client has only its id to send.
func (k *known) authStyle(p Provider) oauth2.AuthStyle {
	methods := k.metadata.AuthMethods
	post := slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic")
	if p.ClientSecret == "" || post {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}
