package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"signpost/internal/audit"
	"signpost/internal/cache"
	"signpost/internal/metrics"
	"signpost/oidc/issuer"
)

// What is decorated, and what is put in.
var (
	_ metrics.CacheEngine = cache.Cache(nil)
	_ cache.Cache         = metrics.CacheEngine(nil)
)

// log fails or not.
type log struct{ err error }

func (l log) Record(context.Context, audit.Event) error { return l.err }

var tokenEvent = audit.Event{
	Kind: audit.KindToken, Rule: "exchange/narrow", Outcome: audit.Allowed,
	Tenant: "secret-tenant", Account: "secret-account", Grant: "secret-grant", Service: "secret-service", RequestID: "secret-id",
}

func TestObservedLog(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	good, bad := m.ObservedLog(log{}), m.ObservedLog(log{errAway})
	for range 2 {
		if err := good.Record(t.Context(), tokenEvent); err != nil {
			t.Fatal(err)
		}
	}
	if err := good.Record(t.Context(), audit.Event{Kind: audit.KindSignInRefused, Rule: "address-taken", Outcome: audit.Refused}); err != nil {
		t.Fatal(err)
	}
	if err := bad.Record(t.Context(), tokenEvent); !errors.Is(err, errAway) {
		t.Errorf("got %v, want the error of the log", err)
	}
	expect(t, m, map[string]string{
		`signpost_audit_events_total{kind="token",outcome="allowed",rule="exchange/narrow"}`:         "2",
		`signpost_audit_events_total{kind="sign-in-refused",outcome="refused",rule="address-taken"}`: "1",
	})
	if strings.Contains(exposition(t, m), "secret-") {
		t.Error("the metrics name a tenant, an account, a grant or a service")
	}
}

// calls is the name of a count of calls.
func calls(dependency, operation, outcome string) string {
	return fmt.Sprintf("signpost_dependency_duration_seconds_count{dependency=%q,operation=%q,outcome=%q}", dependency, operation, outcome)
}

func TestCall(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	m.Call(t.Context(), metrics.Database, "ping", time.Now().Add(-time.Minute), nil)
	m.Call(t.Context(), metrics.Database, "ping", time.Now(), errAway)
	m.Call(gone, metrics.Database, "ping", time.Now(), errAway) // the client hung up
	m.Call(gone, metrics.Database, "late", time.Now(), nil)     // after the answer
	m.Call(late, metrics.Database, "late", time.Now(), errAway) // we gave up
	expect(t, m, map[string]string{
		calls("database", "ping", "ok"):       "1",
		calls("database", "ping", "error"):    "1",
		calls("database", "ping", "canceled"): "1",
		calls("database", "late", "ok"):       "1",
		calls("database", "late", "error"):    "1",
		`signpost_dependency_duration_seconds_bucket{dependency="database",operation="ping",outcome="ok",le="30"}`: "0", // it took a minute
	})
}

// everyMethod calls each method of an interface of v with zero values and a context.
func everyMethod(t testing.TB, v any, of reflect.Type) {
	t.Helper()
	for i := range of.NumMethod() {
		method := reflect.ValueOf(v).MethodByName(of.Method(i).Name)
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for j := 1; j < method.Type().NumIn(); j++ {
			arguments = append(arguments, reflect.Zero(method.Type().In(j)))
		}
		method.Call(arguments)
	}
}

// TestObservedStore: every method of the interface, also of those to come, is timed
// once, is passed on, and keeps its error.
func TestObservedStore(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	of := reflect.TypeFor[issuer.Store]()
	everyMethod(t, m.ObservedStore(failing{errAway}), of)
	if got := series(t, m, `signpost_dependency_duration_seconds_count{dependency="database"`); got != of.NumMethod() {
		t.Errorf("%d operations are timed, want the %d methods of issuer.Store, each under its own name", got, of.NumMethod())
	}
	expect(t, m, map[string]string{calls("database", "save_account", "error"): "1", calls("database", "rotate", "error"): "1"})
	if _, err := m.ObservedStore(failing{errAway}).Refresh(t.Context(), "", nil); !errors.Is(err, errAway) {
		t.Errorf("got %v, want the error of the store", err)
	}
}

// TestAnswersAreNoFailures: a store that says no, works.
func TestAnswersAreNoFailures(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	answers := []error{
		nil, issuer.ErrNotFound, issuer.ErrTaken, issuer.ErrUnvouched, issuer.ErrReplayed, issuer.ErrReused,
		fmt.Errorf("rotate: %w", issuer.ErrEnded),
	}
	for _, err := range answers {
		if _, got := m.ObservedStore(failing{err}).Rotate(t.Context(), "", issuer.Rotation{}); !errors.Is(got, err) {
			t.Errorf("got %v, want %v", got, err)
		}
	}
	expect(t, m, map[string]string{calls("database", "rotate", "ok"): fmt.Sprint(len(answers)), calls("database", "rotate", "error"): ""})
}

// failing is a store that returns one error.
type failing struct{ err error }

