package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"signpost/directory"
	"signpost/internal/service"
)

// maxDeclaration bounds a declaration; 100,000 domains take a few MiB.
const maxDeclaration = 64 << 20

func (p *program) apply() *cobra.Command {
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Declare tenants, domains, identity providers and services",
		Long: `Apply makes what a YAML file declares the truth, in one step or not at all, and
prints what changed. A running service sees it within a second. Tenants that the
file does not name stay as they are, unless --prune is given. What the file
declares must fit the base URL that "signpost serve" served last; --base-url is
needed only before its first start.`,
	}
	load := p.settings(c, "base_url", "data_dir", "secret_key_file")
	file := c.Flags().StringP("file", "f", "", "file that declares tenants; - for standard input (required)")
	prune := c.Flags().Bool("prune", false, "remove tenants that the file does not name, with their accounts")
	dryRun := c.Flags().Bool("dry-run", false, "print what would change and change nothing")
	_ = c.MarkFlagRequired("file") // fails only for a flag that is not there
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		declared, err := p.declaration(*file)
		if err != nil {
			return p.showProblems(err)
		}
		changes, err := service.Apply(c.Context(), config, declared, service.ApplyOptions{Prune: *prune, DryRun: *dryRun})
		for _, change := range changes {
			fmt.Fprintln(p.stdout, change)
		}
		if err != nil {
			return p.showProblems(err)
		}
		for _, warning := range directory.Warnings(declared) {
			fmt.Fprintln(p.stderr, "warning:", warning)
		}
		switch {
		case len(changes) == 0:
			fmt.Fprintln(p.stdout, "nothing to change")
		case *dryRun:
			fmt.Fprintln(p.stdout, "nothing was changed: this was a dry run")
		}
		return nil
	}
	return c
}

// declaration reads and checks a declared file.
func (p *program) declaration(file string) ([]directory.Tenant, error) {
	in := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	src, err := io.ReadAll(io.LimitReader(in, maxDeclaration))
	if err != nil {
		return nil, err
	}
	return directory.Parse(file, src, p.lookup, os.ReadFile)
}

// lookup finds an environment variable.
func (p *program) lookup(name string) (string, bool) {
	for _, pair := range p.env {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value, true
		}
	}
	return "", false
}

// showProblems prints everything that is wrong with a declaration, one place a line.
func (p *program) showProblems(err error) error {
	problems, ok := errors.AsType[directory.Problems](err)
	if !ok {
		return err
	}
	for _, problem := range problems {
		fmt.Fprintln(p.stderr, problem)
	}
	count := "1 problem"
	if len(problems) != 1 {
		count = fmt.Sprintf("%d problems", len(problems))
	}
	fmt.Fprintf(p.stderr, "signpost: %s; nothing was changed\n", count)
	return failed{}
}
