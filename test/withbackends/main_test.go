package main

import (
	"bufio"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// self makes the test's binary be withbackends itself.
const self = "SIGNPOST_TEST_WITHBACKENDS"

// patience is how long servers may take to be gone.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(self) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// withBackends is withbackends with a command for a shell.
func withBackends(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	if os.Getenv("CI") == "" && os.Getenv("SIGNPOST_TEST_ALL") == "" {
		t.Skip("starts servers; make test-all runs this")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // also for what is left when it is killed
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err) // it must be open for the user as whom PostgreSQL runs
	}
	cmd := exec.Command(binary, "--", "sh", "-c", script)
	cmd.Env = append(os.Environ(), self+"=1", "TMPDIR="+dir)
	return cmd
}

func TestCommandSeesEveryServerAndItsExitCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	cmd := withBackends(t, `env; exit 7`)
	var messages strings.Builder
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != 7 {
		t.Fatalf("withbackends ends with %v, want exit code 7\n%s", err, &messages)
	}
	for variable, prefix := range map[string]string{
		"SIGNPOST_TEST_POSTGRES": "postgres://", "SIGNPOST_TEST_REDIS": "redis://", "SIGNPOST_TEST_REDIS_TLS": "rediss://",
		"SIGNPOST_TEST_REDIS_CA": "/", "SIGNPOST_TEST_REDIS_SENTINEL": "redis+sentinel://", "SIGNPOST_TEST_REDIS_CLUSTER": "redis+cluster://",
	} {
		if !strings.Contains("\n"+string(out), "\n"+variable+"="+prefix) {
			t.Errorf("the command does not find %s=%s...", variable, prefix)
		}
	}
	if lines := strings.Count(messages.String(), "started in"); lines != len(starters) {
		t.Errorf("%d servers are reported, want %d:\n%s", lines, len(starters), &messages)
	}
}

func TestServersEndHoweverWithbackendsEnds(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]os.Signal{"interrupted": os.Interrupt, "killed": os.Kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The command ends when nobody holds its input any more.
			cmd := withBackends(t, `echo $SIGNPOST_TEST_POSTGRES; echo $SIGNPOST_TEST_REDIS; read nothing`)
			input, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer input.Close()
			output, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(output)
			var hosts []string
			for len(hosts) < 2 && lines.Scan() {
				u, err := url.Parse(lines.Text())
				if err != nil {
					t.Fatal(err)
				}
				if !listening(u.Host) {
					t.Errorf("nobody listens on %s", u.Host)
				}
				hosts = append(hosts, u.Host)
			}
			if len(hosts) != 2 {
				t.Fatalf("the command printed %d URLs, want 2", len(hosts))
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Errorf("withbackends ends well after %v", signal)
			}
			for _, host := range hosts {
				awaitSilence(t, host)
			}
		})
	}
}

func listening(host string) bool {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// awaitSilence waits until nobody listens any more.
func awaitSilence(t *testing.T, host string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for listening(host) {
		select {
		case <-late:
			t.Fatalf("%v later somebody still listens on %s", patience, host)
		case <-tick.C:
		}
	}
}
