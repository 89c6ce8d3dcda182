// Package service puts Signpost together and starts it. Reading Open from top to
// bottom is reading the architecture: facts, cache, keys, sign-in, exchange, HTTP.
// It is the only package besides tests that knows the store and the cache by name.
package service

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"signpost/directory"
	"signpost/internal/audit"
	"signpost/internal/cache"
	"signpost/internal/metrics"
	"signpost/internal/seal"
	"signpost/internal/store"
	"signpost/oidc"
	"signpost/oidc/apppassword"
	"signpost/oidc/clients"
	"signpost/oidc/dpop"
	"signpost/oidc/exchange"
	"signpost/oidc/issuer"
	"signpost/oidc/keys"
	"signpost/oidc/tokens"
	"signpost/oidc/upstream"
	"signpost/server"
	"signpost/web"
)

const (
	// watchEvery is how often the revision of the facts is looked at (R26).
	watchEvery = 500 * time.Millisecond
	// cacheBytes bounds the in-process cache: sign-ins in flight, mostly; about 4 KiB each.
	cacheBytes = 64 << 20
	// flushFor is how long what the audit still holds may take to be written at the end.
	flushFor = 5 * time.Second
)

// Parts are what tests and the demo may put in the place of the ordinary. The zero
// value is the ordinary.
type Parts struct {
	Now      func() time.Time
	Upstream *http.Client                                  // to reach identity providers
	Fetch    *http.Client                                  // to read what URL ids of clients name; nil is the careful one
	Generate func(algorithm string) (crypto.Signer, error) // signing keys
	Watch    time.Duration                                 // how often the facts are looked at
	Version  string                                        // of this program, for /metrics
}

// Service is a running Signpost.
type Service struct {
	Answers    *directory.Answers
	Keys       *keys.Keys
	Handler    http.Handler // for everybody
	Operations http.Handler // for operators: /livez, /readyz, /metrics

	config      Config
	log         *slog.Logger
	now         func() time.Time
	started     time.Time
	watch       time.Duration
	certificate *certificate // nil without TLS
	store       *store.Store
	shared      *cache.Redis // nil on one machine
	kept        cache.Cache  // consents, codes, counters
	begun       cache.Cache  // sign-ins in flight
	audit       *audit.Queue
	known       *issuer.Known
	metrics     *metrics.Metrics
	closers     []func() error // in the order of opening

	facts        atomic.Int64 // revision of the facts that are served
	stopping     atomic.Bool
	rung, moved  chan struct{} // this process changed something; the revision moved
	looks, loads condition     // looking at the revision; loading what is declared
	pings        condition     // asking Redis whether it is there
}

// Open puts a service together: it opens and migrates the database, loads what is
// declared and makes the keys that are missing. Close it.
func Open(ctx context.Context, c Config, log *slog.Logger, p Parts) (_ *Service, err error) {
	p = p.ordinary()
	s := &Service{
		config: c, log: log, now: p.Now, started: p.Now(), watch: p.Watch, Answers: &directory.Answers{}, metrics: metrics.New(p.Version),
		rung: make(chan struct{}, 1), moved: make(chan struct{}, 1),
	}
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

	// What lasts: facts, people, keys, the record.
	box, err := s.openStore(ctx)
	if err != nil {
		return nil, err
	}

	// What may be lost.
	limits, err := s.openCache(ctx, box)
	if err != nil {
		return nil, err
	}

	// Keys, sign-in, exchange.
	s.Keys = keys.New(s.store, box, p.Now, p.Generate)
	people := s.metrics.ObservedStore(s.store)
	s.known = issuer.NewKnown(people, s.store, c.RevocationMaxStale, p.Now)
	i := &issuer.Issuer{
		Store: people, Known: s.known, Cache: s.kept, Begun: s.begun,
		Keys: s.Keys, Tokens: tokens.New(s.Keys, s.kept, box, p.Now), Sealer: box, Audit: s.metrics.ObservedLog(s.audit), Limits: limits, Now: p.Now,
		Clients:      &clients.Clients{Store: s.store, Sealer: box, Fetch: p.Fetch, Documents: s.openMemory(), Marks: s.begun, Now: p.Now},
		Proofs:       &dpop.Checker{Namer: box, Marks: s.begun, Now: p.Now},
		AppPasswords: &apppassword.Passwords{Store: s.store, Hasher: box, Limits: limits, Cache: s.begun, Random: rand.Reader, Now: p.Now},
	}
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
	outside := *p.Upstream
	outside.Transport = s.metrics.ObservedTransport(outside.Transport)
	s.Handler, err = server.New(server.Deps{
		Answers: s.Answers, Issuer: i, Keys: s.Keys, Upstream: upstream.New(&outside, p.Now),
		Pages: pages, Limiter: limits, Log: log, Requests: s.metrics,
		TrustedProxies: c.TrustedProxies, RequestsPerMinute: c.RequestsPerMinute,
	})
	s.measure()
	s.Operations = server.Operations(s, s.metrics.Handler())
	return s, err
}

