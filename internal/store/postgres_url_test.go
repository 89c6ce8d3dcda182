package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestParsePostgresAsksForCertificates: nobody on the way to the database reads
// along, unless the URL says in as many words that this does not matter.
func TestParsePostgresAsksForCertificates(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"postgres://u:p@db.example.com/signpost":                                    true,
		"postgresql://u:p@db.example.com:6432/signpost":                             true,
		"postgres://u:p@db.example.com/signpost?application_name=x":                 true,
		"postgres://u:p@10.0.0.7/signpost":                                          true,
		"postgres://u:p@[2001:db8::7]:5432/signpost":                                true,
		"postgres://u:p@localhost.example.com/signpost":                             true,
		"postgres://u:p@db1.example.com,db2.example.com/signpost":                   true,
		"postgres://u:p@localhost,db2.example.com/signpost":                         true,
		"postgres://u:p@db1.example.com,127.0.0.1/signpost":                         true,
		"postgres://u:p@/signpost?host=db.example.com":                              true,
		"postgres://u:p@db.example.com/signpost?sslmode=verify-full":                true,
		"postgres://u:p@db.example.com/signpost?sslmode=disable":                    false,
		"postgres://u:p@db.example.com/signpost?sslmode=require":                    false,
		"postgres://u:p@db.example.com/signpost?application_name=x&sslmode=disable": false,
		"postgres://u:p@localhost/signpost":                                         false,
		"postgres://u:p@127.0.0.1:54320/signpost":                                   false,
		"postgres://u:p@127.8.8.8/signpost":                                         false,
		"postgres://u:p@[::1]/signpost":                                             false,
		"postgres://u@/signpost?host=/run/postgresql":                               false,
	} {
		config, err := parsePostgres(url)
		if err != nil {
			t.Errorf("parsePostgres(%q): %v", url, err)
			continue
		}
		if got := verified(config); got != want {
			t.Errorf("every connection of %q is verified: %v, want %v", url, got, want)
		}
	}
}

// verified reports whether every connection that a configuration may make shows a
// certificate for its name.
func verified(config *pgx.ConnConfig) bool {
	full := func(c *pgx.ConnConfig) bool {
		return c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify && c.TLSConfig.ServerName == c.Host
	}
	if !full(config) {
		return false
	}
	for _, fallback := range config.Fallbacks {
		one := config.Copy()
		one.Host, one.TLSConfig = fallback.Host, fallback.TLSConfig
		if !full(one) {
			return false
		}
	}
	return true
}

func TestParsePostgresTakesWhatTheURLSays(t *testing.T) {
	t.Parallel()
	bare, err := parsePostgres("postgres://u:p@localhost/signpost")
	if err != nil {
		t.Fatalf("parsePostgres: %v", err)
	}
	if bare.ConnectTimeout != connectWithin || bare.ValidateConnect == nil || bare.RuntimeParams["application_name"] != "signpost" {
		t.Errorf("a bare URL connects within %v, checks the server: %v, as %q", bare.ConnectTimeout, bare.ValidateConnect != nil, bare.RuntimeParams["application_name"])
	}
	full, err := parsePostgres("postgres://u:p%40ss@localhost/signpost?connect_timeout=7&target_session_attrs=any&application_name=mine&lock_timeout=1s&search_path=own")
	if err != nil {
		t.Fatalf("parsePostgres: %v", err)
	}
	if full.ConnectTimeout != 7*time.Second || full.ValidateConnect != nil || full.Password != "p@ss" {
		t.Errorf("it connects within %v, checks the server: %v; want what the URL says", full.ConnectTimeout, full.ValidateConnect != nil)
	}
	for name, want := range map[string]string{
		"application_name": "mine", "lock_timeout": "1s", "search_path": "own", "statement_timeout": "5min",
	} {
		if got := full.RuntimeParams[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := hosts(full); !slices.Contains(got, "localhost") {
		t.Errorf("hosts = %q, want localhost", got)
	}
}

// TestParsePostgresShowsNoPassword: what cannot be read may have the password
// anywhere, also where a host, a port or a database is expected.
func TestParsePostgresShowsNoPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"",
		"hunter2",
		"mysql://u:hunter2@localhost/signpost",
		"host=localhost user=u password=hunter2",
		"postgres:/u:hunter2@localhost/signpost",
		"postgres://u:hunter2@local host/signpost?sslmode=%zz",
		"postgres://u:hunter2@localhost:port/signpost",
		"postgres://u:hunter2@localhost:99999/signpost",
		"postgres://u:hunter2@localhost/signpost?sslmode=strict",
		"postgres://u:hunter2@localhost/signpost?connect_timeout=soon",
		"postgres://u:hunter2@localhost/signpost?default_query_exec_mode=odd",
		"postgres://u:hunter2@localhost/signpost?target_session_attrs=none",
		"postgres://u:hunter2@db.example.com/signpost?sslrootcert=/does/not/exist.pem",
		"postgres://u:hunt/er2@localhost/signpost",
		"postgres://u:hunt?er2@localhost/signpost",
		"postgres://u:hunt#er2@localhost/signpost",
		"postgres://u:hunt@er2@localhost/signpost",
		"postgres://u:hunt er2@localhost/signpost",
		"postgres://u:hunt%er2@localhost/signpost",
		"postgres://u:1/hunter2@localhost/signpost",
		"postgres://u:hunter2@[localhost/signpost",
		"postgres://u:hunter2@local\x00host/signpost\x7f?a=%",
		"postgres://u@localhost/signpost?sslmode=odd&password=hunter2",
		"postgres://u@localhost/signpost?sslmode=odd&pass%77ord=hunter2",
	} {
		_, err := parsePostgres(url)
		if err == nil {
			t.Errorf("parsePostgres(%q) = nil, want an error", url)
			continue
		}
		for _, piece := range []string{"hunt", "er2"} {
			if strings.Contains(err.Error(), piece) {
				t.Errorf("parsePostgres(%q) = %q, which shows %q", url, err, piece)
			}
		}
	}
}

// TestParsePostgresSaysWhatIsWrong where it is certain that this is not the password.
func TestParsePostgresSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://u:p@localhost/signpost?sslmode=strict":                           "sslmode is invalid",
		"postgres://u:p@db.example.com/signpost?sslrootcert=/does/not/exist.pem":     "/does/not/exist.pem",
		"postgres://u:p@localhost/signpost?default_query_exec_mode=x&sslmode=strict": "sslmode is invalid",
		"mysql://u:p@localhost/signpost":                                             "postgres://user:password@host",
		"postgres://u:p/w@localhost/signpost":                                        "percent-encoded",
	} {
		if _, err := parsePostgres(url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parsePostgres(%q) = %v, want an error with %q", url, err, want)
		}
	}
}
