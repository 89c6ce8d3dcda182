package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"signpost/test/backends"
)

// setup is everything that runs, and the tokens to ask with.
type setup struct {
	options options
	machine string // what it runs on, in a line

	organisation *organisation
	bare         *target
	bareKey      crypto.PublicKey
	plain        *target // Signpost
	shared       *target // Signpost with Redis; nil if there is none

	key        func(id string) crypto.PublicKey
	regulars   []subject // one of each sign-in
	pool       []subject // the rest, each to be presented first in the slice that it is for
	chunk      int       // how many of the pool a pair has
	unmeasured []string

	introspect, configure *questions // at plain
	verify, active        *questions // at bare
	numbers               *numbers

	closers []func() error // in the order of opening
}

func (s *setup) close() (err error) {
	for _, c := range slices.Backward(s.closers) {
		err = errors.Join(err, c())
	}
	return err
}

func (s *setup) later(c func() error) { s.closers = append(s.closers, c) }

// setUp starts the servers, and lets people sign in and programs refresh until there are enough
// tokens. Then Signpost is started anew, so that it remembers none of them.
func setUp(ctx context.Context, o options, notes io.Writer) (s *setup, err error) {
	s = &setup{options: o, numbers: newNumbers()}
	dir, err := os.MkdirTemp("", "signpost-bench-")
	if err != nil {
		return s, err
	}
	s.later(func() error { return os.RemoveAll(dir) })
	if o.binary == "" {
		fmt.Fprintln(notes, "building")
		if o.binary, err = build(ctx, dir); err != nil {
			return s, err
		}
	}
	c, err := divide(ctx)
	if err != nil {
		return s, err
	}
	s.machine = describe(c)
	rate, err := s.startBare(ctx, c, dir)
	if err != nil {
		return s, err
	}
	i, err := s.signEverybodyIn(ctx, o.binary, c, dir, rate, notes)
	if err != nil {
		return s, err
	}
	if err := s.startSignposts(ctx, i, dir); err != nil {
		return s, err
	}
	return s, s.prepareQuestions(ctx)
}

// describe says on what kind of machine the figures come about.
func describe(c cores) string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(text), "model name\t: "); found {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	how := "not pinned: no taskset, or no second processor"
	if c.server != "" {
		how = "servers on one processor, load on another one"
	}
	return fmt.Sprintf("%s, %s/%s, %d processors, %s, %s", model, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), how)
}

// startBare starts the bare server and returns how many exchanges it makes in a second.
func (s *setup) startBare(ctx context.Context, c cores, dir string) (rate float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	said := newFirstLine()
	p, err := start(c, "bare", filepath.Join(dir, "bare.log"), nil, said, self, bareCommand)
	if err != nil {
		return 0, err
	}
	s.later(p.stop)
	var line string
	select {
	case line = <-said.done:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(patience):
		return 0, fmt.Errorf("the bare server does not start: %s", p.tail())
	}
	address, encoded, _ := strings.Cut(line, " ")
	p.address = address
	der, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return 0, err
	}
	if s.bareKey, err = x509.ParsePKIXPublicKey(der); err != nil {
		return 0, err
	}
	s.bare = &target{p, s.options.connections}
	// Presented is something as long as a broad token, until there are some.
	s.regulars = []subject{{token: strings.Repeat("x", 700)}}
	if _, err = s.bare.ask(ctx, s.bareExchanges(pathExchange), s.options.slice); err != nil { // it warms up
		return 0, err
	}
	calibrated, err := s.bare.ask(ctx, s.bareExchanges(pathExchange), s.options.slice)
	return calibrated.rate(), err
}

// The fastest that is planned for, as ratios: who is faster has shorter slices.
const (
	fastestFirstSight = 1.3
	fastestSeen       = 3.0
)

// signEverybodyIn makes the tokens.
func (s *setup) signEverybodyIn(ctx context.Context, binary string, c cores, dir string, rate float64, notes io.Writer) (i installation, err error) {
	i = installation{binary: binary, dir: filepath.Join(dir, "first"), secret: newSecret(), measure: c}
	if err := os.MkdirAll(i.data(), 0o700); err != nil {
		return i, err
	}
	if i.listen, err = freeAddress(ctx); err != nil {
		return i, err
	}
	i.base = "http://" + i.listen
	s.organisation, err = newOrganisation(ctx, i.base)
	s.later(s.organisation.close)
	if err != nil {
		return i, err
	}
	if err := i.apply(ctx, s.organisation.declaration()); err != nil {
		return i, err
	}
	p, err := i.start(ctx, "signpost")
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	sessions, err := s.organisation.signAllIn(ctx)
	if err != nil {
		return i, err
	}
	s.regulars = s.regulars[:0]
	for _, one := range sessions {
		s.regulars = append(s.regulars, one.broad)
	}
	forFirstSight := rate * fastestFirstSight * s.firstSightSlice().Seconds()
	forSeen := rate * fastestSeen * s.options.slice.Seconds() / (services - 1)
	s.chunk = int(max(forFirstSight, 2*forSeen)) + 2 // with Redis and without
	enough := s.chunk * (s.options.pairs + 1)
	began := time.Now()
	s.pool, err = s.organisation.refreshed(ctx, sessions, enough)
	fmt.Fprintf(notes, "the bare handler makes %.0f exchanges a second; %d broad tokens in %.0f s\n", rate, len(s.pool), time.Since(began).Seconds())
	if err != nil {
		return i, err
	}
	s.key, err = published(ctx, i.base)
	return i, err
}

