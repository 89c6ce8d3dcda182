package main

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"signpost/internal/service"
)

func (p *program) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer discovery, sign-in and exchange",
		Long: `Serve answers everything that Signpost does over HTTP. Without any setting it
listens on 127.0.0.1:8480 and keeps its data in the data folder. What it serves is declared
with "signpost apply", while it runs or before.`,
	}
	load := p.settings(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		return p.runService(c.Context(), config)
	}
	return c
}

// collectAt is how much the heap may grow until it is collected, in percent of what is in use.
// That is little, and most of a request's memory is gone with it: collecting as often as Go
// does by itself costs a fifth of an exchange.
const collectAt = 400

func (p *program) runService(ctx context.Context, config service.Config) error {
	if !slices.ContainsFunc(p.env, func(s string) bool { return strings.HasPrefix(s, "GOGC=") }) {
		debug.SetGCPercent(collectAt)
	}
	log := service.Logger(config, p.stderr)
	s, err := service.Open(ctx, config, log, service.Parts{Version: mainVersion()})
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return withHint(fmt.Errorf("listen: %w", err), "another program may have the port; choose one with --listen")
	}
	fmt.Fprintf(p.stdout, "signpost serves %s\n", config.BaseURL)
	if !s.Declared() {
		fmt.Fprintf(p.stdout, `
Nothing is declared yet. Write down whom you serve, and apply it; this server sees it at once:

  signpost apply --data-dir %s -f tenants.yaml

docs/tenants.md shows such a file. To see everything work on this machine first: signpost demo
`, config.DataDir)
	}
	return s.Serve(ctx, l)
}
