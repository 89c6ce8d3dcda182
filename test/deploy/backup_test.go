package deploy

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/test/backends"
)

// install makes an installation as the guide says. The database, if one is given, is
// PostgreSQL's, else SQLite's.
func install(t testing.TB, database string) *installation {
	t.Helper()
	dir := t.TempDir()
	data, settingsDir := filepath.Join(dir, "data"), filepath.Join(dir, "etc")
	i := &installation{t: t, listen: freeAddress(t)}
	i.url = "http://" + i.listen
	operations := freeAddress(t)
	i.ready = "http://" + operations + "/readyz"
	i.paths = strings.NewReplacer("/var/lib/signpost", data, "/etc/signpost", settingsDir, "/var/backups/signpost", filepath.Join(dir, "backups"))
	i.env = []string{
		"PATH=" + filepath.Dir(signpost(t)) + ":" + os.Getenv("PATH"),
		"SIGNPOST_CONFIG=" + filepath.Join(settingsDir, "signpost.yaml"),
		"SIGNPOST_LISTEN=" + i.listen, "SIGNPOST_BASE_URL=" + i.url, "SIGNPOST_OPERATIONS_LISTEN=" + operations,
	}
	if database != "" {
		i.env = append(i.env, "SIGNPOST_DATABASE_URL="+database)
	}
	for _, folder := range []string{settingsDir, filepath.Join(dir, "backups")} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	i.write("/etc/signpost/signpost.yaml", i.paths.Replace(settings(t)))
	i.sh("head -c 32 /dev/urandom | base64 | install -m 0600 /dev/stdin /etc/signpost/secret.key")
	return i
}

// write writes a file at a path of the guide.
func (i *installation) write(name, text string) {
	i.t.Helper()
	if err := os.WriteFile(i.paths.Replace(name), []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// keys returns the public keys that the server publishes.
func (i *installation) keys() string {
	i.t.Helper()
	res, err := http.Get(i.url + "/jwks")
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		i.t.Fatalf("keys: %d, %v", res.StatusCode, err)
	}
	return string(text)
}

// survives copies while the server runs, loses everything, and puts the copy back.
// What was there is there again: the tenants, the keys, and who was signed in.
func survives(t testing.TB, i *installation, copyIt func(), putBack func()) {
	t.Helper()
	p := provider(t)
	i.write("/etc/signpost/tenants.yaml", declaration(p))
	i.write("/etc/signpost/none.yaml", "tenants: []\n")
	s := i.serve()
	i.sh("signpost apply -f /etc/signpost/tenants.yaml")
	eventually(t, "the tenant is served", func() bool {
		res, err := http.Get(i.url + "/jwks")
		if err != nil {
			return false
		}
		_ = res.Body.Close() // only the status counts
		return res.StatusCode == http.StatusOK
	})
	before, published := signIn(t, i.url), i.keys()

	copyIt()
	i.sh("signpost apply --prune -f /etc/signpost/none.yaml")
	s.kill()
	putBack()

	i.serve()
	if got := i.sh("signpost apply -f /etc/signpost/tenants.yaml"); got != "nothing to change\n" {
		t.Errorf("after the restore, applying the same declaration says %q, want that there is nothing to change", got)
	}
	if got := i.keys(); got != published {
		t.Errorf("after the restore the keys are %s, before they were %s", got, published)
	}
	after := refreshed(t, i.url, before)
	if after.AccessToken == "" || after.AccessToken == before.AccessToken {
		t.Errorf("after the restore the refresh token gave no new token: %v", after)
	}
}

func TestBackupOfSQLite(t *testing.T) {
	t.Parallel()
	i := install(t, "")
	survives(t, i,
		func() { i.sh(block(t, "copy SQLite")) },
		func() { i.sh(block(t, "put SQLite back")) },
	)
	// It can be done again: every night, and after each restore.
	i.sh(block(t, "copy SQLite"))
}

func TestBackupOfPostgres(t *testing.T) {
	t.Parallel()
	database := backends.Postgres(t)
	installed(t, "pg_dump", "postgresql-client")
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal("the URL of the database is none")
	}
	password, _ := u.User.Password()
	user, name := u.User.Username(), strings.TrimPrefix(u.Path, "/")
	restored := name + "_restored"

	i := install(t, database)
	i.env = append(i.env, "PGHOST="+u.Hostname(), "PGPORT="+u.Port(), "PGUSER="+user, "PGPASSWORD="+password)
	names := strings.NewReplacer("signpost_restored", restored, "owner=signpost", "owner="+user, "role=signpost", "role="+user,
		" signpost\n", " "+name+"\n")
	t.Cleanup(func() { i.sh("dropdb --force --if-exists " + restored) })
	survives(t, i,
		func() { i.sh(names.Replace(block(t, "copy PostgreSQL"))) },
		func() {
			i.sh(names.Replace(block(t, "put PostgreSQL back")))
			u.Path = "/" + restored
			i.env = append(i.env, "SIGNPOST_DATABASE_URL="+u.String())
		},
	)
}
