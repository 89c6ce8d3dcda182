package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// composition is as much of the compose file as is checked.
type composition struct {
	Services map[string]struct {
		Image       string
		User        string
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		SecurityOpt []string `yaml:"security_opt"`
		Environment map[string]string
		Ports       []string
		Networks    []string
		Secrets     []string
		Entrypoint  []string
		Command     []string
		Healthcheck struct{ Test []string }
	}
	Networks map[string]struct{ Internal bool }
	Secrets  map[string]struct{ File string }
}

func compose(t testing.TB) composition {
	t.Helper()
	var c composition
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &c); err != nil {
		t.Fatalf("docker-compose.yml: %s", yaml.FormatError(err, false, true))
	}
	return c
}

// TestComposeAcceptsTheFile asks the oldest docker-compose that the file is for, Debian 12's.
func TestComposeAcceptsTheFile(t *testing.T) {
	t.Parallel()
	program := installed(t, "docker-compose", "docker-compose")
	for _, args := range [][]string{{}, {"--profile", "two"}} {
		command := exec.Command(program, append(args, "-f", "docker-compose.yml", "config", "-q")...)
		command.Dir = root
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("docker-compose %s: %v\n%s", strings.Join(command.Args[1:], " "), err, out)
		}
	}
}

func TestComposeGivesNobodyMoreThanNeeded(t *testing.T) {
	t.Parallel()
	c := compose(t)
	for name, s := range c.Services {
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s keeps capabilities (%q) or may get new ones (%q)", name, s.CapDrop, s.SecurityOpt)
		}
		if s.User == "" || s.User == "root" || strings.HasPrefix(s.User, "0") {
			t.Errorf("%s runs as %q, want a user that is not root", name, s.User)
		}
		if !s.ReadOnly && name != "postgres" {
			t.Errorf("%s may write to its image", name)
		}
		if len(s.Healthcheck.Test) == 0 {
			t.Errorf("%s has no healthcheck", name)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s, want 127.0.0.1 only: there is no TLS here", name, port)
			}
		}
		for variable := range s.Environment {
			if strings.HasPrefix(variable, "SIGNPOST_") {
				isSetting(t, "docker-compose.yml", variable)
			}
			if word := strings.ToLower(variable); (strings.Contains(word, "password") || strings.Contains(word, "secret") ||
				strings.HasSuffix(word, "_url") && !strings.HasSuffix(word, "base_url")) && !strings.HasSuffix(word, "_file") {
				t.Errorf("%s has %s in its environment, want a file", name, variable)
			}
		}
	}
	for _, name := range []string{"postgres", "redis"} {
		s := c.Services[name]
		if !regexp.MustCompile(`^` + name + `:\d+$`).MatchString(s.Image) {
			t.Errorf("%s is the image %q, want one major version", name, s.Image)
		}
		if len(s.Ports) > 0 || !slices.Equal(s.Networks, []string{"back"}) || !c.Networks["back"].Internal {
			t.Errorf("%s can be reached from outside: ports %q, networks %q", name, s.Ports, s.Networks)
		}
	}
}

// TestSecretsScript makes exactly the secrets that the compose file names, once.
func TestSecretsScript(t *testing.T) {
	t.Parallel()
	if info, err := os.Stat(filepath.Join(root, "deploy/secrets.sh")); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("deploy/secrets.sh may not be run: %v", err)
	}
	dir := secrets(t)
	c := compose(t)
	var want []string
	for name, s := range c.Secrets {
		want = append(want, name)
		if s.File != "deploy/secrets/"+name {
			t.Errorf("the secret %s is in %s, want deploy/secrets/%s", name, s.File, name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o444 || info.Size() == 0 {
			t.Errorf("%s has mode %v and %d bytes; the users of the containers must be able to read it", e.Name(), info.Mode(), info.Size())
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("deploy/secrets.sh makes %q, the compose file names %q", got, want)
	}
	for _, s := range c.Services {
		for _, name := range s.Secrets {
			if !slices.Contains(want, name) {
				t.Errorf("a service uses the secret %s, which is not declared", name)
			}
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the secrets has mode %v, %v, want 0700", info.Mode(), err)
	}

	before, err := os.ReadFile(filepath.Join(dir, "secret_key"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", filepath.Join(dir, "..", "secrets.sh")).CombinedOutput(); err == nil {
		t.Errorf("a second deploy/secrets.sh ended well: %s", out)
	}
	after, err := os.ReadFile(filepath.Join(dir, "secret_key"))
	if err != nil || string(after) != string(before) {
		t.Errorf("a second deploy/secrets.sh changed the secret key (%v)", err)
	}
}

// TestSecretsAreTaken: Signpost takes the files that the script makes as settings.
func TestSecretsAreTaken(t *testing.T) {
	t.Parallel()
	dir := secrets(t)
	command := exec.Command(signpost(t), "config", "check")
	for variable, value := range compose(t).Services["signpost"].Environment {
		value = regexp.MustCompile(`\$\{[A-Z_]+:-(.*)\}`).ReplaceAllString(value, "$1")
		command.Env = append(command.Env, variable+"="+strings.Replace(value, "/run/secrets", dir, 1))
	}
	out, err := command.CombinedOutput()
	// All settings were taken: what fails is the way to a database that is not here.
	if err == nil || strings.Contains(string(out), "SIGNPOST_") || !strings.Contains(string(out), "postgres") {
		t.Errorf("signpost config check with the settings of the compose file: %v, want only that there is no database\n%s", err, out)
	}
	for _, name := range []string{"postgres_password", "secret_key"} {
		secret, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), strings.TrimSpace(string(secret))) {
			t.Errorf("signpost config check shows %s", name)
		}
	}
}

// secrets runs deploy/secrets.sh in a folder of its own and returns where it put them.
func secrets(t testing.TB) string {
	t.Helper()
	deploy := filepath.Join(t.TempDir(), "deploy")
	if err := os.Mkdir(deploy, 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(deploy, "secrets.sh")
	if err := os.WriteFile(script, []byte(read(t, "deploy/secrets.sh")), 0o600); err != nil {
		t.Fatal(err)
	}
	// Not the file itself: a child of another test may still have it open for writing.
	if out, err := exec.Command("sh", script).CombinedOutput(); err != nil {
		t.Fatalf("deploy/secrets.sh: %v\n%s", err, out)
	}
	return filepath.Join(deploy, "secrets")
}
