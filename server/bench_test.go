package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"signpost/directory"
	"signpost/internal/servertest"
)

// The hot paths without a network, so that a profile shows what they spend their time on:
//
//	go test -run '^$' -bench ExchangeSeen -benchtime 5s -cpuprofile cpu.out ./server
//
// How fast the whole is, test/bench measures.

// benchPlaces are audiences of the services that the benchmarks exchange for.
const benchPlaces = 12

func benchPlace(n int) string { return fmt.Sprintf("https://bench%d.example.test/", n) }

// benched is a server in this process and somebody who is signed in.
type benched struct {
	*servertest.Server
	b       *testing.B
	handler http.Handler
	refresh string
}

func newBenched(b *testing.B) *benched {
	b.Helper()
	s := servertest.Start(b)
	var services strings.Builder
	for n := range benchPlaces {
		fmt.Fprintf(&services, "      - {id: bench%d, protocol: webdav, title: Files, endpoints: [{url: %q}], scopes: [%q]}\n", n, benchPlace(n), filesScope)
	}
	const before = "  - name: other\n"
	declare(b, s, withPrograms(strings.Replace(s.Declaration(), before, services.String()+before, 1)), func(now *directory.Snapshot) bool {
		r, _ := now.Realm(servertest.Tenant)
		_, ok := r.Service(benchPlace(0))
		return ok && len(r.ResourceServers) == 2
	})
	return &benched{Server: s, b: b, handler: s.Quiet(b), refresh: signedIn(b, s.URL, nil).RefreshToken}
}

// broad is a token that was not presented yet.
func (s *benched) broad() string {
	s.b.Helper()
	a := token(s.b, s.URL, refreshForm(s.refresh))
	if a.Status != http.StatusOK {
		s.b.Fatalf("refresh: %d %s", a.Status, a.Error)
	}
	s.refresh = a.RefreshToken
	return a.AccessToken
}

// posted is a request with a form.
func (s *benched) posted(path string, form url.Values) *http.Request {
	r := httptest.NewRequestWithContext(s.b.Context(), http.MethodPost, s.URL+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (s *benched) exchange(broad string, place int) *http.Request {
	return s.posted("/token", exchangeForm(broad, benchPlace(place)))
}

// serve answers a request, which must succeed.
func (s *benched) serve(r *http.Request) {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		s.b.Fatalf("%s %s: %d %s", r.Method, r.URL.Path, w.Code, w.Body)
	}
}

// BenchmarkExchangeSeen: the subject token was presented before, for another service.
func BenchmarkExchangeSeen(b *testing.B) {
	s := newBenched(b)
	const tokens = 32
	var requests []*http.Request
	b.ReportAllocs()
	for b.Loop() {
		if len(requests) == 0 {
			b.StopTimer()
			for range tokens {
				broad := s.broad()
				s.serve(s.exchange(broad, 0))
				for place := 1; place < benchPlaces; place++ {
					requests = append(requests, s.exchange(broad, place))
				}
			}
			b.StartTimer()
		}
		last := len(requests) - 1
		s.serve(requests[last])
		requests = requests[:last]
	}
}

// BenchmarkExchangeRepeated: the same subject token for the same service.
func BenchmarkExchangeRepeated(b *testing.B) {
	s := newBenched(b)
	broad := s.broad()
	b.ReportAllocs()
	for b.Loop() {
		s.serve(s.exchange(broad, 0))
	}
}

func BenchmarkConfigurationSeen(b *testing.B) {
	s := newBenched(b)
	broad := s.broad()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, s.URL+"/configuration", nil)
		r.Header.Set("Authorization", "Bearer "+broad)
		s.serve(r)
	}
}

func BenchmarkIntrospectionSeen(b *testing.B) {
	s := newBenched(b)
	narrow := token(b, s.URL, exchangeForm(s.broad(), "https://dav.example.test/calendars/")).AccessToken
	b.ReportAllocs()
	for b.Loop() {
		r := s.posted("/introspect", url.Values{"token": {narrow}})
		asDav(r)
		s.serve(r)
	}
}
