package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"signpost/directory"
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
		Long: `Check reads settings, secret key, certificate and database as "signpost serve"
would, and a declaration as "signpost apply" would, and says what is wrong. It
changes nothing.`,
	}
	load := p.settings(check)
	file := check.Flags().StringP("file", "f", "", "file that declares tenants, to be checked too")
	check.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		var declared []directory.Tenant
		if *file != "" {
			if declared, err = p.declaration(*file); err != nil {
				return p.showProblems(err)
			}
		}
		if err := service.Check(c.Context(), config, declared); err != nil {
			return p.showProblems(err)
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
	load := p.settings(c, "data_dir", "secret_key_file")
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
			fmt.Fprintln(p.stdout, versionLine(info))
			return nil
		},
	}
}

// mainVersion is the version of this program, "unknown" if the build does not know it.
func mainVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// versionLine says what was built, from which commit if the build knows it.
func versionLine(info *debug.BuildInfo) string {
	line := "signpost " + info.Main.Version + " " + info.GoVersion
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			line += " " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			line += " modified"
		}
	}
	return line
}
