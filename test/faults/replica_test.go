package faults

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lines keeps what a process wrote.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// replica is a "signpost serve" in a process of its own, which may be started again.
type replica struct {
	name       string
	listen     string // address of the service
	operations string // address of health and metrics
	env        []string
	log        lines // standard error of every start
	out        lines // standard output of every start

	cmd    *exec.Cmd
	exited chan error // what Wait returned, once for each start
}

func newReplica(t testing.TB, name string, env map[string]string) *replica {
	t.Helper()
	r := &replica{name: name, listen: freeAddress(t), operations: freeAddress(t)}
	for name, value := range env {
		r.env = append(r.env, name+"="+value)
	}
	r.env = append(r.env, "SIGNPOST_LISTEN="+r.listen, "SIGNPOST_OPERATIONS_LISTEN="+r.operations, "SIGNPOST_DATA_DIR="+t.TempDir())
	t.Cleanup(func() {
		if r.running() {
			if err := r.stop(); err != nil {
				t.Errorf("replica %s at the end: %v", r.name, err)
			}
		}
	})
	return r
}

// freeAddress is an address that nobody listens at until the test ends. It lies
// below the ports that the system gives to whoever connects, and the UDP port of the
// same number is held, by which the servers of package backends are reserved too.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 22000+rand.IntN(10000))
		mark, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", address)
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = mark.Close() }) // held, not used
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address); err == nil {
			_ = l.Close() // it was free
			return address
		}
	}
	t.Fatal("no free port between 22000 and 32000")
	return ""
}

// start starts the process and does not wait until it is ready.
func (r *replica) start(t testing.TB) {
	t.Helper()
	r.cmd = exec.Command(os.Getenv(binaryVariable), "serve")
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = r.env, &r.out, &r.log
	r.cmd.SysProcAttr = noOrphans()
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("start replica %s: %v", r.name, err)
	}
	r.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(r.cmd, r.exited)
}

// await waits until the process says that it is ready.
func (r *replica) await(t testing.TB) {
	t.Helper()
	eventually(t, "replica "+r.name+" is ready", patience, func() bool {
		select {
		case err := <-r.exited:
			r.cmd = nil
			t.Fatalf("replica %s ended while it started: %v", r.name, err)
		default:
		}
		return r.ready()
	})
}

// ready asks once as an orchestrator does.
func (r *replica) ready() bool {
	probe := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := probe.Get("http://" + r.operations + "/readyz")
	if err != nil {
		return false
	}
	_ = res.Body.Close() // only the status counts
	return res.StatusCode == http.StatusOK
}

func (r *replica) running() bool { return r.cmd != nil }

// signal sends a signal to the process.
func (r *replica) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v to replica %s: %v", s, r.name, err)
	}
}

// stop asks the process to end and waits until it has. An exit code that is not 0 is an error.
func (r *replica) stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return r.ended()
}

// kill ends the process without a word, as a power cut would.
func (r *replica) kill(t testing.TB) {
	t.Helper()
	r.signal(t, syscall.SIGKILL)
	if err := r.ended(); err == nil {
		t.Fatalf("replica %s was killed and says it ended well", r.name)
	}
}

// ended waits for the end of the process.
func (r *replica) ended() error {
	defer func() { r.cmd = nil }()
	select {
	case err := <-r.exited:
		return err
	case <-time.After(patience):
		_ = r.cmd.Process.Kill() // so that it does not outlive the test
		return fmt.Errorf("did not end within %v", patience)
	}
}

// tail is the end of the log, without a line for every request: who is refused has one more.
func (r *replica) tail() string {
	all := slices.DeleteFunc(strings.Split(strings.TrimSpace(r.log.String()), "\n"), func(line string) bool {
		return strings.Contains(line, `"msg":"request"`)
	})
	const most = 100
	if len(all) > most {
		all = append([]string{fmt.Sprintf("(%d lines before)", len(all)-most)}, all[len(all)-most:]...)
	}
	return strings.Join(all, "\n")
}
