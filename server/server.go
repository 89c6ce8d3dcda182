// Package server is HTTP and nothing else: it takes a request apart, calls the
// step that answers it, and writes the answer. It is the only importer of Gin.
// Who asks decides how a failure looks: OAuth's JSON for clients, problem+json
// for other machines (RFC 9457, section 3), a page for people.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"

	"signpost/directory"
	"signpost/oidc"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/upstream"
	"signpost/web"
)

// Upstream is what the server asks of the relying party. Implemented by upstream.Client.
type Upstream interface {
	AuthCodeURL(ctx context.Context, p upstream.Provider, r upstream.Request) (string, error)
	Redeem(ctx context.Context, p upstream.Provider, r upstream.Request, code string) (oidc.Person, error)
}

// Limiter counts events. Implemented by internal/cache.
type Limiter interface {
	Allow(ctx context.Context, key string, limit int, span time.Duration) (ok bool, wait time.Duration, err error)
}

// Requests counts and times requests. Implemented by internal/metrics.
type Requests interface {
	RequestBegan()
	// RequestEnded gets the template of the route, "" if none matched, never the path.
	RequestEnded(route, method string, status int, took time.Duration)
}

// Deps is what the server needs. Every field is required unless it says so.
type Deps struct {
	Answers  *directory.Answers
	Issuer   *issuer.Issuer
	Keys     *keys.Keys
	Upstream Upstream
	Pages    *web.Pages
	Limiter  Limiter
	Log      *slog.Logger
	Requests Requests // nil: nobody counts

	TrustedProxies    []netip.Prefix // whose X-Forwarded-For is believed; may be empty
	RequestsPerMinute int            // from one address, to sign-in and to tokens
}

// Server answers every request. It holds no state of its own but what it wrote before.
type Server struct {
	Deps

	cross    *http.CrossOriginProtection
	assets   map[string]web.Asset
	rendered rendered
}

// New makes the handler of all routes.
func New(d Deps) (http.Handler, error) {
	s := &Server{Deps: d, cross: http.NewCrossOriginProtection(), assets: map[string]web.Asset{}}
	for _, a := range d.Pages.Assets() {
		s.assets[a.Path] = a
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.RedirectTrailingSlash = false // metadata must not redirect (draft-ietf-mailmaint-oauth-public)
	engine.RedirectFixedPath = false
	engine.HandleMethodNotAllowed = true
	engine.RemoteIPHeaders = []string{"X-Forwarded-For"}
	proxies := make([]string, 0, len(d.TrustedProxies))
	for _, p := range d.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	if err := engine.SetTrustedProxies(proxies); err != nil {
		return nil, err
	}
	s.routes(engine)
	return engine, nil
}

// Timeouts returns an http.Server with the bounds that every listener gets: slow
// readers and writers do not hold a connection for ever, headers are small.
func Timeouts(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      45 * time.Second, // a callback waits for the identity provider
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
