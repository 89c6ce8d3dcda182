package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

// Servers that "keys export" knows.
const (
	forDovecot = "dovecot"
	forCyrus   = "cyrus"
)

func (p *program) keysExport() *cobra.Command {
	c := &cobra.Command{
		Use:   "export --for dovecot DIR | --for cyrus --service ID FILE",
		Short: "Write public keys for servers that read them from files",
		Long: `Export writes public keys in PEM where servers read them that check tokens without
asking anybody.

For Dovecot it writes every published key for access tokens to DIR/default/ALGORITHM/KID,
and removes files there with keys of the tenant that are published no more; whatever
else is in DIR stays. Dovecot sees new keys at once, and forgets removed ones after "doveadm
reload". For Cyrus it writes the one key by which tokens for that service are signed to
FILE.

Each file is replaced whole. With --watch it goes on and follows rotations, until it is
interrupted; without, run it again after each rotation.`,
		Example: `  signpost keys export --for dovecot --watch /var/lib/signpost/dovecot-keys
  signpost keys export --for cyrus --tenant example --service calendars /etc/cyrus/jwt/signpost.pem`,
		Args: cobra.ExactArgs(1),
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	var o service.ExportOptions
	server := c.Flags().String("for", "", "the server that reads them: dovecot or cyrus (required)")
	c.Flags().StringVar(&o.Tenant, "tenant", "", "write keys of this tenant; needed only if there are several")
	c.Flags().StringVar(&o.Service, "service", "", "with --for cyrus: id of the service")
	c.Flags().BoolVar(&o.Watch, "watch", false, "go on and follow rotations")
	_ = c.MarkFlagRequired("for") // fails only for a flag that is not there
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkExport(*server, o.Service); err != nil {
			return err
		}
		config, err := load()
		if err != nil {
			return err
		}
		o.Path = args[0]
		return exportHint(service.ExportKeys(c.Context(), config, o, func(done service.Exported, err error) {
			if err != nil {
				fmt.Fprintf(p.stderr, "signpost: %v; trying again\n", err)
				return
			}
			printExported(p.stdout, *server, done)
		}))
	}
	return c
}

func checkExport(server, id string) error {
	switch {
	case server != forDovecot && server != forCyrus:
		return usage{withHint(fmt.Errorf("no server %q is known", server), "give --for dovecot or --for cyrus")}
	case server == forCyrus && id == "":
		return usage{withHint(errors.New("say for which service"), "give --service ID as well")}
	case server == forDovecot && id != "":
		return usage{withHint(errors.New("dovecot takes the tokens of all services by the same keys"), "leave out --service")}
	}
	return nil
}

// exportHint adds what to do to an error.
func exportHint(err error) error {
	switch {
	case errors.Is(err, service.ErrWhichTenant):
		return usage{withHint(err, "give --tenant NAME as well")}
	case errors.Is(err, service.ErrNoService):
		return withHint(err, "give the id that the service has in the file of tenants")
	case errors.Is(err, service.ErrNoOwnKey):
		return withHint(err, "services with profile cyrus have one")
	}
	return keysHint(err)
}

// printExported says what was done, file by file.
func printExported(w io.Writer, server string, done service.Exported) {
	for _, path := range done.Written {
		fmt.Fprintf(w, "wrote %s\n", path)
	}
	for _, path := range done.Removed {
		fmt.Fprintf(w, "removed %s\n", path)
	}
	if len(done.Written)+len(done.Removed) == 0 {
		fmt.Fprintln(w, "nothing to do: the files are as they should be")
	}
	if len(done.Removed) > 0 && server == forDovecot {
		fmt.Fprintln(w, `Dovecot still knows what was removed: run "doveadm reload"`)
	}
	if !done.Next.IsZero() {
		fmt.Fprintf(w, "the next key signs from %s: it is to be exported then\n", moment(done.Next))
	}
}
