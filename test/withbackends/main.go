// Command withbackends runs a command beside one server of every kind that Signpost
// can keep its data in, all empty, and ends with the command's exit code:
//
//	go run ./test/withbackends -- go test ./...
//
// The command finds the servers in the variables of package backends. They end with
// it, with withbackends however that ends, and also when it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// stillRunning is how long the command may take to end after it was told to.
const stillRunning = 20 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "withbackends: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run starts the servers, runs the command beside them and returns its exit code.
// The error says that something else went wrong.
func run(ctx context.Context, args []string, out io.Writer) (code int, err error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 2, errors.New("no command; try: go run ./test/withbackends -- make flows")
	}
	dir, err := os.MkdirTemp("", "signpost-backends-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	running, err := start(dir)
	defer func() {
		for _, r := range running {
			err = errors.Join(err, r.Close())
		}
	}()
	if err != nil {
		return 1, err
	}
	var environment []string
	for _, r := range running {
		fmt.Fprintf(out, "%-20s %-18s started in %4.1f s\n", r.kind, r.version, r.took.Seconds())
		environment = append(environment, r.environment...)
	}
	if ctx.Err() != nil {
		return 1, context.Cause(ctx)
	}
	return command(ctx, args, environment)
}

// command runs a command on our terminal and returns its exit code.
func command(ctx context.Context, args, environment []string) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stillRunning
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.Exited() {
		return ended.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
