package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait.
const patience = 30 * time.Second

// cores says which processor is whose. Without taskset, or with one processor, nobody is told.
type cores struct{ server, client string }

// divide gives the servers one processor and everything else, this process included, another one.
func divide(ctx context.Context) (cores, error) {
	runtime.GOMAXPROCS(1) // as the servers have
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return cores{}, nil //nolint:nilerr // without taskset servers run wherever they are put
	}
	self := strconv.Itoa(os.Getpid())
	said, err := exec.CommandContext(ctx, taskset, "-c", "-p", self).Output()
	if err != nil {
		return cores{}, fmt.Errorf("taskset: %w", err)
	}
	_, list, _ := strings.Cut(string(said), "list: ")
	ids := processors(strings.TrimSpace(list))
	if len(ids) < 2 {
		return cores{}, nil
	}
	c := cores{server: ids[len(ids)-1], client: ids[0]}
	if err := exec.CommandContext(ctx, taskset, "-a", "-c", "-p", c.client, self).Run(); err != nil {
		return cores{}, fmt.Errorf("taskset: %w", err)
	}
	return c, nil
}

// processors reads a list as taskset prints it: "0,2-4".
func processors(list string) (ids []string) {
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil {
			return nil
		}
		for id := from; id <= to; id++ {
			ids = append(ids, strconv.Itoa(id))
		}
	}
	return ids
}

// process is a server in a process of its own, on the servers' processor.
type process struct {
	name    string
	address string
	pid     int
	cmd     *exec.Cmd
	wrote   string // file with its standard error
}

// start starts a server. What it prints on standard output goes to out.
func start(c cores, name, log string, env []string, out io.Writer, command ...string) (*process, error) {
	if c.server != "" {
		command = append([]string{"taskset", "-c", c.server}, command...)
	}
	file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the process has it open by then
	p := &process{name: name, wrote: log, cmd: exec.CommandContext(context.Background(), command[0], command[1:]...)}
	p.cmd.Env = append(env, "GOMAXPROCS=1", "PATH="+os.Getenv("PATH"))
	p.cmd.Stdout, p.cmd.Stderr = out, file
	p.cmd.SysProcAttr = noOrphans()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.pid = p.cmd.Process.Pid
	return p, nil
}

// stop asks the process to end and waits until it has.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s ended with %w; it wrote:\n%s", p.name, err, p.tail())
	}
	return nil
}

// tail is the end of what the process wrote.
func (p *process) tail() string {
	text, err := os.ReadFile(p.wrote)
	if err != nil {
		return err.Error()
	}
	const enough = 2000
	return string(text[max(0, len(text)-enough):])
}

const (
	settleLook   = 5 * time.Millisecond
	settleQuiet  = 12                     // looks in a row at which it did next to nothing: its record waits for company
	settleIdle   = 250 * time.Microsecond // of a look, what counts as nothing
	settleWithin = 2 * time.Second
)

// settle waits until the process has nothing left to do, such as writing its record, and returns
// the processor time that it has used in its life. So work that was put off counts too, and is
// in nobody else's way.
func (p *process) settle() time.Duration {
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	before, quiet := p.time(), 0
	for end := time.Now().Add(settleWithin); quiet < settleQuiet && time.Now().Before(end); {
		<-tick.C
		now := p.time()
		quiet++
		if now-before > settleIdle {
			quiet = 0
		}
		before = now
	}
	return before
}

// firstLine collects what a process prints until the end of its first line.
type firstLine struct {
	text bytes.Buffer
	done chan string
}

func newFirstLine() *firstLine { return &firstLine{done: make(chan string, 1)} }

func (f *firstLine) Write(b []byte) (int, error) {
	_, _ = f.text.Write(b)
	if line, _, whole := strings.Cut(f.text.String(), "\n"); whole {
		select {
		case f.done <- line:
		default: // it was told before
		}
	}
	return len(b), nil
}
