package faults

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/idptest"
	"signpost/test/backends"
)

// The people whom the identity provider knows.
const (
	alice = "alice@example.test"
	bob   = "bob@example.test"
)

// world is two replicas behind a proxy, with everything they need.
type world struct {
	*testing.T
	proxy    *proxy
	first    *replica
	second   *replica
	postgres *backends.Server // nil unless it is the world's own
	redis    *backends.Server
	idp      *idptest.Provider
	env      map[string]string
}

// needs are what a world has that others have not.
type needs struct {
	ownPostgres bool              // one that may be killed
	settings    map[string]string // variables of the replicas
}

// newWorld starts everything and declares a tenant. The replicas start at the same
// moment on an empty database.
func newWorld(t *testing.T, n needs) *world {
	t.Helper()
	w := emptyWorld(t, n)
	w.startBoth()
	w.apply(w.declaration())
	w.serves(webfinger(alice))
	return w
}

// emptyWorld starts everything but the replicas.
func emptyWorld(t *testing.T, n needs) *world {
	t.Helper()
	if !wanted() {
		t.Skip("starts PostgreSQL, Redis and processes; make test-all runs this")
	}
	w := &world{T: t, proxy: newProxy(t), idp: idptest.Start(t), redis: startRedis(t)}
	w.idp.AddPerson(idptest.Person{Subject: "a1", Name: "Alice Example", Email: alice, EmailVerified: true, Login: "alice"})
	w.idp.AddPerson(idptest.Person{Subject: "b2", Name: "Bob Example", Email: bob, EmailVerified: true, Login: "bob"})
	w.idp.SignInAs("a1")
	if n.ownPostgres {
		w.postgres = startPostgres(t)
		w.env = w.variables(w.postgres.URL)
	} else {
		w.env = w.variables(backends.Postgres(t))
	}
	maps.Copy(w.env, n.settings)
	t.Cleanup(w.checkLogs) // runs when the replicas have ended
	w.first, w.second = newReplica(t, "first", w.env), newReplica(t, "second", w.env)
	w.proxy.replicas = []*replica{w.first, w.second}
	return w
}

// variables are the environment of every replica. What is secret in it is looked
// for in the logs as what passes the proxy is.
func (w *world) variables(database string) map[string]string {
	w.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	secretKey := base64.StdEncoding.EncodeToString(key)
	parsed, err := url.Parse(database)
	w.must(err)
	password, _ := parsed.User.Password()
	w.proxy.secrets.add("secret key", secretKey)
	w.proxy.secrets.add("client secret", w.idp.ClientSecret)
	w.proxy.secrets.add("password of the database", password)
	return map[string]string{
		"PATH":                         os.Getenv("PATH"),
		"HOME":                         w.TempDir(),
		"SIGNPOST_BASE_URL":            w.proxy.URL,
		"SIGNPOST_DATABASE_URL":        database,
		"SIGNPOST_REDIS_URL":           w.redis.URL,
		"SIGNPOST_SECRET_KEY":          secretKey,
		"SIGNPOST_LOG_FORMAT":          "json",
		"SIGNPOST_LOG_LEVEL":           "debug",
		"SIGNPOST_REQUESTS_PER_MINUTE": "1000000",
	}
}

func (w *world) startBoth() {
	w.Helper()
	for _, r := range w.proxy.replicas {
		r.start(w)
	}
	for _, r := range w.proxy.replicas {
		r.await(w)
	}
}

// declaration is the YAML of the tenant at the base URL.
func (w *world) declaration() string {
	return fmt.Sprintf(`tenants:
  - name: example
    issuer: base
    title: Example Organisation
    domains: [example.test]
    identity_providers:
      - {name: staff, title: Example staff, issuer: %q, client_id: %q, client_secret: %q, scopes: [openid, profile, email], address_trust: email_verified}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}], scopes: ["urn:ietf:params:oauth:scope:mail"], in_broad: false}
      - {id: calendar, protocol: caldav, title: Calendar, endpoints: [{url: "https://dav.example.test/calendars/"}], scopes: ["urn:ietf:params:oauth:scope:calendars"]}
`, w.idp.Issuer, w.idp.ClientID, w.idp.ClientSecret)
}

