// Command mutants asks whether the tests would notice if a guard of the product
// were gone. Each *.patch beside it removes one guard; it is applied to a copy of
// the working tree, and then "go test ./..." must fail. A patch that no longer
// applies, or does not compile, proves nothing and fails the run as well.
//
// A patch is what "git diff" prints, below a first line that says in words what
// the product does without its guard, and an optional second line that names the
// packages whose tests should notice, so that the answer comes sooner:
//
//	# The exchange takes a subject token that has expired.
//	Tests: ./oidc/exchange ./server
//
// Where a package takes long, flags may stand beside it: "Tests: ./server -run=TestR12".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	only := flag.String("run", "", "only the patches whose name matches this regular expression")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: -run: %v\n", err)
		os.Exit(2)
	}
	r := runner{Root: ".", Patches: "test/mutants", Only: pattern, Out: os.Stdout}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = r.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
}
