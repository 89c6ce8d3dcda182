package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

func (p *program) keys() *cobra.Command {
	c := &cobra.Command{
		Use: "keys", Short: "List, replace and export signing keys",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }, // runs, so that cobra refuses a word it does not know
	}
	c.AddCommand(p.keysList(), p.keysRotate(), p.keysExport())
	for _, sub := range c.Commands() {
		exactArgs(sub)
	}
	return c
}

func (p *program) keysList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the signing keys of tenants",
		Long: `List shows every signing key: for what it signs, its algorithm, its id ("kid") and
whether it signs, signs later, is still published although another one has taken
its place, or counts no more. Private keys are never shown.`,
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	tenant := c.Flags().String("tenant", "", "list the keys of this tenant alone")
	asJSON := c.Flags().Bool("json", false, "print JSON for programs")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		list, err := service.ListKeys(c.Context(), config, *tenant, time.Now())
		if err != nil {
			return keysHint(err)
		}
		if *asJSON {
			return printKeysJSON(p.stdout, list)
		}
		return printKeys(p.stdout, list)
	}
	return c
}

func (p *program) keysRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate --tenant NAME | --all",
		Short: "Replace signing keys, with overlap",
		Long: `Rotate makes a new key for every use and algorithm that is chosen, all if none is.
A new key is published at once and signs ten minutes later, when everybody has
fetched it; the key before it stays published until the last token that it signed
has expired. Nobody has to sign in again. A running service learns of it within a
second.

With --compromised, for a key that somebody else may have, the new key signs at
once, and every key before it is published no more: tokens that were signed by them
are refused at once.`,
		Example: `  signpost keys rotate --all
  signpost keys rotate --tenant example --use access --algorithm ES256 --compromised`,
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	var o service.RotateOptions
	c.Flags().StringVar(&o.Tenant, "tenant", "", "replace keys of this tenant")
	c.Flags().StringVar(&o.Use, "use", "", "replace only keys for this: access, id, introspection, server, or server:AUDIENCE")
	c.Flags().StringVar(&o.Algorithm, "algorithm", "", "replace only keys of this algorithm: ES256 or RS256")
	c.Flags().BoolVar(&o.Compromised, "compromised", false, "from now on nothing counts that the keys have signed")
	all := c.Flags().Bool("all", false, "replace keys of all tenants")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if (o.Tenant != "") == *all {
			return usage{withHint(errors.New("say whose keys to replace"), "give either --tenant NAME or --all")}
		}
		config, err := load()
		if err != nil {
			return err
		}
		done, err := service.RotateKeys(c.Context(), config, o)
		printRotated(p.stdout, done, o.Compromised)
		switch {
		case len(done) > 0:
			fmt.Fprint(p.stdout, rotationAdvice(o.Compromised))
		case err == nil:
			fmt.Fprintln(p.stdout, "nothing to replace: no tenant is declared")
		}
		return keysHint(err)
	}
	return c
}

// keysHint adds what to do to an error.
func keysHint(err error) error {
	switch {
	case errors.Is(err, service.ErrNoLine):
		return usage{withHint(err, "access and id have ES256 and RS256, introspection has ES256, a server with a key of its own has RS256")}
	case errors.Is(err, service.ErrNoTenant):
		return withHint(err, "\"signpost keys list\" shows every tenant that has keys")
	case errors.Is(err, service.ErrNoKeysYet):
		return withHint(err, "\"signpost serve\" makes the keys that are missing; then run this again")
	}
	return err
}

// printRotated says what was done, line by line.
func printRotated(w io.Writer, done []service.Rotated, compromised bool) {
	for _, r := range done {
		name := fmt.Sprintf("%s %s %s", r.Tenant, r.Use, r.Algorithm)
		switch {
		case r.Old == "":
			fmt.Fprintf(w, "%s: left as it is, key %s is new and signs from %s\n", name, r.New, moment(r.SignsFrom))
		case compromised:
			fmt.Fprintf(w, "%s: key %s signs now; key %s and all before it count no more\n", name, r.New, r.Old)
		default:
			fmt.Fprintf(w, "%s: key %s signs from %s; key %s is published until %s\n",
				name, r.New, moment(r.SignsFrom), r.Old, moment(r.RemovedAt))
		}
	}
}

// rotationAdvice says what is left to do for those who do not ask Signpost about
// each token.
func rotationAdvice(compromised bool) string {
	if compromised {
		return `
Signpost refuses what the old keys signed from now on. Others do not know yet:
- servers that validate tokens themselves must fetch the tenant's /jwks again now;
  restart them if they keep keys longer than five minutes
- Dovecot, and servers with a key of their own, read keys from files: run "signpost
  keys export" now where no other one watches, and then "doveadm reload"
Programs get new tokens by themselves; nobody has to sign in again.
`
	}
	return `
Servers that fetch the tenant's /jwks need nothing. Dovecot reads keys from files: run
"signpost keys export" where no other one watches, now and again when the old key is
published no more, and then "doveadm reload". A server with a key of its own needs
the new one at the moment from which it signs. "signpost keys list" shows when.
`
}

// printKeys prints a table for people.
func printKeys(w io.Writer, list []service.Key) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, `there are no keys yet: "signpost serve" makes them for every tenant`)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TENANT\tUSE\tALGORITHM\tKID\tSTATE")
	for _, k := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.Tenant, k.Use, k.Algorithm, k.ID, stateText(k))
	}
	return t.Flush()
}

func stateText(k service.Key) string {
	switch k.State {
	case "next":
		return "next, signs from " + moment(k.SignsFrom)
	case "old":
		return "old, published until " + moment(k.RemovedAt)
	}
	return k.State
}

// printKeysJSON prints the same for programs.
func printKeysJSON(w io.Writer, list []service.Key) error {
	type row struct {
		Tenant    string    `json:"tenant"`
		Use       string    `json:"use"`
		Algorithm string    `json:"algorithm"`
		ID        string    `json:"kid"`
		State     string    `json:"state"`
		CreatedAt time.Time `json:"created_at"`
		SignsFrom time.Time `json:"signs_from,omitzero"`
		RemovedAt time.Time `json:"removed_at,omitzero"`
	}
	rows := []row{}
	for _, k := range list {
		rows = append(rows, row(k))
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}

// moment writes a time as everybody reads it the same.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
