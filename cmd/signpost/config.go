package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

func (p *program) config() *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "Look at the configuration",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }, // runs, so that cobra refuses a word it does not know
	}
	check := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration, and with a declaration",
		Long: `Check reads the settings as "signpost serve" would, and a declaration as
"signpost apply" would, and says all that is wrong. It changes nothing.`,
	}
	load := p.settings(check)
	file := check.Flags().StringP("file", "f", "", "file that declares tenants, to be checked too")
	check.RunE = func(_ *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		if *file != "" {
			if _, err := p.declaration(*file); err != nil {
				return p.showProblems(err)
			}
		}
		fmt.Fprintf(p.stdout, "listen    %s\nbase URL  %s\ndata      %s\nok\n", config.Listen, config.BaseURL, config.DataDir)
		return nil
	}
	exactArgs(check)
	c.AddCommand(check)
	return c
}

func (p *program) migrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to the schema of this program",
		Long:  `Migrate is what "signpost serve" does at its start. Make a copy of the data folder first.`,
	}
	load := p.settings(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		if err := service.Migrate(c.Context(), config); err != nil {
			return err
		}
		fmt.Fprintln(p.stdout, "the database has this program's schema")
		return nil
	}
	return c
}

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return fmt.Errorf("this program was built without build information")
			}
			fmt.Fprintf(p.stdout, "signpost %s %s\n", info.Main.Version, info.GoVersion)
			return nil
		},
	}
}
