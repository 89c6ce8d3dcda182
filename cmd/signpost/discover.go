package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"signpost/client"
)

func (p *program) discover() *cobra.Command {
	c := &cobra.Command{
		Use:   "discover ADDRESS",
		Short: "Find out where an address signs in, and what that opens",
		Long: `Discover asks the address's domain by WebFinger, as every client would, reads the
provider's metadata and its scopes, and prints what it found. It tells the
domain the address and nothing else, and needs no password.`,
		Example: `  signpost discover alice@example.com
  signpost discover --server http://127.0.0.1:8480 alice@example.test`,
		Args: cobra.ExactArgs(1),
	}
	server := c.Flags().String("server", "", "ask this server instead of the address's domain (SIGNPOST_SERVER)")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		at, from := *server, "--server"
		if at == "" {
			at, _ = p.lookup("SIGNPOST_SERVER")
			from = "SIGNPOST_SERVER"
		}
		if at != "" && !isServer(at) {
			return usage{withHint(fmt.Errorf("%s is not the http or https URL of a server", from), "write https://id.example.com, without a path")}
		}
		sdk := &client.Client{Server: strings.TrimSuffix(at, "/")}
		d, err := sdk.Discover(c.Context(), args[0])
		if err != nil {
			return discoverHint(err)
		}
		if *asJSON {
			return printJSON(p.stdout, found(d))
		}
		return printDiscovery(p.stdout, d)
	}
	return c
}

// isServer reports whether a URL has scheme and host and nothing else.
func isServer(at string) bool {
	u, err := url.Parse(strings.TrimSuffix(at, "/"))
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" &&
		u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == ""
}

// discoverHint says what to try.
func discoverHint(err error) error {
	switch {
	case errors.Is(err, client.ErrAddress):
		return usage{withHint(err, "an address looks like alice@example.com")}
	case errors.Is(err, client.ErrNotServed):
		return withHint(err, "check the spelling; if it is right, the domain does not publish where it signs in")
	case errors.Is(err, client.ErrInsecure):
		return withHint(err, "use https; http is for 127.0.0.1 and [::1] only")
	case errors.Is(err, client.ErrMalformed), errors.Is(err, client.ErrIssuerMismatch):
		return withHint(err, "the provider's answer cannot be trusted; tell its administrator")
	}
	return withHint(err, "check the network, or name the server with --server")
}

// discovered is what --json prints.
type discovered struct {
	Address       string   `json:"address"`
	Issuer        string   `json:"issuer"`
	ClientID      string   `json:"client_id,omitempty"`
	Scope         string   `json:"scope"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Configuration string   `json:"configuration,omitempty"`
	Services      []opened `json:"services"`
}

type opened struct {
	ID       string `json:"id"`
	Protocol string `json:"protocol"`
	Scope    string `json:"scope"`
	Audience string `json:"audience"`
}

func found(d client.Discovery) discovered {
	f := discovered{
		Address: d.Address, Issuer: d.Issuer, ClientID: d.ClientID, Scope: d.Scope,
		Authorization: d.Metadata.AuthorizationEndpoint, Token: d.Metadata.TokenEndpoint,
		Configuration: d.ConfigurationURL, Services: []opened{},
	}
	for _, s := range d.ScopeDocument.Services {
		f.Services = append(f.Services, opened{ID: s.ID, Protocol: s.Protocol, Scope: s.Scope, Audience: s.Audience})
	}
	return f
}

func printDiscovery(w io.Writer, d client.Discovery) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "address\t%s\nissuer\t%s\nclient\t%s\nscope\t%s\nconfiguration\t%s\n",
		d.Address, d.Issuer, d.ClientID, strings.ReplaceAll(d.Scope, " ", "\n\t"), d.ConfigurationURL)
	if len(d.ScopeDocument.Services) > 0 {
		fmt.Fprintln(t, "\nservice\tprotocol\taudience")
	}
	for _, s := range d.ScopeDocument.Services {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.ID, s.Protocol, s.Audience)
	}
	return t.Flush()
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
