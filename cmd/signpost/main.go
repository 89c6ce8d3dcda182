// Command signpost is Signpost: the service, the command-line client and the
// administrator's tool in one program. "signpost help" lists the commands; docs/
// explains them. Failures go to standard error as "signpost: what", followed by "hint: what
// to try"; the exit code is 1 for failure and 2 for a wrong command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
