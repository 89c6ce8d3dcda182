// Package service puts Signpost together and starts it. Reading Open from top to
// bottom is reading the architecture: facts, cache, keys, sign-in, exchange, HTTP.
// It is the only package besides tests that knows the store and the cache by name.
package service

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"signpost/directory"
	"signpost/internal/cache"
	"signpost/internal/store"
	"signpost/oidc"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/upstream"
	"signpost/server"
	"signpost/web"
)

const (
	// watchEvery is how often the revision of the facts is looked at (R26).
	watchEvery = 500 * time.Millisecond
	// cacheBytes bounds the in-process cache: sign-ins in flight, mostly; about 4 KiB each.
	cacheBytes = 64 << 20
	// drainFor is how long requests may take to finish when the service stops.
	drainFor = 10 * time.Second
)

// Parts are what tests and the demo may put in the place of the ordinary. The zero
// value is the ordinary.
type Parts struct {
	Now      func() time.Time
	Upstream *http.Client                                  // to reach identity providers
	Generate func(algorithm string) (crypto.Signer, error) // signing keys
	Watch    time.Duration                                 // how often the facts are looked at
}

// Service is a running Signpost.
type Service struct {
	Answers *directory.Answers
	Keys    *keys.Keys
	Handler http.Handler

	config      Config
	log         *slog.Logger
	store       *store.Store
	memory      *cache.Memory // consents, codes, counters
	begun       *cache.Memory // sign-ins in flight
	certificate *certificate  // nil without TLS
	watch       time.Duration
	facts       atomic.Int64 // revision of the facts that are served
}

// Open puts a service together: it opens and migrates the database, loads what is
// declared and makes the keys that are missing. Close it.
func Open(ctx context.Context, c Config, log *slog.Logger, p Parts) (_ *Service, err error) {
	p = p.ordinary()
	s := &Service{config: c, log: log, watch: p.Watch, Answers: &directory.Answers{}}
	defer func() {
		if err != nil {
			_ = s.Close() // the first error is the one to tell
		}
	}()

	// What speaks TLS, before anything is made.
	if c.TLSCert != "" {
		if s.certificate, err = loadCertificate(c, p.Now, log); err != nil {
			return nil, err
		}
	}

	// Facts.
	box, db, err := openData(ctx, c, true)
	if err != nil {
		return nil, err
	}
	s.store = db

	// What may be lost.
	s.memory, s.begun = cache.NewMemory(cacheBytes), cache.NewMemory(cacheBytes)

	// Keys, sign-in, exchange.
	s.Keys = keys.New(db, box, p.Now, p.Generate)
	i := &issuer.Issuer{Store: db, Cache: s.memory, Begun: s.begun, Keys: s.Keys, Sealer: box, Audit: db, Now: p.Now}
	i.Register(oidc.GrantTypeTokenExchange, exchange.Grant{Issuer: i})

	// Everything declared, compiled.
	if err := s.compileAll(ctx); err != nil {
		return nil, err
	}

	// HTTP.
	pages, err := web.New()
	if err != nil {
		return nil, err
	}
	s.Handler, err = server.New(server.Deps{
		Answers: s.Answers, Issuer: i, Keys: s.Keys, Upstream: upstream.New(p.Upstream, p.Now),
		Pages: pages, Limiter: s.memory, Log: log,
		TrustedProxies: c.TrustedProxies, RequestsPerMinute: c.RequestsPerMinute,
	})
	return s, err
}

func (p Parts) ordinary() Parts {
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Upstream == nil {
		p.Upstream = &http.Client{Timeout: 10 * time.Second}
	}
	if p.Watch == 0 {
		p.Watch = watchEvery
	}
	return p
}

// compileAll compiles what is declared for the first time, and records by what it
// can be compiled again: "signpost apply" accepts only what suits this base URL.
func (s *Service) compileAll(ctx context.Context) error {
	before, err := s.store.BaseURL(ctx)
	if err != nil {
		return err
	}
	err = s.Reload(ctx)
	if misfit, ok := errors.AsType[misfitError](err); ok && before != "" && before != s.config.BaseURL {
		return fmt.Errorf("%w; serve %s as before, or change that with \"signpost apply\" before you serve another base URL", misfit, before)
	}
	if err != nil {
		return err
	}
	// Only now: the tenants' keys and secrets have proved the secret key.
	if err := s.store.KeepKey(ctx); err != nil {
		return err
	}
	return s.store.KeepBaseURL(ctx, s.config.BaseURL)
}

// Reload compiles what is declared now and makes the keys of new tenants. What was
// served before goes on if it fails.
func (s *Service) Reload(ctx context.Context) error {
	// Read first: a change that comes meanwhile makes the next look reload once more.
	facts, err := s.store.Facts(ctx)
	if err != nil {
		return err
	}
	tenants, revision, err := s.store.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("load tenants: %w", err)
	}
	snapshot, err := compile(s.config.BaseURL, tenants, revision)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		if err := s.Keys.Ensure(ctx, t.Name); err != nil {
			return err
		}
	}
	s.Answers.Store(snapshot)
	s.facts.Store(facts)
	s.Keys.Forget(func(tenant string) bool { _, served := snapshot.Realm(tenant); return served })
	return nil
}

// Serve answers on a listener until ctx ends, then lets requests finish. It reloads
// the facts whenever they change, also when another process changed them.
func (s *Service) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.Handler)
}

// ServeWith is Serve with another handler around the service's own.
func (s *Service) ServeWith(ctx context.Context, l net.Listener, wrap func(http.Handler) http.Handler) error {
	return s.serve(ctx, l, wrap(s.Handler))
}

func (s *Service) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	srv := server.Timeouts(h)
	srv.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	watched := make(chan struct{})
	go func() { s.follow(ctx); close(watched) }()
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
		defer cancel()
		drained <- srv.Shutdown(bounded)
	}()
	var err error
	if s.certificate != nil {
		srv.TLSConfig = &tls.Config{GetCertificate: s.certificate.get, MinVersion: tls.VersionTLS12}
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	stop(err)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	<-watched
	return errors.Join(err, <-drained)
}

// follow answers the bell until ctx ends. A database that cannot be read for a
// while must not make the service deaf, so it never gives up.
func (s *Service) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.store.Watch(ctx, s.watch, func(int64) { s.catchUp(ctx) })
		if err != nil {
			s.log.ErrorContext(ctx, "watch: trying again", "err", err)
			s.pause(ctx)
		}
	}
}

// catchUp reloads until what is served is what is declared.
func (s *Service) catchUp(ctx context.Context) {
	for ctx.Err() == nil {
		facts, err := s.store.Facts(ctx)
		if err == nil && facts == s.facts.Load() {
			return
		}
		if err == nil {
			err = s.Reload(ctx)
		}
		if err == nil {
			s.log.InfoContext(ctx, "reloaded", "revision", s.Answers.Current().Revision)
			continue
		}
		s.log.ErrorContext(ctx, "reload: what was served before goes on", "err", err)
		s.pause(ctx)
	}
}

// pause waits a little before something is tried again.
func (s *Service) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(2 * s.watch):
	}
}

// Declared reports whether any tenant is declared.
func (s *Service) Declared() bool { return len(s.Answers.Current().Realms()) > 0 }

// Close releases database and cache.
func (s *Service) Close() error {
	var err error
	if s.store != nil {
		err = s.store.Close()
	}
	if s.memory != nil {
		s.memory.Close()
		s.begun.Close()
	}
	return err
}