func (f failing) SaveAccount(context.Context, string, issuer.Account) (issuer.Account, error) {
	return issuer.Account{}, f.err
}
func (f failing) Account(context.Context, string, string) (issuer.Account, error) {
	return issuer.Account{}, f.err
}
func (f failing) AccountOf(context.Context, string, string, string) (issuer.Account, error) {
	return issuer.Account{}, f.err
}
func (f failing) AccountByName(context.Context, string, string) (issuer.Account, error) {
	return issuer.Account{}, f.err
}
func (f failing) Consent(context.Context, string, string, string) (string, error) { return "", f.err }
func (f failing) KeepConsent(context.Context, string, string, string, string, time.Time) error {
	return f.err
}
func (f failing) ForgetConsent(context.Context, string, string, string) error    { return f.err }
func (f failing) Grants(context.Context, string, string) ([]issuer.Grant, error) { return nil, f.err }
func (f failing) EndGrants(context.Context, string, string, string, string, time.Time) (int, error) {
	return 0, f.err
}
func (f failing) CreateGrant(context.Context, string, issuer.Grant, []byte) error { return f.err }
func (f failing) EndReplayed(context.Context, string, []byte, time.Time, time.Time) (bool, error) {
	return false, f.err
}
func (f failing) Grant(context.Context, string, string) (issuer.Grant, error) {
	return issuer.Grant{}, f.err
}
func (f failing) EndGrant(context.Context, string, string, string, time.Time) error { return f.err }
func (f failing) Refresh(context.Context, string, []byte) (issuer.Refresh, error) {
	return issuer.Refresh{}, f.err
}
func (f failing) Rotate(context.Context, string, issuer.Rotation) ([]byte, error) { return nil, f.err }

func TestObservedCache(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	memory := cache.NewMemory(1 << 20)
	defer memory.Close()
	c := m.ObservedCache("codes", memory)
	set := func(key string) {
		if err := c.Set(t.Context(), key, []byte("v"), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	set("a")
	for _, key := range []string{"a", "b"} {
		if value, found, err := c.Get(t.Context(), key); err != nil || found != (key == "a") || found && string(value) != "v" {
			t.Errorf("get %s: got %q %v %v", key, value, found, err)
		}
	}
	for _, want := range []bool{true, false} {
		if _, found, err := c.Take(t.Context(), "a"); err != nil || found != want {
			t.Errorf("take: got %v %v, want %v", found, err, want)
		}
	}
	expect(t, m, map[string]string{
		`signpost_cache_lookups_total{cache="codes",result="hit"}`:  "2",
		`signpost_cache_lookups_total{cache="codes",result="miss"}`: "2",
		calls("cache", "set", "ok"):                                 "1",
		calls("cache", "get", "ok"):                                 "2",
		calls("cache", "take", "ok"):                                "2",
	})
}

// TestObservedCacheTimesAll: also when the cache does not answer.
func TestObservedCacheTimesAll(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	memory := cache.NewMemory(1 << 20)
	memory.Close() // from now on it answers nobody
	of := reflect.TypeFor[cache.Cache]()
	everyMethod(t, m.ObservedCache("begun", memory), of)
	if got := series(t, m, `signpost_dependency_duration_seconds_count{dependency="cache"`); got != of.NumMethod() {
		t.Errorf("%d operations are timed, want the %d methods of cache.Cache", got, of.NumMethod())
	}
	expect(t, m, map[string]string{
		`signpost_cache_lookups_total{cache="begun",result="error"}`: "2",
		calls("cache", "allow", "error"):                             "1",
		calls("cache", "publish", "error"):                           "1",
		calls("cache", "subscribe", "error"):                         "1",
	})
}

func TestObservedTransport(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/alice/broken" {
			w.WriteHeader(http.StatusBadGateway)
		}
		if r.URL.Path == "/alice/refused" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, "answer")
	}))
	client := &http.Client{Transport: m.ObservedTransport(provider.Client().Transport)}
	ask := func(method, path, authorization string) error {
		r, err := http.NewRequestWithContext(t.Context(), method, provider.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		response, err := client.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "answer" {
			t.Errorf("%s %s: the answer is %q %v", method, path, body, err)
		}
		return nil
	}
	for _, c := range []struct{ method, path, authorization string }{
		{http.MethodGet, "/alice/.well-known/openid-configuration", ""},
		{http.MethodGet, "/alice/jwks", ""},
		{http.MethodGet, "/alice/userinfo", "Bearer x"},
		{http.MethodPost, "/alice/token", "Basic x"},
		{http.MethodPost, "/alice/refused", "Basic x"}, // an answer as good as any
		{http.MethodPost, "/alice/broken", "Basic x"},
	} {
		if err := ask(c.method, c.path, c.authorization); err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
	}
	provider.Close()
	if err := ask(http.MethodGet, "/alice/jwks", ""); err == nil {
		t.Error("a provider that is gone answers")
	}
	expect(t, m, map[string]string{
		calls("upstream", "discovery", "ok"): "1",
		calls("upstream", "keys", "ok"):      "1",
		calls("upstream", "keys", "error"):   "1",
		calls("upstream", "userinfo", "ok"):  "1",
		calls("upstream", "token", "ok"):     "2",
		calls("upstream", "token", "error"):  "1",
	})
	if strings.Contains(exposition(t, m), "alice") {
		t.Error("a path of the provider is in the metrics")
	}
}

// TestObservedTransportOfNone: nil is what http.Client means by it.
func TestObservedTransportOfNone(t *testing.T) {
	t.Parallel()
	provider := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer provider.Close()
	client := &http.Client{Transport: metrics.New("").ObservedTransport(nil)}
	response, err := client.Get(provider.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}
