package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pinHeader names the replica that shall answer a request; the proxy takes it off.
const pinHeader = "X-Test-Replica"

// proxy stands before the replicas as a load balancer without sticky sessions
// does: each request goes to the other one in turn. It tries the next one only when
// nobody listens at the first, because then nothing was sent.
type proxy struct {
	URL     string
	secrets *secrets

	transport *http.Transport
	mu        sync.Mutex
	replicas  []*replica
	out       map[string]bool // by name: gets no requests
	turn      int
	answered  map[string]int // by name
	faults    []string       // what must never happen
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	p := &proxy{
		secrets: &secrets{}, out: map[string]bool{}, answered: map[string]int{},
		// A connection for each request: whether an old one may still be used is not the question here.
		transport: &http.Transport{DisableKeepAlives: true},
	}
	forward := &httputil.ReverseProxy{
		Transport: p, ModifyResponse: p.learn, ErrorHandler: p.fail, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "replica"})
			r.Out.Host = r.In.Host
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.secrets.fromRequest(r, body)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// RoundTrip sends a request to a replica.
func (p *proxy) RoundTrip(req *http.Request) (*http.Response, error) {
	err := errors.New("no replica is in")
	for _, r := range p.order(req.Header.Get(pinHeader)) {
		out := req.Clone(req.Context())
		out.Header.Del(pinHeader)
		out.URL.Host = r.listen
		if out.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
		var res *http.Response
		res, err = p.transport.RoundTrip(out)
		if err == nil {
			p.mu.Lock()
			p.answered[r.name]++
			p.mu.Unlock()
			return res, nil
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("replica %s: %w", r.name, err)
		}
	}
	return nil, err
}

// order is whom to try: the one that is pinned, or all that are in, the next in turn first.
func (p *proxy) order(pinned string) []*replica {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pinned != "" {
		i := slices.IndexFunc(p.replicas, func(r *replica) bool { return r.name == pinned })
		return p.replicas[i : i+1]
	}
	p.turn++
	var order []*replica
	for i := range p.replicas {
		if r := p.replicas[(p.turn+i)%len(p.replicas)]; !p.out[r.name] {
			order = append(order, r)
		}
	}
	return order
}

// learn remembers what an answer carries. No part that is missing is an internal error.
func (p *proxy) learn(res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	p.secrets.fromResponse(res, body)
	if res.StatusCode == http.StatusInternalServerError {
		p.blame("%s %s was answered with 500: %s", res.Request.Method, res.Request.URL.Path, body)
	}
	return nil
}

// fail answers when no replica did. That is a fault unless the caller went away.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		p.blame("%s %s was not answered: %v", r.Method, r.URL.Path, err)
	}
	w.WriteHeader(http.StatusBadGateway)
}

func (p *proxy) blame(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// blamed returns what must not have happened and did.
func (p *proxy) blamed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.faults)
}

// answers returns how many requests a replica has answered.
func (p *proxy) answers(r *replica) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answered[r.name]
}

// only lets one replica have all requests.
func (p *proxy) only(in *replica) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.replicas {
		p.out[r.name] = r != in
	}
}

// all lets every replica have its turn, whether it is there or not.
func (p *proxy) all() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.out)
}

func (p *proxy) isIn(r *replica) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.out[r.name]
}

// followHealth takes replicas out that do not say they are ready, and back in when
// they do, until the test ends.
func (p *proxy) followHealth(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	for _, r := range p.replicas {
		following.Go(func() {
			tick := time.NewTicker(2 * look)
			defer tick.Stop()
			for ctx.Err() == nil {
				ready := r.ready()
				p.mu.Lock()
				p.out[r.name] = !ready
				p.mu.Unlock()
				<-tick.C
			}
		})
	}
	t.Cleanup(func() { stop(); following.Wait() })
}
