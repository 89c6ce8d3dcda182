package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"signpost/internal/service"
)

// program is what a command needs of the world.
type program struct {
	env    []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// failed is a failure that has been shown already: only the exit code is left.
type failed struct{}

func (failed) Error() string { return "failed" }

// hinted adds what to try to an error.
type hinted struct {
	err  error
	hint string
}

func (h hinted) Error() string { return h.err.Error() }
func (h hinted) Unwrap() error { return h.err }

func withHint(err error, hint string) error { return hinted{err, hint} }

// usage is a wrong command line.
type usage struct{ err error }

func (u usage) Error() string { return u.err.Error() }
func (u usage) Unwrap() error { return u.err }

// run runs a command line and returns the exit code.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(failed)):
		return 1
	}
	fmt.Fprintf(stderr, "signpost: %s\n", err)
	code, hint := 1, ""
	if wrongUsage(err) {
		code, hint = 2, "see "+c.CommandPath()+" --help"
	}
	if h, ok := errors.AsType[hinted](err); ok {
		hint = h.hint
	}
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	return code
}

// wrongUsage reports whether the command line is at fault. Cobra has no type for
// the two errors that it makes itself.
func wrongUsage(err error) bool {
	return errors.As(err, new(usage)) || strings.HasPrefix(err.Error(), "unknown command") ||
		strings.HasPrefix(err.Error(), "required flag")
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "signpost",
		Short:         "Type your address once, sign in once, and every service is set up",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{withHint(err, "see "+c.CommandPath()+" --help")}
	})
	root.AddCommand(p.serve(), p.apply(), p.audit(), p.migrate(), p.config(), p.demo(), p.discover(), p.explain(),
		p.backup(), p.grants(), p.keys(), p.ready(), p.version())
	for _, c := range root.Commands() {
		exactArgs(c)
	}
	return root
}

// exactArgs makes a wrong number of arguments a wrong command line.
func exactArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usage{withHint(err, "see "+c.CommandPath()+" --help")}
		}
		return nil
	}
}

// settings adds the flags of the settings that a command uses, all if none is
// named, and returns how to load the configuration once the flags are parsed.
func (p *program) settings(c *cobra.Command, used ...string) func() (service.Config, error) {
	flags := c.Flags()
	for _, s := range service.Settings() {
		if s.Flag != "" && (len(used) == 0 || slices.Contains(used, s.Key)) {
			flags.String(s.Flag, "", s.Usage+" ("+s.Env+")")
		}
	}
	flags.String("config", "", "configuration file (SIGNPOST_CONFIG)")
	return func() (service.Config, error) {
		given := map[string]string{}
		flags.Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
		config, err := service.Load(service.LoadOptions{
			Flags: settingFlags(given), Env: p.env, ReadFile: os.ReadFile, Root: os.Geteuid() == 0,
		})
		if err != nil {
			return config, withHint(err, "docs/configuration.md lists every setting")
		}
		return config, nil
	}
}

// settingFlags leaves out the flags that are a command's own.
func settingFlags(given map[string]string) map[string]string {
	known := map[string]string{}
	if file, ok := given["config"]; ok {
		known["config"] = file
	}
	for _, s := range service.Settings() {
		if value, ok := given[s.Flag]; ok && s.Flag != "" {
			known[s.Flag] = value
		}
	}
	return known
}
