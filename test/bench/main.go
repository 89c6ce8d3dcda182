// Command bench measures the whole of Signpost, as it is run in earnest, against as
// little as could do the same: the built "signpost serve" with everything that is on by
// default, and a bare net/http handler that makes the same signatures and nothing else.
// Both take turns on one processor, and every answer is checked. docs/performance.md
// says what the figures mean.
//
//	go run ./test/bench
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// options are what the command line decides.
type options struct {
	pairs       int
	slice       time.Duration
	connections int
	binary      string // empty: it is built
	out         string
	reportOnly  bool
	only        string
}

// errSlow means that a figure is below what is wanted of it.
var errSlow = errors.New("slower than wanted")

// run is the program. As "bench bare" it is the bare server.
func run(ctx context.Context, args []string, out, notes io.Writer) error {
	if len(args) > 0 && args[0] == bareCommand {
		return serveBare(ctx, out)
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(notes)
	flags.IntVar(&o.pairs, "pairs", 15, "pairs of slices that each figure comes from")
	flags.DurationVar(&o.slice, "slice", 400*time.Millisecond, "how long a slice is")
	flags.IntVar(&o.connections, "connections", 32, "connections that ask at once")
	flags.StringVar(&o.binary, "binary", "", "the signpost to measure; without it, it is built")
	flags.StringVar(&o.out, "out", "build/bench/exchange.json", "file for the figures")
	flags.BoolVar(&o.reportOnly, "report", false, "do not fail for a figure below what is wanted")
	flags.StringVar(&o.only, "row", "", "only the rows whose name has this in it, as when one is being worked on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.connections < 1 || o.slice <= 0 {
		return errors.New("wrong arguments; try -h")
	}
	if o.pairs < fewestPairs {
		return fmt.Errorf("%d pairs: there is no 95 %% interval with fewer than %d", o.pairs, fewestPairs)
	}
	return measure(ctx, o, out, notes)
}

// measure starts everything, takes the measurements and writes the figures.
func measure(ctx context.Context, o options, out, notes io.Writer) (err error) {
	began := time.Now()
	s, err := setUp(ctx, o, notes)
	if s != nil {
		defer func() { err = errors.Join(err, s.close()) }()
	}
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(s.rows(), func(r *row) bool { return !strings.Contains(r.path, o.only) })
	if len(rows) == 0 {
		return fmt.Errorf("no row has %q in its name", o.only)
	}
	fmt.Fprintf(notes, "%d rows of %d pairs, slices of %v, after %.0f s\n", len(rows), o.pairs, o.slice, time.Since(began).Seconds())
	if err := s.takeTurns(ctx, rows, o.pairs); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n%s", s.machine, table(rows))
	for _, name := range s.unmeasured {
		fmt.Fprintf(out, "not measured: %s\n", name)
	}
	fmt.Fprintf(notes, "took %.0f s\n", time.Since(began).Seconds())
	if err := writeFigures(o.out, figures(rows)); err != nil {
		return err
	}
	if slow := below(rows); len(slow) > 0 && !o.reportOnly {
		return fmt.Errorf("%w: %q", errSlow, slow)
	}
	return nil
}
