package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

func (p *program) explain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain --account ADDRESS --client ID --service ID",
		Short: "Say why a person gets a token for a service, or gets none",
		Long: `Explain replays what a running service would decide now for a person, a program
and a service: every rule that is asked in its order, which one decides, and what would
have to change. It takes the person's newest sign-in with the program that lives, and
supposes one if there is none. It makes no token, changes nothing and records nothing.
The exit code is 0 if it is allowed and 1 if it is refused.`,
		Example: `  signpost explain --account alice@example.com --client open --service imap
  signpost explain --account alice@example.com --client open --service files --way app-password --json`,
	}
	load := p.settings(c, "base_url", "data_dir", "database_url_file", "secret_key_file")
	var o service.ExplainOptions
	c.Flags().StringVar(&o.Account, "account", "", "address, login name or id of the person (required)")
	c.Flags().StringVar(&o.Client, "client", "", "id of the program (required)")
	c.Flags().StringVar(&o.Service, "service", "", "id or audience of the service (required)")
	c.Flags().StringVar(&o.Tenant, "tenant", "", "tenant of the person; needed only if several have the account")
	c.Flags().StringVar(&o.Scope, "scope", "", "scope that the program asks for; without it, what the service needs")
	c.Flags().StringVar(&o.Way, "way", "exchange", "how it asks: exchange, refresh or app-password")
	asJSON := c.Flags().Bool("json", false, "print JSON for programs")
	for _, name := range []string{"account", "client", "service"} {
		_ = c.MarkFlagRequired(name) // fails only for a flag that is not there
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		explained, err := service.Explain(c.Context(), config, o)
		if err != nil {
			return explainHint(err)
		}
		print := printExplained
		if *asJSON {
			print = printExplainedJSON
		}
		if err := print(p.stdout, explained); err != nil {
			return err
		}
		if !explained.Allowed() {
			return failed{}
		}
		return nil
	}
	return c
}

// explainHint adds what to do to an error.
func explainHint(err error) error {
	switch {
	case errors.Is(err, service.ErrWay):
		return usage{withHint(err, "known are exchange, refresh and app-password")}
	case errors.Is(err, service.ErrScope):
		return usage{withHint(err, "words with one space between them, as the scope document has them")}
	case errors.Is(err, service.ErrSeveralAccounts):
		return withHint(err, "name one with --tenant")
	}
	return grantsHint(err)
}

// verdict is the first line for people.
func verdict(e service.Explained) string {
	switch {
	case e.NoClient:
		return "refused: there is no such client here, or it is switched off (invalid_client)"
	case e.Allowed():
		return "allowed by rule " + e.Decision.Rule
	}
	return fmt.Sprintf("refused by rule %s (%s)", e.Decision.Rule, e.Decision.Refusal.Code)
}

// printExplained prints an explanation for people.
func printExplained(w io.Writer, e service.Explained) error {
	signIn := e.Grant
	if signIn == "" {
		signIn = "none lives, one is supposed"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n\n", verdict(e))
	for _, line := range [][2]string{
		{"tenant", e.Tenant}, {"account", e.Account}, {"client", shortened(e.Client)}, {"service", e.Service}, {"way", e.Way}, {"sign-in", signIn},
	} {
		fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
	}
	fmt.Fprintln(t)
	for _, s := range e.Steps {
		mark := "no"
		if s.Holds {
			mark = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", mark, s.Rule, s.Why)
	}
	fmt.Fprintln(t)
	for _, line := range made(e) {
		fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
	}
	if e.Change != "" {
		fmt.Fprintf(t, "to change\t%s\n", e.Change)
	}
	if e.NoClient {
		fmt.Fprintln(t, "to change\tthe tenant declares the client, or its policy admits it")
	}
	for _, sentence := range e.Supposed {
		fmt.Fprintf(t, "note\t%s\n", sentence)
	}
	return t.Flush()
}

// made says what would be made, by name and value: nothing if it is refused.
func made(e service.Explained) [][2]string {
	if !e.Allowed() {
		return nil
	}
	c := e.Decision.Claims
	lines := [][2]string{{"audience", strings.Join(c.Audience, " ")}, {"scope", c.Scope}, {"login name", c.Username}}
	if c.ExpiresAt.IsZero() {
		return append(lines, [2]string{"lives", "until somebody ends it"})
	}
	bound := "no"
	if c.Key != "" {
		bound = "yes"
	}
	return append(lines, [2]string{"lives for", c.ExpiresAt.Sub(c.IssuedAt).String()}, [2]string{"profile", e.Decision.Profile}, [2]string{"bound", bound})
}

// printExplainedJSON prints the same for programs.
func printExplainedJSON(w io.Writer, e service.Explained) error {
	type step struct {
		Rule  string `json:"rule"`
		Holds bool   `json:"holds"`
		Why   string `json:"why"`
	}
	type token struct {
		Audience  []string `json:"audience"`
		Scope     string   `json:"scope"`
		Username  string   `json:"username"`
		ExpiresIn int64    `json:"expires_in,omitempty"` // seconds
		Profile   string   `json:"profile,omitempty"`
		Bound     bool     `json:"bound"`
	}
	document := struct {
		Allowed     bool     `json:"allowed"`
		Rule        string   `json:"rule"`
		Error       string   `json:"error,omitempty"`
		Tenant      string   `json:"tenant"`
		Account     string   `json:"account_id"`
		Client      string   `json:"client_id"`
		ClientKnown bool     `json:"client_known"`
		Service     string   `json:"service"`
		Way         string   `json:"way"`
		Grant       string   `json:"grant,omitempty"` // none: one is supposed
		Steps       []step   `json:"steps"`
		Change      string   `json:"change,omitempty"`
		Supposed    []string `json:"supposed"`
		Token       *token   `json:"token,omitempty"`
	}{
		Allowed: e.Allowed(), Rule: e.Decision.Rule, Tenant: e.Tenant, Account: e.Account, Client: e.Client, ClientKnown: !e.NoClient,
		Service: e.Service, Way: e.Way, Grant: e.Grant, Steps: []step{}, Change: e.Change, Supposed: append([]string{}, e.Supposed...),
	}
	for _, s := range e.Steps {
		document.Steps = append(document.Steps, step(s))
	}
	d := e.Decision
	switch {
	case e.NoClient:
		document.Error = "invalid_client"
	case d.Refusal != nil:
		document.Error = d.Refusal.Code
	}
	if e.Allowed() {
		document.Token = &token{Audience: d.Claims.Audience, Scope: d.Claims.Scope, Username: d.Claims.Username, Profile: d.Profile, Bound: d.Claims.Key != ""}
		if !d.Claims.ExpiresAt.IsZero() {
			document.Token.ExpiresIn = int64(d.Claims.ExpiresAt.Sub(d.Claims.IssuedAt).Seconds())
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
