package deploy

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// instruction is a line of a Dockerfile.
type instruction struct{ name, text string }

// dockerfile reads the Dockerfile, whose instructions have one line each.
func dockerfile() ([]instruction, error) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	var found []instruction
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		found = append(found, instruction{name, strings.TrimSpace(rest)})
	}
	return found, nil
}

// texts returns what follows an instruction, for each of its kind.
func texts(instructions []instruction, name string) (found []string) {
	for _, i := range instructions {
		if i.name == name {
			found = append(found, i.text)
		}
	}
	return found
}

func TestImageIsSmallAndNotRoot(t *testing.T) {
	t.Parallel()
	all, err := dockerfile()
	if err != nil {
		t.Fatal(err)
	}
	last := slices.Index(all, instruction{"FROM", "scratch"})
	if last < 0 || len(texts(all[last+1:], "FROM")) > 0 {
		t.Fatal("the last stage of the Dockerfile is not scratch")
	}
	final := all[last:]
	if user := texts(final, "USER"); len(user) != 1 || !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(user[0]) {
		t.Errorf("USER is %q, want one, by number, and not 0: scratch knows no names", user)
	}
	if run := texts(final, "RUN"); len(run) > 0 {
		t.Errorf("the last stage runs %q, and has no shell", run)
	}
	for _, name := range []string{"ENTRYPOINT", "CMD"} {
		if text := texts(final, name); len(text) != 1 || !strings.HasPrefix(text[0], "[") {
			t.Errorf("%s is %q, want one list: there is no shell", name, text)
		}
	}
	if health := texts(final, "HEALTHCHECK"); len(health) != 1 || !strings.HasSuffix(health[0], `CMD ["signpost", "ready"]`) {
		t.Errorf("HEALTHCHECK is %q, want one that asks signpost ready", health)
	}
	if !slices.ContainsFunc(texts(final, "COPY"), func(s string) bool { return strings.HasSuffix(s, "/etc/ssl/certs/ca-certificates.crt") }) {
		t.Error("the image has no certificates of authorities: it could not reach an identity provider")
	}
	for _, text := range texts(final, "ENV") {
		variable, _, _ := strings.Cut(text, "=")
		if strings.HasPrefix(variable, "SIGNPOST_") {
			isSetting(t, "Dockerfile", variable)
		}
	}
}

// The image is built by the Go that go.mod asks for.
func TestImageHasTheGoOfGoMod(t *testing.T) {
	t.Parallel()
	match := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if match == nil {
		t.Fatal("go.mod has no go directive")
	}
	all, err := dockerfile()
	if err != nil {
		t.Fatal(err)
	}
	if want, got := "golang:"+match[1]+" AS build", texts(all, "FROM")[0]; got != want {
		t.Errorf("Dockerfile builds FROM %s, want %s", got, want)
	}
}

// What git does not know stays out of the image, secrets above all, and nothing that
// it knows does: the version would say that the tree was modified.
func TestImageIgnoresWhatGitIgnores(t *testing.T) {
	t.Parallel()
	patterns := func(name string) (found []string) {
		for line := range strings.Lines(read(t, name)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				found = append(found, line)
			}
		}
		slices.Sort(found)
		return found
	}
	if git, docker := patterns(".gitignore"), patterns(".dockerignore"); !slices.Equal(git, docker) {
		t.Errorf(".gitignore has %q, .dockerignore has %q, want the same", git, docker)
	}
}

// TestBinaryIsStatic: the image has no C library and no loader.
func TestBinaryIsStatic(t *testing.T) {
	t.Parallel()
	binary := signpost(t)
	if runtime.GOOS == "linux" {
		file, err := elf.Open(binary)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for _, p := range file.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("the binary has a segment %v: it is not static", p.Type)
			}
		}
	}
	command := exec.Command(binary, "version")
	command.Env, command.Dir = []string{}, t.TempDir()
	out, err := command.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "signpost ") {
		t.Errorf("signpost version, with an empty environment: %v, %q", err, out)
	}
	if strings.Contains(string(out), "go: ") {
		t.Errorf("signpost version prints %q", out)
	}
}
