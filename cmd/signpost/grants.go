package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

func (p *program) grants() *cobra.Command {
	c := &cobra.Command{
		Use: "grants", Short: "List and end the sign-ins of people with programs",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }, // runs, so that cobra refuses a word it does not know
	}
	c.AddCommand(p.grantsList(), p.grantsEnd())
	for _, sub := range c.Commands() {
		exactArgs(sub)
	}
	return c
}

func (p *program) grantsList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list --tenant NAME --address ADDRESS",
		Short: "List the programs in which a person is signed in",
		Long: `List shows with which programs somebody is signed in: the id of the sign-in, the
program, what was allowed, and when it was made and last used. It changes nothing.`,
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	tenant := c.Flags().String("tenant", "", "tenant of the person (required)")
	address := c.Flags().String("address", "", "address or login name of the person (required)")
	asJSON := c.Flags().Bool("json", false, "print JSON for programs")
	_ = c.MarkFlagRequired("tenant")  // fails only for a flag that is not there
	_ = c.MarkFlagRequired("address") // the same
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		list, err := service.ListGrants(c.Context(), config, *tenant, *address)
		if err != nil {
			return grantsHint(err)
		}
		if *asJSON {
			return printGrantsJSON(p.stdout, list)
		}
		return printGrants(p.stdout, list)
	}
	return c
}

func (p *program) grantsEnd() *cobra.Command {
	c := &cobra.Command{
		Use:   "end --tenant NAME (--address ADDRESS [--client ID] | --grant ID)",
		Short: "End sign-ins of a person with programs",
		Long: `End ends one sign-in by its id, or those of a person: with one program, or with all.
A running service refuses what was made from them within a second, and tells every
server that asks. Servers that validate tokens themselves take them until the
tokens expire. With all sign-ins of a person, or with the one that made it, an app
password ends too. Nobody is locked out by it: whoever can still sign in at the identity
provider can sign in again.`,
		Example: `  signpost grants end --tenant example --address alice@example.com
  signpost grants end --tenant example --grant 9Zm2uXq0aYc`,
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	var o service.EndOptions
	c.Flags().StringVar(&o.Tenant, "tenant", "", "tenant of the person (required)")
	c.Flags().StringVar(&o.Address, "address", "", "end the sign-ins of who has this address or login name")
	c.Flags().StringVar(&o.Client, "client", "", "with --address: only those with the program that has this id")
	c.Flags().StringVar(&o.Grant, "grant", "", "end the sign-in with this id")
	_ = c.MarkFlagRequired("tenant") // fails only for a flag that is not there
	c.RunE = func(c *cobra.Command, _ []string) error {
		if (o.Address == "") == (o.Grant == "") || o.Grant != "" && o.Client != "" {
			return usage{withHint(errors.New("say which sign-ins to end"), "give either --address, perhaps with --client, or --grant")}
		}
		config, err := load()
		if err != nil {
			return err
		}
		ended, err := service.EndGrants(c.Context(), config, o)
		if err != nil {
			return grantsHint(err)
		}
		fmt.Fprintln(p.stdout, endedLine(ended))
		return nil
	}
	return c
}

func endedLine(ended service.Ended) string {
	var parts []string
	for _, part := range []struct {
		number    int
		one, many string
	}{{ended.Grants, "sign-in", "sign-ins"}, {ended.AppPasswords, "app password", "app passwords"}} {
		switch {
		case part.number == 1:
			parts = append(parts, "1 "+part.one)
		case part.number > 1:
			parts = append(parts, fmt.Sprintf("%d %s", part.number, part.many))
		}
	}
	if len(parts) == 0 {
		return "nothing to end"
	}
	return "ended " + strings.Join(parts, " and ")
}

// grantsHint adds what to do to an error.
func grantsHint(err error) error {
	switch {
	case errors.Is(err, service.ErrNoAccount):
		return withHint(err, "whoever has never signed in has no account; check the address and the tenant")
	case errors.Is(err, service.ErrNoGrant):
		return withHint(err, "\"signpost grants list\" shows the sign-ins of a person with their ids")
	}
	return err
}

// printGrants prints a table for people.
func printGrants(w io.Writer, list []service.Grant) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "signed in with no program")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tPROGRAM\tCREATED\tLAST USED\tALLOWED")
	for _, g := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", g.ID, shortened(g.Client), moment(g.CreatedAt), moment(g.LastUsedAt), strings.Join(g.Scopes, " "))
	}
	return t.Flush()
}

// shortened keeps the ids of registered programs, which hold their whole
// registration, from breaking the table. The JSON has them whole.
func shortened(id string) string {
	const most = 40
	if len(id) <= most {
		return id
	}
	return id[:most-3] + "..."
}

// printGrantsJSON prints the same for programs.
func printGrantsJSON(w io.Writer, list []service.Grant) error {
	type row struct {
		ID         string    `json:"id"`
		Client     string    `json:"client_id"`
		Scopes     []string  `json:"scopes"`
		CreatedAt  time.Time `json:"created_at"`
		LastUsedAt time.Time `json:"last_used_at"`
	}
	rows := []row{}
	for _, g := range list {
		rows = append(rows, row(g))
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}
