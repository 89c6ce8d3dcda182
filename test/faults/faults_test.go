// Package faults runs Signpost as it is run in earnest, two processes behind a
// proxy with a PostgreSQL and a Redis of their own, and takes parts away while
// people sign in and programs work. What must go on without which part is said in
// docs/guides/production.md. Nothing here looks inside: the tests know what a
// client, a browser and an administrator with a shell can know.
package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"signpost/test/backends"
)

const (
	// patience is how long something may take on a busy machine where no promise says how long.
	patience = 30 * time.Second
	// look is how often something awaited is looked at.
	look = 20 * time.Millisecond
)

// binaryVariable hands the path of the binary from TestMain to the tests.
const binaryVariable = "SIGNPOST_TEST_BINARY"

// TestMain builds the binary once, and starts a PostgreSQL for the tests that do not
// kill it, unless there is one.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if !wanted() {
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "signpost-faults-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "signpost")
	build := exec.Command("go", "build", "-o", binary, "signpost/cmd/signpost")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build signpost: %w\n%s", err, out)
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		return 1, err
	}
	if os.Getenv(backends.PostgresVariable) != "" {
		return m.Run(), nil
	}
	postgres, err := backends.StartPostgres(dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, postgres.Close()) }()
	if err := os.Setenv(backends.PostgresVariable, postgres.URL); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// wanted reports whether these tests run. Where CI is set they always do, so that
// none is passed over there.
func wanted() bool { return os.Getenv("SIGNPOST_TEST_ALL") != "" || os.Getenv("CI") != "" }

// eventually waits until something holds and returns how long that took. It
// fails the test when it takes longer than within.
func eventually(t testing.TB, what string, within time.Duration, holds func() bool) time.Duration {
	t.Helper()
	took, ok := awaited(within, holds)
	if !ok {
		t.Fatalf("not within %v: %s", within, what)
	}
	return took
}

// awaited looks until something holds or the time is over.
func awaited(within time.Duration, holds func() bool) (time.Duration, bool) {
	began := time.Now()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		asked := time.Now()
		held := holds()
		// What counts is when the question was asked that got the answer.
		if took := asked.Sub(began); held || took > within {
			return took, held && took <= within
		}
		<-tick.C
	}
}

// throughout looks again and again, for as long as said, that something holds.
func throughout(t testing.TB, what string, span time.Duration, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for end := time.Now().Add(span); time.Now().Before(end); <-tick.C {
		if !holds() {
			t.Errorf("it stopped while it should not: %s", what)
			return
		}
	}
}

// atOnce runs all functions at the same moment and waits for them.
func atOnce(functions ...func()) {
	start, done := make(chan struct{}), make(chan struct{})
	for _, f := range functions {
		go func() {
			defer func() { done <- struct{}{} }()
			<-start
			f()
		}()
	}
	close(start)
	for range functions {
		<-done
	}
}
