package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"signpost/client"
	"signpost/configdoc"
	"signpost/internal/demo/connect"
	"signpost/oidc"
	"signpost/scopes"
)

// WalkOptions say whose way is walked and where it is told.
type WalkOptions struct {
	World   *World
	Address string           // whose: one of the world's people at the tenant with services
	Out     io.Writer        // each step as it happens; io.Discard for silence
	Forge   Forger           // signs what the services have to refuse
	Now     func() time.Time // measures; nil means time.Now
}

// ErrWalk means that a walk could not begin, because its options do not fit. A
// walk that began and did not end well is no error: its Report says so.
var ErrWalk = errors.New("demo: the walk cannot begin")

// Walk goes the whole way over HTTP, IMAP and SMTP as a program on somebody's
// device would: discover, learn the scopes, sign in once, fetch the
// configuration, exchange, connect. Then it tries at each service the token of a
// neighbour and tokens with one thing wrong in them, which have to be refused.
// Begin it when Signpost and the world are up. Whatever does not hold is named in
// the report's Failures.
func Walk(ctx context.Context, o WalkOptions) (Report, error) {
	if o.World == nil || o.Forge == nil || o.Out == nil {
		return Report{}, fmt.Errorf("%w: World, Forge and Out are needed", ErrWalk)
	}
	person, ok := o.World.Person(o.Address)
	if !ok || person.Tenant != tenantExample {
		return Report{}, fmt.Errorf("%w: nobody with services has this address", ErrWalk)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := newWalk(o, person)
	defer w.transport.CloseIdleConnections()
	w.print.title("The way of %s, at %s", person.Address, o.World.base)
	if err := w.way(ctx); err != nil {
		w.fail("%s: %v", w.where, err)
	}
	return w.finish(), nil
}

// walk is a walk under way.
type walk struct {
	WalkOptions
	person    Person
	print     printer
	report    Report
	where     string // the group of steps, for failures
	trips     atomic.Int64
	transport *http.Transport
	signIns   int64  // before the walk
	requests  int64  // before the walk
	subject   string // of the next request, where its URL does not say it
	held      []Step // not yet shown; see discover
	hold      bool

	client    *client.Client
	program   *connect.Program
	discovery client.Discovery
	broad     client.Tokens
	found     []found
}

// found is a service of the configuration with what the walk made of it.
type found struct {
	configdoc.Service
	known *service      // the same one in the world
	token client.Tokens // narrow
}

func newWalk(o WalkOptions, person Person) *walk {
	w := &walk{WalkOptions: o, person: person, print: printer{out: o.Out}, transport: &http.Transport{}}
	w.signIns, w.requests = o.World.SignIns(), o.World.recorder.Requests()
	w.report.Steps = []Step{}
	w.client = &client.Client{HTTP: &http.Client{Timeout: patience, Transport: w.tracer()}, Server: o.World.base}
	w.program = &connect.Program{HTTP: &http.Client{Timeout: patience, Transport: w.transport}, Trips: &w.trips}
	return w
}

// patience is how long one request may take.
const patience = 20 * time.Second

func (w *walk) tracer() tracer {
	home := strings.TrimPrefix(w.World.base, "http://")
	return tracer{next: w.transport, home: home, trips: &w.trips, told: w.told, now: w.Now}
}

// way is the six steps. An error ends it.
func (w *walk) way(ctx context.Context) error {
	for _, group := range []struct {
		title string
		steps func(context.Context) error
	}{
		{"Discover", w.discover},
		{"Learn the scopes", w.learn},
		{"Sign in once", w.signIn},
		{"Fetch the configuration", w.configuration},
		{"Exchange", w.exchange},
		{"Connect", w.connect},
	} {
		w.where = strings.ToLower(group.title)
		w.print.group(group.title)
		if err := group.steps(ctx); err != nil {
			return err
		}
	}
	return nil
}

// discover asks for everything that is public, in one call. What it fetches is
// shown when it is known which of it belongs to the next group.
func (w *walk) discover(ctx context.Context) (err error) {
	w.hold = true
	w.discovery, err = w.client.Discover(ctx, w.person.Address)
	w.hold = false
	scopesURL, parseErr := url.Parse(w.discovery.ScopesURL)
	var later []Step
	for _, s := range w.held {
		if err == nil && parseErr == nil && s.Name == scopesURL.Path {
			later = append(later, s)
			continue
		}
		w.told(s)
	}
	w.held = later
	if err != nil {
		return err
	}
	w.print.note("issuer %s, client %q", w.discovery.Issuer, w.discovery.ClientID)
	if want := w.World.issuer(w.person.Tenant); w.discovery.Issuer != want {
		return fmt.Errorf("issuer %s, want %s", w.discovery.Issuer, want)
	}
	return nil
}

// learn checks that the one broad set opens each service of the world.
func (w *walk) learn(context.Context) error {
	for _, s := range w.held {
		w.told(s)
	}
	document := w.discovery.ScopeDocument
	broad, err := scopes.Parse(w.discovery.Scope)
	if err != nil {
		return err
	}
	opened := 0
	for _, s := range w.World.services {
		for _, listed := range document.Services {
			if listed.Audience == s.Audience && broad.Has(listed.Scope) {
				opened++
			}
		}
	}
	w.print.note("one set of %d scopes opens %d services", broad.Len(), opened)
	if opened != len(w.World.services) {
		return fmt.Errorf("the broad set opens %d services, want %d", opened, len(w.World.services))
	}
	return nil
}

// configuration fetches the document and finds each of the world's services in it.
func (w *walk) configuration(ctx context.Context) error {
	document, _, _, err := w.client.Document(ctx, w.discovery, w.broad.AccessToken, "")
	if err != nil {
		return err
	}
	for _, s := range document.Services() {
		known := w.World.service(s.ID)
		if known == nil || known.Audience != s.Audience {
			w.fail("configuration: %s is none of the world's services", s.ID)
			continue
		}
		w.found = append(w.found, found{Service: s, known: known})
		w.print.note("%s %s as %s", pad(s.Protocol, 12), pad(place(s), 30), s.Username)
	}
	if len(w.found) != len(w.World.services) {
		w.fail("configuration: %d services of %d", len(w.found), len(w.World.services))
	}
	return nil
}

func place(s configdoc.Service) string {
	if len(s.Endpoints) == 0 {
		return "nowhere"
	}
	if e := s.Endpoints[0]; e.URL == "" {
		return fmt.Sprintf("%s:%d", e.Host, e.Port)
	}
	return s.Endpoints[0].URL
}

// exchange trades the broad token for one of each service.
func (w *walk) exchange(ctx context.Context) error {
	for i := range w.found {
		s := &w.found[i]
		var err error
		w.subject = s.Audience
		s.token, err = w.client.Exchange(ctx, w.discovery, w.broad.AccessToken, s.Audience, "")
		if err != nil {
			w.fail("exchange: %s: %v", s.ID, err)
			continue
		}
		w.print.note("%s for %d s", s.token.Scope, s.token.ExpiresIn)
	}
	w.subject = ""
	return nil
}

// told takes what a tracer tells.
func (w *walk) told(s Step) {
	if w.hold {
		w.held = append(w.held, s)
		return
	}
	if w.subject != "" {
		s.Name += " " + w.subject
		s.Request += ", " + w.subject
	}
	s.Name = w.where + " " + s.Name
	w.step(s)
}

func (w *walk) step(s Step) {
	w.report.Steps = append(w.report.Steps, s)
	w.print.step(s)
}

// try runs something that makes its own connections and records it as a step.
// The status is that of a server that said no, or what the function returns.
func (w *walk) try(name, request string, run func() (status string, err error)) error {
	start := w.Now()
	status, err := run()
	if refused, ok := errors.AsType[*connect.Refused](err); ok {
		status = refused.Reply
	} else if err != nil {
		status = "failed"
	}
	w.step(Step{Name: name, Request: request, Status: status, MS: milliseconds(w.Now().Sub(start))})
	return err
}

func (w *walk) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.report.Failures = append(w.report.Failures, text)
	w.print.failure(text)
}

