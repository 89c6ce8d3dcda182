package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"signpost/directory"
	"signpost/internal/demo"
	"signpost/internal/demo/stage"
)

// walker is whose way "demo --walk" walks.
const walker = "alice@example.test"

type demoOptions struct {
	port         int
	dir          string
	walk, asJSON bool
	verbose      bool
}

func (p *program) demo() *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start everything on this machine: Signpost, identity providers, mail, calendar, contacts, files",
		Long: `Demo starts Signpost with two organisations, an identity provider for each, and an IMAP, a
submission, a CalDAV, a CardDAV and a WebDAV server, all on 127.0.0.1, and shows how
to try it by hand. DIR/demo.json appears when everything is up; it holds addresses, ports and
the people's passwords.

With --walk it then goes the whole way as a client would, reads mail, calendar,
contacts and files with one sign-in, tries at each service what must be refused,
and ends with exit code 0 if all of it holds.

Signpost keeps its data in DIR and in memory. Where SIGNPOST_DATABASE_URL is set it keeps them
in that PostgreSQL database, which must be empty, and where SIGNPOST_REDIS_URL is set in
that Redis. No other setting of the server counts here.`,
	}
	c.Flags().IntVar(&o.port, "port", 8480, "port of Signpost; if it is taken, the next free one")
	c.Flags().StringVar(&o.dir, "dir", "", "folder for all data (default: a temporary one, removed at the end)")
	c.Flags().BoolVar(&o.walk, "walk", false, "walk the whole way, then stop")
	c.Flags().BoolVar(&o.asJSON, "json", false, "with --walk: print the report as JSON and nothing else")
	c.Flags().BoolVar(&o.verbose, "verbose", false, "log what the servers do")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.asJSON && !o.walk {
			return usage{withHint(errors.New("--json goes with --walk"), "signpost demo --walk --json")}
		}
		if o.port < 0 || o.port > 65535 {
			return usage{withHint(errors.New("--port is not a port"), "choose one from 1 to 65535, or 0 for any")}
		}
		return p.runDemo(c.Context(), o)
	}
	return c
}

func (p *program) runDemo(ctx context.Context, o demoOptions) (err error) {
	dir, remove, err := demoDir(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(p.stderr, nil))
	}
	s, err := stage.Start(ctx, stage.Options{
		Port: o.port, Dir: dir, Log: log,
		DatabaseURL: p.secret("SIGNPOST_DATABASE_URL"), RedisURL: p.secret("SIGNPOST_REDIS_URL"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	file, err := s.World.Description().WriteFile(dir)
	if err != nil {
		return err
	}
	if o.walk {
		return p.walkDemo(ctx, s, o.asJSON)
	}
	p.showDemo(s, file)
	<-ctx.Done()
	return nil
}

// secret returns a variable of the environment, or nothing.
func (p *program) secret(name string) directory.Secret {
	for _, variable := range p.env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return directory.Secret(value)
		}
	}
	return ""
}

// demoDir makes the folder for the demo's data, for its owner alone, and returns how
// to remove it. A folder that was named stays.
func demoDir(named string) (dir string, remove func() error, err error) {
	if named == "" {
		dir, err = os.MkdirTemp("", "signpost-demo-") // 0700
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	dir, err = filepath.Abs(named)
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", nil, withHint(fmt.Errorf("others may look into %s, and the demo keeps passwords there", dir), "chmod 700 "+dir)
	}
	// An old demo.json would say that the demo is up before it is.
	if err := os.Remove(filepath.Join(dir, demo.FileName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", nil, err
	}
	return dir, func() error { return nil }, nil
}

func (p *program) walkDemo(ctx context.Context, s *stage.Stage, asJSON bool) error {
	out := p.stdout
	if asJSON {
		out = io.Discard
	}
	report, err := s.Walk(ctx, demo.WalkOptions{Address: walker, Out: out})
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(p.stdout, report); err != nil {
			return err
		}
	}
	if report.OK {
		return nil
	}
	for _, failure := range report.Failures {
		fmt.Fprintf(p.stderr, "signpost: %s\n", failure)
	}
	return failed{}
}

// showDemo says how to try it by hand.
func (p *program) showDemo(s *stage.Stage, file string) {
	w := p.stdout
	verifier := rand.Text() + rand.Text()
	d := s.World.Description()
	fmt.Fprintf(w, "Signpost is up at %s, with two organisations. People who can sign in:\n\n", d.BaseURL)
	for _, person := range d.People {
		fmt.Fprintf(w, "  %-20s  user name %-6s  password %s\n", person.Address, person.Username, person.Password)
	}
	fmt.Fprintf(w, "\nServices of example.test, each with an audience of its own:\n\n")
	for _, service := range d.Services {
		at := service.URL
		if at == "" {
			at = fmt.Sprintf("%s:%d", service.Host, service.Port)
		}
		fmt.Fprintf(w, "  %-11s  %-10s  %-26s  %s\n", service.ID, service.Protocol, at, service.Audience)
	}
	fmt.Fprintf(w, `
Try it:

  curl '%[1]s/.well-known/webfinger?resource=acct:alice@example.test'
  curl '%[1]s/.well-known/oauth-authorization-server'
  curl '%[1]s/scopes'
  SIGNPOST_SERVER=%[1]s go run ./cmd/signpost discover alice@example.test

In a browser, sign in as alice and allow it:

  %[2]s

The browser is then sent to a program on this machine that is not there. Its address bar shows the
code; it works once and for ten minutes:

  curl '%[1]s/token' -d grant_type=authorization_code -d client_id=open \
    -d redirect_uri=%[3]s -d code_verifier=%[4]s -d code=THE-CODE

With the access token that comes: curl -H 'Authorization: Bearer TOKEN' '%[1]s/configuration'

All of it, for programs: %[5]s
Ctrl-C stops everything.
`, d.BaseURL, browserLink(d.BaseURL, verifier), nobody, verifier, file)
}

// nobody is where the browser of somebody who tries the demo by hand is sent to.
const nobody = "http://127.0.0.1:49152/nobody-listens-here"

// browserLink is an authorization request that a person can open by hand.
func browserLink(base, verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base + "/authorize?" + url.Values{
		"client_id": {"open"}, "response_type": {"code"}, "redirect_uri": {nobody},
		"scope":          {"openid offline_access urn:ietf:params:oauth:scope:mail"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"login_hint": {walker},
	}.Encode()
}