// openStore opens the database and the queue of the record in front of it.
func (s *Service) openStore(ctx context.Context) (*seal.Box, error) {
	box, db, err := openData(ctx, s.config, true)
	if err != nil {
		return nil, err
	}
	s.store = db
	s.closers = append(s.closers, db.Close)
	db.OnRing = s.ring
	s.audit = audit.NewQueue(db.RecordAll, s.log)
	s.closers = append(s.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), flushFor)
		defer cancel()
		return s.audit.Close(ctx)
	})
	return box, nil
}

// openCache opens Redis, or memory where none is configured, and returns what counts
// requests.
func (s *Service) openCache(ctx context.Context, box *seal.Box) (server.Limiter, error) {
	local := s.openMemory()
	if s.config.RedisURL == "" {
		// Strangers fill begun: apart, so that they push nobody out who has signed in.
		s.kept, s.begun = s.metrics.ObservedCache("kept", local), s.metrics.ObservedCache("begun", s.openMemory())
		return s.kept, nil
	}
	redis, err := cache.OpenRedis(ctx, string(s.config.RedisURL), box)
	if err != nil {
		return nil, err
	}
	s.shared = redis
	s.closers = append(s.closers, func() error { redis.Close(); return nil })
	s.kept, s.begun = s.metrics.ObservedCache("kept", redis), s.metrics.ObservedCache("begun", redis)
	limits := cache.NewLimits(s.kept, local)
	s.closers = append(s.closers, func() error { limits.Close(); return nil })
	return limits, nil
}

func (s *Service) openMemory() *cache.Memory {
	m := cache.NewMemory(cacheBytes)
	s.closers = append(s.closers, func() error { m.Close(); return nil })
	return m
}

func (p Parts) ordinary() Parts {
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Upstream == nil {
		p.Upstream = &http.Client{Timeout: 10 * time.Second}
	}
	if p.Fetch == nil {
		p.Fetch = clients.NewFetch(nil, nil)
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
		if err := s.Keys.Ensure(ctx, t.Name, ownKeys(t)...); err != nil {
			return err
		}
	}
	s.Answers.Store(snapshot)
	s.facts.Store(facts)
	s.Keys.Forget(func(tenant string) bool { _, served := snapshot.Realm(tenant); return served })
	return nil
}

// Declared reports whether any tenant is declared.
func (s *Service) Declared() bool { return len(s.Answers.Current().Realms()) > 0 }

// Flush returns when the record holds everything that has happened so far.
func (s *Service) Flush(ctx context.Context) error { return s.audit.Flush(ctx) }

// Close writes what the record still waits for, and releases database and cache.
func (s *Service) Close() error {
	var err error
	for len(s.closers) > 0 {
		last := len(s.closers) - 1
		err = errors.Join(err, s.closers[last]())
		s.closers = s.closers[:last]
	}
	return err
}
