package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

func (p *program) backup() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite database to a new file, also while it is in use",
		Long: `Backup writes a copy of the database to a new file, which only its owner can
read. It is one moment of the database, whole, while "signpost serve" goes on.
The key that seals the database is not in it: keep a copy of that too, somewhere
else. A PostgreSQL database is copied with pg_dump.`,
		Example: `  signpost backup /var/backups/signpost/signpost.db`,
		Args:    cobra.ExactArgs(1),
	}
	load := p.settings(c, "data_dir", "database_url_file", "secret_key_file")
	c.RunE = func(c *cobra.Command, args []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		if err := service.Backup(c.Context(), config, args[0]); err != nil {
			return withHint(err, "docs/guides/production.md has the commands of backup and restore")
		}
		fmt.Fprintf(p.stdout, "the database is copied to %s\n%s\n", args[0], keyAdvice(config))
		return nil
	}
	return c
}

// keyAdvice says where the key is without which the copy is of no use.
func keyAdvice(c service.Config) string {
	where := filepath.Join(c.DataDir, "secret.key")
	switch {
	case c.SecretKeyFile != "":
		where = c.SecretKeyFile
	case c.SecretKey != "":
		where = "the one that is configured"
	}
	return "it opens only with the secret key (" + where + "): keep a copy of that key, apart from this file"
}
