package backends

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startWithin is how long a server may take until it answers.
	startWithin = time.Minute
	// endWithin is how long processes may take to end after they were told to.
	endWithin = 10 * time.Second
	// askWithin is how long a server may take for one answer while it is waited for.
	askWithin = 2 * time.Second
	// lookEvery is how often it is looked at what is waited for.
	lookEvery = 50 * time.Millisecond
)

// errEnded means that a server has ended by itself; its log says why.
var errEnded = errors.New("it has ended")

// Server is a server that can be ended, stopped and started again in the middle of
// a test. Its port and its data stay the same. Its methods may be called from
// several goroutines. Close it.
type Server struct {
	URL     string // where it is, with what is needed to come in
	Version string // what it says it is: "Redis 7.0.15"
	Log     string // file with what it printed

	program  program
	ready    func(context.Context) error // nil when it answers
	released []func() error              // in the order in which Close calls them

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	closing bool
}

// program is what runs as the server.
type program struct {
	path string
	args []string
	dir  string
	user *account       // nil for whoever runs the tests
	quit syscall.Signal // ends it quickly; 0 for SIGKILL
}

// Option changes how a server is started.
type Option int

// Durable makes a server write to its disk before it says that something is
// written, as it would in production. Without it data survive the death of the
// server's processes (PostgreSQL) or nothing (Redis), and the suites are fast.
const Durable Option = 1

// Start starts the server again after Kill, and returns when it answers.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return fmt.Errorf("start %s: it is closed", s.Version)
	}
	if s.running() {
		return fmt.Errorf("start %s: it runs", s.Version)
	}
	if err := s.launch(); err != nil {
		return fmt.Errorf("start %s: %w", s.Version, err)
	}
	if err := s.answer(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w\n%s", s.Version, err, s.tail()), s.kill())
	}
	return nil
}

// Kill ends all processes of the server at once, without a chance to put anything
// in order. Killing a server that does not run is no error.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kill()
}

// Pause stops all processes of the server where they are: connections stay open,
// new ones are even taken by the kernel, and nobody answers.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return fmt.Errorf("pause %s: it does not run", s.Version)
	}
	_, err := freeze(s.cmd.Process.Pid)
	return err
}

// Resume lets the server go on after Pause.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return fmt.Errorf("resume %s: it does not run", s.Version)
	}
	return thaw(s.cmd.Process.Pid)
}

// Close ends the server and removes its data. Closing twice is no error.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil
	}
	s.closing = true
	var err error
	if s.running() {
		err = s.quit()
	}
	for _, release := range s.released {
		err = errors.Join(err, release())
	}
	return err
}

// quit ends the server with the signal of its program, and kills it if that does
// not help.
func (s *Server) quit() error {
	if err := thaw(s.cmd.Process.Pid); err != nil {
		return err
	}
	if err := s.cmd.Process.Signal(s.program.quitSignal()); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(endWithin):
		return s.kill()
	}
}

func (s *Server) kill() error {
	if !s.running() {
		return nil
	}
	// Stopped first, so that it cannot start new processes meanwhile.
	family, err := freeze(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := killAll(family); err != nil {
		return err
	}
	<-s.ended
	return wait(context.Background(), endWithin, func(context.Context) error { return gone(family) })
}

// launch starts the process. A server that ends by itself is noticed by answer.
func (s *Server) launch() error {
	log, err := os.OpenFile(s.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has it open by then
	cmd := s.program.command(context.Background())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	s.cmd, s.ended = cmd, ended
	return nil
}

// answer waits until the server answers, and no longer once its process has ended.
func (s *Server) answer() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ended := s.ended
	go func() {
		select {
		case <-ended:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	return wait(ctx, startWithin, s.ready)
}

func (s *Server) running() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// tail returns the end of the log.
func (s *Server) tail() string {
	const enough = 2000
	text, err := os.ReadFile(s.Log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-enough):])
}

// command makes the command of a program, which ends with the process that starts it.
func (p program) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = attributes(p.user, p.quitSignal())
	return cmd
}

func (p program) quitSignal() syscall.Signal {
	if p.quit == 0 {
		return syscall.SIGKILL
	}
	return p.quit
}

// run runs a program that ends by itself, and returns what it printed.
func (p program) run(ctx context.Context, env ...string) (string, error) {
	var out strings.Builder
	cmd := p.command(ctx)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = endWithin
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", p.path, err, out.String())
	}
	return out.String(), nil
}

// wait looks again and again until look finds nothing wrong any more.
func wait(ctx context.Context, within time.Duration, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		asked, answered := context.WithTimeout(ctx, askWithin)
		err := look(asked)
		answered()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last seen: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