// apply runs "signpost apply" beside the replicas.
func (w *world) apply(declaration string) {
	w.Helper()
	dir := w.TempDir()
	file := filepath.Join(dir, "tenants.yaml")
	if err := os.WriteFile(file, []byte(declaration), 0o600); err != nil {
		w.Fatal(err)
	}
	apply := exec.Command(os.Getenv(binaryVariable), "apply", "-f", file)
	for name, value := range w.env {
		apply.Env = append(apply.Env, name+"="+value)
	}
	apply.Env = append(apply.Env, "SIGNPOST_DATA_DIR="+dir)
	if out, err := apply.CombinedOutput(); err != nil {
		w.Fatalf("apply: %v\n%s", err, out)
	}
}

// serves waits until both replicas answer a path. That is how to wait for a new
// tenant, whose keys must be made: no promise says how long that takes.
func (w *world) serves(path string) {
	w.Helper()
	for _, c := range w.both() {
		eventually(w, c.String()+" answers "+path, patience, func() bool { return c.get(path).status == http.StatusOK })
	}
}

// within is how soon a replica knows what another one, or an administrator, did (R26).
const within = time.Second

// seen waits until both replicas answer as something was changed a moment ago, and
// fails the test when one of them takes longer than it is promised.
func (w *world) seen(what string, by func(caller) bool) {
	w.Helper()
	var asks []func()
	for _, r := range w.proxy.replicas {
		asks = append(asks, func() {
			took, ok := awaited(within, func() bool { return by(w.at(r)) })
			if !ok {
				w.Errorf("replica %s does not see %s within %v", r.name, what, within)
			}
			w.Logf("replica %s sees %s after %v", r.name, what, took)
		})
	}
	atOnce(asks...)
}

// checkLogs looks at the end of each test for what must never happen: an answer
// 500, a request that got lost, a line that is no JSON, a panic, and anybody's secrets.
func (w *world) checkLogs() {
	for _, fault := range w.proxy.blamed() {
		w.Error(fault)
	}
	values := w.proxy.secrets.values()
	for _, r := range w.proxy.replicas {
		w.checkForm(r)
		wrote := r.log.String() + r.out.String()
		for value, kind := range values {
			if at := strings.Index(wrote, value); at >= 0 {
				w.Errorf("replica %s wrote a secret (%s) into its log: %s", r.name, kind, lineAt(wrote, at))
			}
		}
	}
	if !w.Failed() {
		return
	}
	for _, r := range w.proxy.replicas {
		w.Logf("log of replica %s:\n%s%s", r.name, r.out.String(), r.tail())
	}
}

// checkForm checks that each line of a log is what programs can read.
func (w *world) checkForm(r *replica) {
	for line := range strings.Lines(r.log.String()) {
		var entry struct{ Msg string }
		switch err := json.Unmarshal([]byte(line), &entry); {
		case err != nil:
			w.Errorf("replica %s wrote a line that is no JSON: %s", r.name, line)
		case entry.Msg == "panic":
			w.Errorf("replica %s panicked: %s", r.name, line)
		}
	}
}

// lineAt is the line of a text around a position.
func lineAt(text string, at int) string {
	begin := strings.LastIndexByte(text[:at], '\n') + 1
	line, _, _ := strings.Cut(text[begin:], "\n")
	return line
}

// both are the callers of each replica, one after the other.
func (w *world) both() []caller {
	var all []caller
	for _, r := range w.proxy.replicas {
		all = append(all, w.at(r))
	}
	return all
}

// must fails the test for an error that is no finding.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func startPostgres(t testing.TB) *backends.Server {
	t.Helper()
	s, err := backends.StartPostgres(t.TempDir(), backends.Durable) // what was committed outlives it
	return kept(t, s, err)
}

func startRedis(t testing.TB) *backends.Server {
	t.Helper()
	s, err := backends.StartRedis(t.TempDir())
	return kept(t, s, err)
}

// kept closes a server when the test ends.
func kept(t testing.TB, s *backends.Server, err error) *backends.Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
