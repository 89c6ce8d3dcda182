package deploy

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// installation is what an operator has: a folder of settings, one of data and one
// for backups, and the programs. The guide's paths stand for its own.
type installation struct {
	t      testing.TB
	paths  *strings.Replacer // from the guide's to its own
	env    []string
	url    string
	listen string
	ready  string // URL of /readyz
}

// server is a "signpost serve" of an installation.
type server struct {
	*installation
	cmd    *exec.Cmd
	output output
	ended  chan error
}

// output keeps what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// freeAddress returns an address of this machine that was free a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts a server and waits until it is ready. It ends with the test.
func (i *installation) serve() *server {
	i.t.Helper()
	s := &server{installation: i, ended: make(chan error, 1)}
	s.cmd = exec.Command(signpost(i.t), "serve")
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = i.env, &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	i.t.Cleanup(s.kill)
	eventually(i.t, "signpost serve is ready", func() bool {
		select {
		case err := <-s.ended:
			s.ended <- err
			i.t.Fatalf("signpost serve ended: %v\n%s", err, &s.output)
		default:
		}
		res, err := http.Get(i.ready)
		if err != nil {
			return false
		}
		_ = res.Body.Close() // only the status counts
		return res.StatusCode == http.StatusOK
	})
	return s
}

// kill ends the server as a power cut would, and waits until it has ended.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	s.ended <- <-s.ended
}

// sh runs lines of a shell as the guide has them, with its paths replaced.
func (i *installation) sh(script string) string {
	i.t.Helper()
	command := exec.Command("sh", "-euc", i.paths.Replace(script))
	command.Env = i.env
	out, err := command.CombinedOutput()
	if err != nil {
		i.t.Fatalf("%s\n%v\n%s", command.Args[2], err, out)
	}
	return string(out)
}

// block returns the block of the guide that begins with a comment. What it tells
// systemd to do is left out: here the test starts and stops.
func block(t testing.TB, title string) string {
	t.Helper()
	_, after, found := strings.Cut(read(t, "docs/guides/production.md"), "```sh\n# "+title+"\n")
	text, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("docs/guides/production.md has no block %q", title)
	}
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "systemctl ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// settings returns the settings that the guide shows.
func settings(t testing.TB) string {
	t.Helper()
	_, after, found := strings.Cut(read(t, "docs/guides/production.md"), "```yaml\nbase_url: ")
	text, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("docs/guides/production.md shows no settings")
	}
	return fmt.Sprint("base_url: ", text)
}
