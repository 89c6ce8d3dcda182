package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"signpost/internal/demo/idp"
)

// What is declared.
const (
	tenant         = "bench"
	client         = "bench"
	provider       = "staff"
	resourceServer = "files-server"
	people         = 4
	services       = 12
)

// place is a service that tokens are exchanged for.
type place struct{ audience, scope string }

// places are the services, of four kinds in turn.
func places() (all []place) {
	scopes := []string{
		"urn:signpost:scope:files", "urn:ietf:params:oauth:scope:calendars",
		"urn:ietf:params:oauth:scope:contacts", "urn:signpost:scope:chat",
	}
	for n := range services {
		all = append(all, place{audience: fmt.Sprintf("https://service%d.example.test/", n), scope: scopes[n%len(scopes)]})
	}
	return all
}

// protocols of the places, in the same order.
func protocols() []string { return []string{"webdav", "caldav", "carddav", "webdav"} }

// organisation is what a Signpost serves: one tenant with its identity provider and a program.
type organisation struct {
	base     string // URL of Signpost
	provider *http.Server
	issuer   string // of the identity provider
	program  *http.Server
	redirect string // where people are sent back to

	clientSecret string // of Signpost at the identity provider
	serverSecret string // of the resource server at Signpost
	passwords    []idp.Person
}

func newOrganisation(ctx context.Context, base string) (o *organisation, err error) {
	o = &organisation{base: base, clientSecret: rand.Text(), serverSecret: rand.Text() + rand.Text()}
	for n := range people {
		name := fmt.Sprintf("person%d", n)
		o.passwords = append(o.passwords, idp.Person{
			Subject: "subject-" + name, Username: name, Address: name + "@example.test", Name: name, Password: rand.Text(),
		})
	}
	listener, err := listen(ctx)
	if err != nil {
		return o, err
	}
	o.issuer = "http://" + listener.Addr().String()
	handler, err := idp.New(idp.Config{
		Name: provider, Title: "Staff", Issuer: o.issuer, ClientID: "signpost", ClientSecret: o.clientSecret,
		RedirectURI: base + "/callback/" + provider, People: o.passwords, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		return o, errors.Join(err, listener.Close())
	}
	o.provider = serve(listener, handler)
	if listener, err = listen(ctx); err != nil {
		return o, err
	}
	o.redirect = "http://" + listener.Addr().String() + "/cb"
	o.program = serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "you may close this window")
	}))
	return o, nil
}

func (o *organisation) close() (err error) {
	for _, s := range []*http.Server{o.provider, o.program} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

func listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", "127.0.0.1:0")
}

func serve(l net.Listener, h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	go func() { _ = s.Serve(l) }() // ends with Close
	return s
}

// declaration is the YAML of the tenant.
func (o *organisation) declaration() string {
	var b strings.Builder
	fmt.Fprintf(&b, `tenants:
  - name: %s
    issuer: base
    title: Bench
    domains: [example.test]
    clients:
      fixed:
        - {id: %s, name: Bench, redirect_uris: [%q], id_token_algorithm: ES256}
    identity_providers:
      - {name: %s, title: Staff, issuer: %q, client_id: signpost, client_secret: %q, scopes: [openid, profile, email], address_trust: email_verified}
    resource_servers:
      - {name: %s, audiences: [%q], secret: %q}
    services:
`, tenant, client, o.redirect, provider, o.issuer, o.clientSecret, resourceServer, places()[0].audience, o.serverSecret)
	for n, p := range places() {
		fmt.Fprintf(&b, "      - {id: service%d, protocol: %s, title: Service %d, endpoints: [{url: %q}], scopes: [%q]}\n",
			n, protocols()[n%len(protocols())], n, p.audience, p.scope)
	}
	return b.String()
}

// installation is how one Signpost is run.
type installation struct {
	binary  string
	base    string
	listen  string
	dir     string // data and log
	secret  string // that seals
	redis   string // URL, empty without
	measure cores
}

// newSecret is a key that seals.
func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return base64.StdEncoding.EncodeToString(key)
}

// env is all that is not as it is by default. The limits are on, and high enough for one address
// to ask for everybody.
func (i installation) env() []string {
	env := []string{
		"HOME=" + i.dir, "SIGNPOST_DATA_DIR=" + i.data(), "SIGNPOST_BASE_URL=" + i.base, "SIGNPOST_LISTEN=" + i.listen,
		"SIGNPOST_SECRET_KEY=" + i.secret, "SIGNPOST_REQUESTS_PER_MINUTE=10000000",
	}
	if i.redis != "" {
		env = append(env, "SIGNPOST_REDIS_URL="+i.redis)
	}
	return env
}

func (i installation) data() string { return filepath.Join(i.dir, "data") }

// apply declares the tenant.
func (i installation) apply(ctx context.Context, declaration string) error {
	file := filepath.Join(i.dir, "tenants.yaml")
	if err := os.WriteFile(file, []byte(declaration), 0o600); err != nil {
		return err
	}
	apply := exec.CommandContext(ctx, i.binary, "apply", "-f", file)
	apply.Env = i.env()
	if said, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("apply: %w\n%s", err, said)
	}
	return nil
}

// start runs "signpost serve" and returns when it answers.
func (i installation) start(ctx context.Context, name string) (*process, error) {
	p, err := start(i.measure, name, filepath.Join(i.dir, "log"), i.env(), nil, i.binary, "serve")
	if err != nil {
		return nil, err
	}
	p.address = i.listen
	probe := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.listen+"/jwks", nil)
		if err != nil {
			return nil, errors.Join(err, p.stop())
		}
		if base, err := url.Parse(i.base); err == nil {
			req.Host = base.Host
		}
		res, err := probe.Do(req)
		if err == nil {
			_ = res.Body.Close() // only the status counts
			if res.StatusCode == http.StatusOK {
				return p, nil
			}
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not answer: %w\n%s", name, err, p.tail()), p.stop())
		case <-tick.C:
		}
	}
}

// freeAddress is one at which nobody listens now.
func freeAddress(ctx context.Context) (string, error) {
	l, err := listen(ctx)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// build builds the program to measure.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "signpost")
	if said, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "signpost/cmd/signpost").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build signpost: %w\n%s", err, said)
	}
	return binary, nil
}
