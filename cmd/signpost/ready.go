package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

const (
	// readyFor is how long the whole question may take: a server that does not say
	// whether it is ready is not.
	readyFor = 5 * time.Second
	// maxReadiness bounds the answer.
	maxReadiness = 64 << 10
	// defaultOperations is where the images and the unit of this repository listen.
	defaultOperations = "127.0.0.1:9480"
)

// readiness is what /readyz answers.
type readiness struct {
	Ready  bool    `json:"ready"`
	Causes []cause `json:"causes"`
}

// cause is how one part is.
type cause struct {
	Part  string    `json:"part"`
	State string    `json:"state"`
	Since time.Time `json:"since"`
	Text  string    `json:"text"`
}

func (p *program) ready() *cobra.Command {
	c := &cobra.Command{
		Use:   "ready",
		Short: "Say whether a running server is ready, and what keeps it from it",
		Long: `Ready asks /readyz of a running server. The exit code is 0 if it is ready and 1 if
it is not or does not answer within 5 seconds. Parts that are not well are printed,
one a line; a server without its database is ready all the same, because discovery
goes on. Ready asks the address of operations_listen, or 127.0.0.1:9480.`,
		Example: `  signpost ready
  signpost ready --url http://10.0.0.7:9480/readyz`,
	}
	load := p.settings(c, "operations_listen")
	at := c.Flags().String("url", "", "ask this URL")
	c.RunE = func(c *cobra.Command, _ []string) error {
		target := *at
		if target == "" {
			config, err := load()
			if err != nil {
				return err
			}
			target = readyURL(config.OperationsListen)
		}
		if u, err := url.Parse(target); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usage{withHint(fmt.Errorf("--url is not an http or https URL"), "write http://127.0.0.1:9480/readyz")}
		}
		r, err := askReady(c.Context(), target)
		if err != nil {
			return withHint(err, "is operations_listen set where the server runs? Its log says why it does not start")
		}
		return p.showReadiness(r)
	}
	return c
}

// readyURL returns where a server on this machine answers that listens on an
// address for operators. Whoever listens on all addresses listens on the loopback too.
func readyURL(listen string) string {
	if listen == "" {
		listen = defaultOperations
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen + "/readyz" // Load has refused it before
	}
	switch host {
	case "", netip.IPv4Unspecified().String():
		host = "127.0.0.1"
	case netip.IPv6Unspecified().String():
		host = netip.IPv6Loopback().String()
	}
	return "http://" + net.JoinHostPort(host, port) + "/readyz"
}

// askReady asks directly: a proxy of the environment is for the way out.
func askReady(ctx context.Context, target string) (readiness, error) {
	ctx, cancel := context.WithTimeout(ctx, readyFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return readiness{}, err
	}
	direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := direct.Do(req)
	if err != nil {
		return readiness{}, fmt.Errorf("not ready: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
		return readiness{}, fmt.Errorf("not ready: %s answered %d, which no /readyz does", target, res.StatusCode)
	}
	var r readiness
	if err := json.NewDecoder(io.LimitReader(res.Body, maxReadiness)).Decode(&r); err != nil {
		return readiness{}, fmt.Errorf("not ready: the answer of %s is not the JSON of /readyz: %w", target, err)
	}
	r.Ready = r.Ready && res.StatusCode == http.StatusOK
	return r, nil
}

func (p *program) showReadiness(r readiness) error {
	for _, cause := range r.Causes {
		if cause.State == "ok" {
			continue
		}
		since := ""
		if !cause.Since.IsZero() {
			since = " since " + cause.Since.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(p.stdout, "%s: %s%s: %s\n", cause.Part, cause.State, since, cause.Text)
	}
	if !r.Ready {
		fmt.Fprintln(p.stdout, "not ready")
		return failed{}
	}
	fmt.Fprintln(p.stdout, "ready")
	return nil
}
