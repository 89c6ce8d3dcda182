// Package deploy checks what only an operator would notice otherwise: the image's
// recipe, the compose file, the systemd unit, and that the commands of
// docs/guides/production.md do what it says. It builds the binary as the image does
// and runs it as a process of its own. No container engine is needed.
package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/service"
)

const (
	root = "../.."
	// patience is how long a process may take to start or to end on a busy machine.
	patience = 60 * time.Second
)

// binaryFolder hands the folder of the binary from TestMain to build.
const binaryFolder = "SIGNPOST_TEST_BINARY_FOLDER"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "signpost-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv(binaryFolder, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds the binary once, with the command of the Dockerfile.
var build = sync.OnceValues(func() (string, error) {
	instructions, err := dockerfile()
	if err != nil {
		return "", err
	}
	line := ""
	for _, i := range instructions {
		if i.name == "RUN" && strings.Contains(i.text, "go build") {
			line = i.text
		}
	}
	binary := filepath.Join(os.Getenv(binaryFolder), "signpost")
	command := exec.Command("sh", "-euc", strings.Replace(line, "/out/signpost", binary, 1))
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return binary, nil
})

// signpost returns the binary. Building it takes a while, so this is for test-all.
func signpost(t testing.TB) string {
	t.Helper()
	if !everything() {
		t.Skip("builds the binary of the image; make test-all runs this")
	}
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// everything reports whether nothing may be left out unseen.
func everything() bool { return os.Getenv("CI") != "" || os.Getenv("SIGNPOST_TEST_ALL") != "" }

// installed finds a program.
func installed(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case everything():
		t.Fatalf("no %s: %v; install Debian's package %s", name, err, debianPackage)
	default:
		t.Skipf("no %s: %v; Debian's package %s has it", name, err, debianPackage)
	}
	return ""
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// isSetting checks that a variable of a deployment is one that Signpost knows. It
// refuses to start with another one that begins with SIGNPOST_.
func isSetting(t testing.TB, file, variable string) {
	t.Helper()
	known := variable == "SIGNPOST_CONFIG"
	for _, s := range service.Settings() {
		known = known || s.Env == variable
	}
	if !known {
		t.Errorf("%s sets %s, and there is no such setting", file, variable)
	}
}

// eventually asks again and again until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
