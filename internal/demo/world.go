// Package demo is the world around Signpost on one machine: two organisations'
// identity providers, five services with five audiences, and people with mail,
// events, contacts and files, all on loopback ports and made from public
// libraries. Signpost itself is not in it: whoever starts the demo applies the
// world's Declaration to a running Signpost and puts the world's recorder before
// it. Walk then goes the whole way as a program on somebody's device would, and
// counts. Sub-packages: idp, groupware, recorder, connect.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"signpost/internal/demo/groupware"
	"signpost/internal/demo/idp"
	"signpost/internal/demo/recorder"
)

const loopback = "127.0.0.1"

// Options say where a world is.
type Options struct {
	Base   string           // base URL of Signpost: "http://127.0.0.1:8480"
	Dir    string           // a folder of the world's own, 0700: files and demo.json
	Logger *slog.Logger     // everything the world logs; no passwords, no tokens
	Now    func() time.Time // the clock; nil means time.Now

	// Insecure switches checks of single services off, by service id. For tests
	// only: they show that Walk notices.
	Insecure map[string]Insecure
}

// Insecure says which checks of a token a service leaves out.
type Insecure = groupware.Insecure

// World is what the demo starts beside Signpost.
type World struct {
	base     string
	dir      string
	logger   *slog.Logger
	people   []Person
	idps     []identityProvider
	services []*service
	spool    *groupware.Spool
	recorder *recorder.Recorder

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// NewWorld opens every port and starts the identity providers. The services'
// ports are open but silent until Serve. Close the world when it is no longer
// needed, and after ctx ended.
func NewWorld(ctx context.Context, o Options) (_ *World, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &World{base: strings.TrimSuffix(o.Base, "/"), dir: o.Dir, logger: o.Logger, spool: &groupware.Spool{}}
	w.ctx, w.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	w.people = newPeople()
	var passwords []string
	for _, p := range w.people {
		passwords = append(passwords, p.Password)
	}
	w.recorder = recorder.New(passwords...)
	if w.services, err = openServices(w.ctx, o); err != nil {
		return nil, err
	}
	if err := w.startIdentityProviders(o); err != nil {
		return nil, err
	}
	return w, nil
}

// Serve starts the services. They trust the issuer, which is the one of the
// tenant "example" and may come up later: its keys are fetched when the first
// token comes.
func (w *World) Serve(issuer string) error {
	if err := w.fill(issuer); err != nil {
		return err
	}
	for _, s := range w.services {
		w.run(s.ID, func() error { return s.server.Serve(w.ctx, s.listener) })
	}
	return nil
}

// Record puts the recorder before a handler, which has to be Signpost's: it
// looks for everybody's password in each request.
func (w *World) Record(next http.Handler) http.Handler { return w.recorder.Wrap(next) }

// PasswordsSeen returns how often the recorder found a password.
func (w *World) PasswordsSeen() int64 { return w.recorder.Seen() }

// SignIns returns how often somebody signed in at any of the identity providers.
func (w *World) SignIns() int64 {
	var n int64
	for _, p := range w.idps {
		n += p.provider.SignIns()
	}
	return n
}

// Close stops everything and waits for it.
func (w *World) Close() {
	w.cancel()
	for _, s := range w.services {
		s.listener.Close()
	}
	w.running.Wait()
}

// run keeps a server going until the world ends.
func (w *World) run(name string, serve func() error) {
	w.running.Go(func() {
		if err := serve(); err != nil {
			w.logger.Error("demo server stopped", "server", name, "error", err)
		}
	})
}

type identityProvider struct {
	name, tenant, title, domain string
	issuer                      string
	secret                      string // of Signpost's client
	provider                    *idp.Provider
}

const clientID = "signpost"

func (w *World) startIdentityProviders(o Options) error {
	for _, p := range []identityProvider{
		{name: "staff", tenant: tenantExample, title: "Example staff", domain: "example.test"},
		{name: "members", tenant: tenantOther, title: "Other members", domain: "other.test"},
	} {
		listener, err := listen(w.ctx)
		if err != nil {
			return err
		}
		p.issuer = "http://" + listener.Addr().String()
		p.secret = randomText()
		p.provider, err = idp.New(idp.Config{
			Name: p.name, Title: p.title, Issuer: p.issuer,
			ClientID: clientID, ClientSecret: p.secret,
			RedirectURI: w.issuer(p.tenant) + "/callback/" + p.name,
			People:      peopleAt(w.people, p.tenant),
			Logger:      o.Logger, Now: o.Now,
		})
		if err != nil {
			listener.Close()
			return fmt.Errorf("start identity provider %q: %w", p.name, err)
		}
		w.idps = append(w.idps, p)
		w.run(p.name, func() error { return w.serveHTTP(listener, p.provider) })
	}
	return nil
}

func (w *World) serveHTTP(listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(w.logger.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(w.ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// issuer returns the issuer URL of a tenant, as its placement in the declaration
// makes it.
func (w *World) issuer(tenant string) string {
	if tenant == tenantExample {
		return w.base
	}
	return w.base + "/t/" + tenant
}

func listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("open a port: %w", err)
	}
	return listener, nil
}