// firstSightSlice is shorter, because each of its answers uses a token up.
func (s *setup) firstSightSlice() time.Duration { return s.options.slice / 2 }

// startSignposts starts Signpost anew, and beside it another one with Redis and a copy of the
// database.
func (s *setup) startSignposts(ctx context.Context, i installation, dir string) error {
	withRedis := i
	withRedis.dir = filepath.Join(dir, "second")
	if err := os.MkdirAll(withRedis.data(), 0o700); err != nil {
		return err
	}
	if err := os.CopyFS(withRedis.data(), os.DirFS(i.data())); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	var err error
	if s.plain, err = s.startSignpost(ctx, i, "signpost"); err != nil {
		return err
	}
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") != "true" {
		s.unmeasured = append(s.unmeasured, pathWithRedis+" (there is no redis-server)")
		return nil
	}
	redis, err := backends.StartRedis(withRedis.dir)
	if err != nil {
		return err
	}
	s.later(redis.Close)
	withRedis.redis = redis.URL
	if withRedis.listen, err = freeAddress(ctx); err != nil {
		return err
	}
	s.shared, err = s.startSignpost(ctx, withRedis, "signpost with Redis")
	return err
}

func (s *setup) startSignpost(ctx context.Context, i installation, name string) (*target, error) {
	p, err := i.start(ctx, name)
	if err != nil {
		return nil, err
	}
	s.later(p.stop)
	return &target{p, s.options.connections}, nil
}

// prepareQuestions makes the requests whose right answer is always the same.
func (s *setup) prepareQuestions(ctx context.Context) (err error) {
	host := strings.TrimPrefix(s.organisation.base, "http://")
	narrow, err := learn(ctx, s.plain, s.each(func(one subject) []byte {
		e := s.exchanges([]subject{one}, places()[:1])
		return e.request(nil, 0)
	}), s.exchanges(s.regulars, places()[:1]).study)
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	basic := base64.StdEncoding.EncodeToString([]byte(resourceServer + ":" + s.organisation.serverSecret))
	var introspect [][]byte
	for _, body := range narrow.right {
		var a tokenAnswer
		if err := json.Unmarshal(body, &a); err != nil {
			return err
		}
		form := "token=" + a.AccessToken
		introspect = append(introspect, fmt.Appendf(nil, "POST /introspect HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
			host, basic, len(form), form))
	}
	if s.introspect, err = learn(ctx, s.plain, introspect, s.introspected); err != nil {
		return fmt.Errorf("introspect: %w", err)
	}
	if s.configure, err = learn(ctx, s.plain, s.each(func(one subject) []byte {
		return fmt.Appendf(nil, "GET /configuration HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", host, one.token)
	}), configured); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	for path, questions := range map[string]**questions{pathVerify: &s.verify, pathActive: &s.active} {
		*questions, err = learn(ctx, s.bare, s.each(func(one subject) []byte {
			return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, host, one.token)
		}), func(_ int, body []byte) error {
			if string(body) != bareActive {
				return errWrong
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each makes a request of every regular's token.
func (s *setup) each(request func(subject) []byte) (all [][]byte) {
	for _, one := range s.regulars {
		all = append(all, request(one))
	}
	return all
}

// introspected checks what a resource server is told of a regular's token (RFC 7662, section 2.2).
func (s *setup) introspected(n int, body []byte) error {
	var a struct {
		Active   bool   `json:"active"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Scope    string `json:"scope"`
		ClientID string `json:"client_id"`
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	if p := places()[0]; !a.Active || a.Subject != s.regulars[n].person || a.Audience != p.audience || a.Scope != p.scope || a.ClientID != client {
		return errWrong
	}
	return nil
}

// configured checks that the document names every service.
func configured(_ int, body []byte) error {
	if !json.Valid(body) {
		return fmt.Errorf("%w: no JSON", errWrong)
	}
	for _, p := range places() {
		if !strings.Contains(string(body), p.audience) {
			return fmt.Errorf("%w: without %s", errWrong, p.audience)
		}
	}
	return nil
}
