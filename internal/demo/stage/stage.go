// Package stage sets up the whole demo on this machine: the world of package
// demo, a Signpost that serves it, and the recorder between them. It is what
// "signpost demo" starts, and what tests of the demo start. Everything listens on
// 127.0.0.1 only.
package stage

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"signpost/directory"
	"signpost/internal/demo"
	"signpost/internal/service"
)

// Tenant is the tenant that has the services.
const Tenant = "example"

// Options say where the demo is.
type Options struct {
	Port  int    // of Signpost, or the next free one; 0 for any
	Dir   string // must exist; all data are in a new folder below it, which Close removes
	Log   *slog.Logger
	Parts service.Parts // of Signpost; the zero value is the ordinary

	// DatabaseURL and RedisURL are those of service.Config: where Signpost keeps its data
	// instead of in Dir and in memory. The database must be empty.
	DatabaseURL, RedisURL directory.Secret

	// Insecure switches checks of services off, by service id, to show that the walk notices.
	Insecure map[string]demo.Insecure
}

// Stage is a demo that is up.
type Stage struct {
	URL     string // base URL of Signpost
	World   *demo.World
	Service *service.Service

	dir    string
	stop   context.CancelFunc
	served chan error // nil until Signpost answers
}

// tries is how many ports after the wanted one are tried.
const tries = 50

// Start sets everything up and returns when everything answers. Close it.
func Start(ctx context.Context, o Options) (_ *Stage, err error) {
	listener, err := listen(ctx, o.Port)
	if err != nil {
		return nil, err
	}
	s := &Stage{URL: "http://" + listener.Addr().String()}
	// Identity providers and passwords are new each time, so the data of an earlier demo are no use.
	if s.dir, err = os.MkdirTemp(o.Dir, "run-"); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	ctx, s.stop = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, listener.Close(), s.Close())
		}
	}()
	s.World, err = demo.NewWorld(ctx, demo.Options{Base: s.URL, Dir: s.dir, Logger: o.Log, Insecure: o.Insecure})
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, o, listener.Addr().String()); err != nil {
		return nil, err
	}
	s.served = make(chan error, 1)
	go func() { s.served <- s.Service.ServeWith(ctx, listener, s.World.Record) }()
	if err := s.World.Serve(s.URL); err != nil {
		return nil, err
	}
	return s, nil
}

// open declares the world to a new Signpost, as an operator would.
func (s *Stage) open(ctx context.Context, o Options, address string) error {
	config := service.Config{
		Listen: address, BaseURL: s.URL, DataDir: filepath.Join(s.dir, "signpost"),
		LogFormat: "text", RequestsPerMinute: 6000,
		DatabaseURL: o.DatabaseURL, RedisURL: o.RedisURL,
	}
	if o.DatabaseURL != "" {
		config.SecretKey = newSecretKey()
	}
	noEnvironment := func(string) (string, bool) { return "", false }
	tenants, err := directory.Parse("demo.yaml", s.World.Declaration(), noEnvironment, os.ReadFile)
	if err != nil {
		return fmt.Errorf("declare the demo: %w", err)
	}
	if _, err := service.Apply(ctx, config, tenants, service.ApplyOptions{Prune: true}); err != nil {
		return fmt.Errorf("apply the demo: %w", err)
	}
	s.Service, err = service.Open(ctx, config, o.Log, o.Parts)
	return err
}

// newSecretKey makes a key that seals. That it is new each time also keeps the demo
// out of a database that somebody else uses: another key opens nothing there.
func newSecretKey() directory.Secret {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return directory.Secret(base64.StdEncoding.EncodeToString(key))
}

// listen takes the wanted port or one of the next ones.
func listen(ctx context.Context, port int) (net.Listener, error) {
	var last error
	for i := range tries {
		wanted := port + i
		if port == 0 {
			wanted = 0
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(wanted)))
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no free port from %d on: %w", port, last)
}

// Close stops everything, waits for it, and removes its data.
func (s *Stage) Close() error {
	s.stop()
	var err error
	if s.served != nil {
		err = <-s.served
	}
	if s.Service != nil {
		err = errors.Join(err, s.Service.Close())
	}
	if s.World != nil {
		s.World.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