// finish reads the figures where they were counted and compares them.
func (w *walk) finish() Report {
	r := &w.report
	r.SignIns = w.World.SignIns() - w.signIns
	r.PasswordsGivenToSignpost = w.World.PasswordsSeen()
	r.RoundTrips = w.trips.Load()
	w.print.last("What was counted")
	all := len(w.World.services)
	if r.SignIns != 1 {
		w.fail("sign-ins: %d, want 1", r.SignIns)
	}
	if r.PasswordsGivenToSignpost != 0 {
		w.fail("passwords: Signpost was given %d", r.PasswordsGivenToSignpost)
	}
	if w.World.recorder.Requests() == w.requests {
		w.fail("passwords: the recorder is not before Signpost, it saw no request")
	}
	if r.ServicesConnected != all {
		w.fail("services connected: %d of %d", r.ServicesConnected, all)
	}
	if r.NeighbourTokensRefused != all {
		w.fail("neighbour's tokens refused: %d of %d", r.NeighbourTokensRefused, all)
	}
	r.OK = len(r.Failures) == 0
	w.print.summary(*r, all)
	return *r
}

// missing returns the words of the wanted scope that were not granted.
func missing(granted, wanted string) []string {
	g, err := scopes.Parse(granted)
	if err != nil {
		return []string{wanted}
	}
	want, err := scopes.Parse(wanted)
	if err != nil {
		return []string{wanted}
	}
	return want.Without(append(g.Words(), oidc.ScopeOpenID)...).Words()
}
