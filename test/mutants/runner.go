package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How a mutant can end. Only killed is good.
const (
	killed   = "killed"
	survived = "SURVIVED"       // no test noticed
	stale    = "DOES NOT APPLY" // the code it changes is no longer there
	broken   = "DOES NOT BUILD" // the compiler noticed, so the tests were not asked
)

// stillRunning is how long a process may take to end after it was told to.
const stillRunning = 10 * time.Second

// runner applies patches to a copy of a tree and runs its tests.
type runner struct {
	Root    string         // the tree to copy, a git work tree
	Patches string         // folder of the patches
	Only    *regexp.Regexp // names of the patches to try
	Out     io.Writer
}

// run tries every patch and prints a line for each. It returns an error unless
// every mutant was killed.
func (r runner) run(ctx context.Context) error {
	patches, err := r.patches()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "signpost-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var trees []string
	for i := range workers {
		tree := filepath.Join(folder, strconv.Itoa(i))
		if err := r.copyTo(ctx, tree); err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
		trees = append(trees, tree)
	}

	start := time.Now()
	if out, err := goTest(ctx, trees[0], "./..."); err != nil {
		return fmt.Errorf("the tests fail without any mutant, so that they prove nothing:\n%s", failures(out))
	}
	r.print("unchanged", time.Since(start), "tests pass", "")
	return r.tryAll(ctx, trees, patches)
}

// workers is how many mutants are tried at a time, each in a tree of its own: compiling and
// linking, which is most of the time, does not keep two processors busy.
const workers = 2

// outcome is how one mutant ended.
type outcome struct {
	patch
	verdict, witness string
	took             time.Duration
	err              error
}

// tryAll tries every patch in whichever tree is free.
func (r runner) tryAll(ctx context.Context, trees []string, patches []patch) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	waiting, outcomes := make(chan patch, len(patches)), make(chan outcome)
	for _, p := range patches {
		waiting <- p
	}
	close(waiting)
	var working sync.WaitGroup
	for _, tree := range trees {
		working.Go(func() {
			for p := range waiting {
				start := time.Now()
				verdict, witness, err := try(ctx, tree, p)
				outcomes <- outcome{p, verdict, witness, time.Since(start), err}
			}
		})
	}
	go func() {
		working.Wait()
		close(outcomes)
	}()
	left := 0
	var failed error
	for o := range outcomes {
		switch {
		case failed != nil:
			continue // until the others have ended
		case o.err != nil:
			failed = fmt.Errorf("%s: %w", o.name, o.err)
			stop()
			continue
		case o.verdict != killed:
			left++
		}
		r.print(o.verdict, o.took, o.name+": "+o.guard, o.witness)
	}
	if failed != nil {
		return failed
	}
	if left > 0 {
		return fmt.Errorf("%d of %d mutants were not killed", left, len(patches))
	}
	fmt.Fprintf(r.Out, "%d of %d mutants killed\n", len(patches), len(patches))
	return nil
}

func (r runner) print(verdict string, took time.Duration, what, witness string) {
	if witness != "" {
		witness = " (" + witness + ")"
	}
	fmt.Fprintf(r.Out, "%-14s %6.1f s  %s%s\n", verdict, took.Seconds(), what, witness)
}

// patches reads the patches to try; none at all is an error, since a run
// that tries nothing must not look like success.
func (r runner) patches() ([]patch, error) {
	files, err := filepath.Glob(filepath.Join(r.Patches, "*.patch"))
	if err != nil {
		return nil, err
	}
	var patches []patch
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		p, err := readPatch(file)
		if err != nil {
			return nil, err
		}
		if r.Only.MatchString(p.name) {
			patches = append(patches, p)
		}
	}
	if len(patches) == 0 {
		return nil, fmt.Errorf("no patch to try in %s", r.Patches)
	}
	return patches, nil
}

// copyTo copies the tree as it is now: what git knows and what it does not ignore.
func (r runner) copyTo(ctx context.Context, to string) error {
	list, err := command(ctx, r.Root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return fmt.Errorf("list the files: %w: %s", err, list)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		err := copyFile(filepath.Join(r.Root, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // deleted, and git was not told yet
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}

// try applies a patch, runs the tests and takes the patch back. The error says
// that the attempt itself went wrong, not that a mutant lived.
func try(ctx context.Context, tree string, p patch) (verdict, witness string, err error) {
	if out, err := command(ctx, tree, "git", "apply", p.file); err != nil {
		return stale, firstLine(out), ctx.Err()
	}
	verdict, witness = test(ctx, tree, p)
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if out, err := command(ctx, tree, "git", "apply", "--reverse", p.file); err != nil {
		return "", "", fmt.Errorf("take the patch back: %w: %s", err, out)
	}
	return verdict, witness, nil
}

// test asks first the tests that should notice, then all, which also finds out what
// does not compile any more. Vet is off: what it would say about the patch is no test's merit.
// Without the paths of its tree each worker finds what the other has compiled; what debuggers
// want is half of what linking takes.
func test(ctx context.Context, tree string, p patch) (verdict, witness string) {
	for _, packages := range [][]string{p.tests, {"./..."}} {
		out, err := goTest(ctx, tree, packages...)
		switch {
		case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
			return broken, firstError(out)
		case err != nil:
			return killed, firstFailure(out)
		}
	}
	return survived, ""
}

// goTest runs tests. Vet is off: what it would say about the patch is no test's merit. Without
// the paths of its tree each worker finds what the other has compiled. Most of the time goes
// into compiling and linking: without what debuggers want and without optimising our own
// packages it takes half of it.
func goTest(ctx context.Context, tree string, packages ...string) ([]byte, error) {
	args := []string{"test", "-trimpath", "-ldflags=-s -w", "-gcflags=signpost/server=-N -l", "-gcflags=signpost/oidc/...=-N -l", "-vet=off", "-failfast", "-timeout=5m"}
	return command(ctx, tree, "go", append(args, packages...)...)
}

// command runs a program in a folder and returns what it printed.
func command(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// The copy is no repository, and git must not take one above it for its own.
	// A compiler that collects its garbage less often is a fifth faster.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GOGC=400")
	// Interrupted, go ends the tests that it started.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stillRunning
	return cmd.CombinedOutput()
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^(panic: .*)$`)

// firstFailure names the test that noticed: the innermost of the first ones, or
// how it ended otherwise.
func firstFailure(out []byte) string {
	name := ""
	for _, match := range failed.FindAllSubmatch(out, -1) {
		found := string(match[1]) + string(match[2])
		if name != "" && !strings.HasPrefix(found, name+"/") {
			break
		}
		name = found
	}
	if name == "" {
		return firstLine(out)
	}
	return name
}

// firstError returns the first line that is not a heading.
func firstError(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// failures leaves out the packages that passed.
func failures(out []byte) string {
	var lines []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "ok\t") && !strings.HasPrefix(line, "?") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
