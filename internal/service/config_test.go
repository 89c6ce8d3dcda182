package service

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// options makes LoadOptions of a user at home, with files that exist in the test alone.
func options(flags map[string]string, env []string, files map[string]string) LoadOptions {
	return LoadOptions{
		Flags: flags,
		Env:   append([]string{"HOME=/home/alice"}, env...),
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
		},
	}
}

// goodKey is 32 bytes in base64.
const goodKey = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	got, err := Load(options(nil, nil, nil))
	if err != nil {
		t.Fatalf("Load with nothing set: %v", err)
	}
	want := Config{
		Listen:            "127.0.0.1:8480",
		BaseURL:           "http://127.0.0.1:8480",
		DataDir:           "/home/alice/.local/share/signpost",
		LogLevel:          slog.LevelInfo,
		LogFormat:         "text",
		RequestsPerMinute: 600,
		baseURLAssumed:    true,

		RevocationMaxStale: 5 * time.Minute,
		AuditRetention:     400 * 24 * time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Load with nothing set\n got %+v\nwant %+v", got, want)
	}
}

func TestLoadOrder(t *testing.T) {
	t.Parallel()
	files := map[string]string{"signpost.yaml": "listen: 127.0.0.1:1\nlog_level: debug\nlog_format: json\n"}
	env := []string{"SIGNPOST_CONFIG=signpost.yaml", "SIGNPOST_LISTEN=127.0.0.1:2", "SIGNPOST_LOG_LEVEL=warn", "SIGNPOST_LOG_FORMAT="}
	got, err := Load(options(map[string]string{"listen": "127.0.0.1:3"}, env, files))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if got.Listen != "127.0.0.1:3" {
		t.Errorf("listen is %q, want the flag's 127.0.0.1:3 before environment and file", got.Listen)
	}
	if got.LogLevel != slog.LevelWarn {
		t.Errorf("log_level is %v, want the environment's warn before the file's debug", got.LogLevel)
	}
	if got.LogFormat != "json" {
		t.Errorf("log_format is %q, want the file's json: an empty variable sets nothing", got.LogFormat)
	}
}

func TestLoadGood(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"signpost.yaml": "base_url: https://id.example.com\ntrusted_proxies: [10.1.2.3/8, 192.0.2.1]\nlisten: \":80\"\nrequests_per_minute: 30\n",
		"key":           goodKey + "\n",
		"database":      "postgres://me:word@db.example.com/signpost\n",
		"forever.yaml":  "audit_retention: 0\n",
	}
	for name, c := range map[string]struct {
		flags map[string]string
		env   []string
		check func(Config) (got, want any)
	}{
		"base URL in its one spelling": {
			env:   []string{"SIGNPOST_BASE_URL=HTTPS://ID.Example.com/"},
			check: func(c Config) (any, any) { return c.BaseURL, "https://id.example.com" },
		},
		"base URL of IPv6 loopback": {
			flags: map[string]string{"listen": "[::1]:9000"},
			check: func(c Config) (any, any) { return c.BaseURL, "http://[::1]:9000" },
		},
		"base URL follows TLS": {
			flags: map[string]string{"tls-cert": "c.pem", "tls-key": "k.pem"},
			check: func(c Config) (any, any) { return c.BaseURL, "https://127.0.0.1:8480" },
		},
		"proxies in the file": {
			flags: map[string]string{"config": "signpost.yaml"},
			check: func(c Config) (any, any) {
				return c.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")}
			},
		},
		"proxies in the environment": {
			env: []string{"SIGNPOST_TRUSTED_PROXIES=10.0.0.0/8, ::1"},
			check: func(c Config) (any, any) {
				return c.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
			},
		},
		"a number in the file": {
			flags: map[string]string{"config": "signpost.yaml"},
			check: func(c Config) (any, any) { return c.RequestsPerMinute, 30 },
		},
		"all addresses with TLS": {
			flags: map[string]string{"listen": ":443", "base-url": "https://id.example.com", "tls-cert": "c.pem", "tls-key": "k.pem"},
			check: func(c Config) (any, any) { return c.Listen, ":443" },
		},
		"secret key from a file": {
			env:   []string{"SIGNPOST_SECRET_KEY_FILE=key"},
			check: func(c Config) (any, any) { return string(c.SecretKey), goodKey },
		},
		"database with its secret key": {
			env:   []string{"SIGNPOST_DATABASE_URL_FILE=database", "SIGNPOST_SECRET_KEY=" + goodKey},
			check: func(c Config) (any, any) { return string(c.DatabaseURL), "postgres://me:word@db.example.com/signpost" },
		},
		"Redis with Sentinel": {
			env:   []string{"SIGNPOST_REDIS_URL=redis+sentinel://a:1,b:2/0?master=m"},
			check: func(c Config) (any, any) { return string(c.RedisURL), "redis+sentinel://a:1,b:2/0?master=m" },
		},
		"known grants count for five minutes": {
			check: func(c Config) (any, any) { return c.RevocationMaxStale, 5 * time.Minute },
		},
		"known grants count for less": {
			env:   []string{"SIGNPOST_REVOCATION_MAX_STALE=3s"},
			check: func(c Config) (any, any) { return c.RevocationMaxStale, 3 * time.Second },
		},
		"audit for a month": {
			flags: map[string]string{"audit-retention": "30d"},
			check: func(c Config) (any, any) { return c.AuditRetention, 30 * 24 * time.Hour },
		},
		"audit for a day": {
			env:   []string{"SIGNPOST_AUDIT_RETENTION=24h"},
			check: func(c Config) (any, any) { return c.AuditRetention, 24 * time.Hour },
		},
		"audit for ever": {
			flags: map[string]string{"config": "forever.yaml"},
			check: func(c Config) (any, any) { return c.AuditRetention, time.Duration(0) },
		},
		"operators at all addresses": {
			flags: map[string]string{"operations-listen": ":9480"},
			check: func(c Config) (any, any) { return c.OperationsListen, ":9480" },
		},
		"secret key from the environment": {
			env:   []string{"SIGNPOST_SECRET_KEY=" + goodKey},
			check: func(c Config) (any, any) { return string(c.SecretKey), goodKey },
		},
		"the user's data folder": {
			env:   []string{"XDG_DATA_HOME=/data"},
			check: func(c Config) (any, any) { return c.DataDir, "/data/signpost" },
		},
		"variables of other commands": {
			env:   []string{"SIGNPOST_SERVER=http://127.0.0.1:8480", "SIGNPOST_TEST_POSTGRES=postgres://"},
			check: func(c Config) (any, any) { return c.Listen, defaultListen },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2, err := Load(options(c.flags, c.env, files))
			if err != nil {
				t.Fatalf("Load(flags %v, env %v): %v", c.flags, c.env, err)
			}
			if got, want := c.check(c2); !reflect.DeepEqual(got, want) {
				t.Errorf("Load(flags %v, env %v): got %v, want %v", c.flags, c.env, got, want)
			}
		})
	}
}

func TestLoadDataDirOfRoot(t *testing.T) {
	t.Parallel()
	o := options(nil, nil, nil)
	o.Root = true
	got, err := Load(o)
	if err != nil || got.DataDir != "/var/lib/signpost" {
		t.Errorf("Load as root: data_dir %q and error %v, want /var/lib/signpost", got.DataDir, err)
	}
}

func TestLoadBad(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"unknown.yaml": "listn: 127.0.0.1:1\ntls:\n  cert: x\n",
		"twice.yaml":   "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n",
		"list.yaml":    "- listen\n",
		"lists.yaml":   "data_dir: [a, b]\n",
		"empty":        "\n",
		"words":        "no key at all\n",
		"key":          "a2V5",
	}
	for name, c := range map[string]struct {
		flags map[string]string
		env   []string
		want  []string // where and a part of the message, one for each problem
	}{
		"unknown flag":                   {flags: map[string]string{"base": "x"}, want: []string{"--base: there is no such setting"}},
		"unknown variable":               {env: []string{"SIGNPOST_BASEURL=x"}, want: []string{"SIGNPOST_BASEURL: there is no such setting"}},
		"unknown keys of the file":       {flags: map[string]string{"config": "unknown.yaml"}, want: []string{"unknown.yaml: listn: there is no such setting", "unknown.yaml: tls.cert: there is no such setting"}},
		"file that does not exist":       {flags: map[string]string{"config": "gone.yaml"}, want: []string{"gone.yaml: open gone.yaml"}},
		"key twice in the file":          {flags: map[string]string{"config": "twice.yaml"}, want: []string{"twice.yaml: not a YAML mapping"}},
		"file that is a list":            {flags: map[string]string{"config": "list.yaml"}, want: []string{"list.yaml: not a YAML mapping"}},
		"list where one value goes":      {flags: map[string]string{"config": "lists.yaml"}, want: []string{"lists.yaml: data_dir: is a list"}},
		"listen without port":            {flags: map[string]string{"listen": "127.0.0.1"}, want: []string{"--listen: \"127.0.0.1\" is not an IP address and a port"}},
		"listen on a name":               {flags: map[string]string{"listen": "localhost:1"}, want: []string{"--listen: \"localhost:1\" is not"}},
		"network in the clear":           {flags: map[string]string{"listen": "192.0.2.1:80", "base-url": "https://id.example.com"}, want: []string{"--listen: \"192.0.2.1:80\" is not a loopback address"}},
		"all addresses in the clear":     {flags: map[string]string{"listen": ":80", "base-url": "https://id.example.com"}, want: []string{"--listen: \":80\" is not a loopback address"}},
		"no base URL for the network":    {flags: map[string]string{"listen": ":443", "tls-cert": "c", "tls-key": "k"}, want: []string{"base_url: is not set"}},
		"no base URL for any port":       {flags: map[string]string{"listen": "127.0.0.1:0"}, want: []string{"base_url: is not set"}},
		"base URL without scheme":        {env: []string{"SIGNPOST_BASE_URL=id.example.com"}, want: []string{"SIGNPOST_BASE_URL: \"id.example.com\" is not an http or https URL"}},
		"base URL of another scheme":     {flags: map[string]string{"base-url": "ftp://id.example.com"}, want: []string{"--base-url: \"ftp://id.example.com\" is not"}},
		"base URL without host":          {flags: map[string]string{"base-url": "https://:443"}, want: []string{"--base-url: \"https://:443\" is not"}},
		"base URL with path":             {flags: map[string]string{"base-url": "https://id.example.com/a"}, want: []string{"--base-url: has more than"}},
		"base URL with query":            {flags: map[string]string{"base-url": "https://id.example.com?"}, want: []string{"--base-url: has more than"}},
		"base URL with fragment":         {flags: map[string]string{"base-url": "https://id.example.com#"}, want: []string{"--base-url: has more than"}},
		"base URL with user":             {flags: map[string]string{"base-url": "https://me@id.example.com"}, want: []string{"--base-url: has more than"}},
		"base URL in the clear":          {flags: map[string]string{"base-url": "http://id.example.com"}, want: []string{"--base-url: \"http://id.example.com\" is not https"}},
		"base URL of a local name":       {flags: map[string]string{"base-url": "http://localhost:8480"}, want: []string{"--base-url: \"http://localhost:8480\" is not https"}},
		"base URL against TLS":           {flags: map[string]string{"base-url": "http://127.0.0.1:8480", "tls-cert": "c", "tls-key": "k"}, want: []string{"--base-url: \"http://127.0.0.1:8480\" is http, and"}},
		"certificate without key":        {flags: map[string]string{"tls-cert": "c"}, want: []string{"tls_cert and tls_key: one is set without the other"}},
		"proxies that are none":          {flags: map[string]string{"trusted-proxies": "proxy,10.0.0.0/33"}, want: []string{"--trusted-proxies: \"proxy\" is not a range", "--trusted-proxies: \"10.0.0.0/33\" is not a range"}},
		"proxies that are everybody":     {flags: map[string]string{"trusted-proxies": "0.0.0.0/0"}, want: []string{"--trusted-proxies: \"0.0.0.0/0\" would let everybody"}},
		"secret on the command line":     {flags: map[string]string{"secret-key": "a2V5"}, want: []string{"--secret-key: a secret on the command line"}},
		"secret key and its file":        {env: []string{"SIGNPOST_SECRET_KEY=a2V5", "SIGNPOST_SECRET_KEY_FILE=key"}, want: []string{"SIGNPOST_SECRET_KEY_FILE: secret_key is set too"}},
		"secret key file that is gone":   {env: []string{"SIGNPOST_SECRET_KEY_FILE=gone"}, want: []string{"SIGNPOST_SECRET_KEY_FILE: open gone"}},
		"secret key file that is empty":  {env: []string{"SIGNPOST_SECRET_KEY_FILE=empty"}, want: []string{"SIGNPOST_SECRET_KEY_FILE: \"empty\" is empty"}},
		"secret key that is too short":   {env: []string{"SIGNPOST_SECRET_KEY=a2V5"}, want: []string{"SIGNPOST_SECRET_KEY: seal: key 1 has 3 bytes"}},
		"secret key file without base64": {env: []string{"SIGNPOST_SECRET_KEY_FILE=words"}, want: []string{"SIGNPOST_SECRET_KEY_FILE: seal: key 1 is not base64"}},
		"database without a secret key":  {env: []string{"SIGNPOST_DATABASE_URL=postgres://db.example.com/signpost"}, want: []string{"SIGNPOST_DATABASE_URL: is set without a secret key"}},
		"database of another kind":       {env: []string{"SIGNPOST_DATABASE_URL=mysql://me:word@db.example.com"}, want: []string{"SIGNPOST_DATABASE_URL: does not begin with postgres://"}},
		"database on the command line":   {flags: map[string]string{"database-url": "postgres://me:word@db.example.com"}, want: []string{"--database-url: a secret on the command line"}},
		"database and its file":          {env: []string{"SIGNPOST_DATABASE_URL=postgres://a", "SIGNPOST_DATABASE_URL_FILE=gone"}, want: []string{"SIGNPOST_DATABASE_URL_FILE: database_url is set too"}},
		"Redis without scheme":           {env: []string{"SIGNPOST_REDIS_URL=redis.example.com:6379"}, want: []string{"SIGNPOST_REDIS_URL: does not begin with redis://"}},
		"operators on a name":            {flags: map[string]string{"operations-listen": "localhost:1"}, want: []string{"--operations-listen: \"localhost:1\" is not an IP address"}},
		"a stale time without a unit":    {flags: map[string]string{"revocation-max-stale": "300"}, want: []string{"--revocation-max-stale: \"300\" is not a length of time"}},
		"a stale time of a day":          {flags: map[string]string{"revocation-max-stale": "24h"}, want: []string{"--revocation-max-stale: \"24h\" is not a length of time"}},
		"audit for an hour":              {flags: map[string]string{"audit-retention": "23h59m"}, want: []string{"--audit-retention: \"23h59m\" is neither 0 nor"}},
		"audit for no whole days":        {flags: map[string]string{"audit-retention": "1.5d"}, want: []string{"--audit-retention: \"1.5d\" is neither 0 nor"}},
		"audit for less than nothing":    {flags: map[string]string{"audit-retention": "-400d"}, want: []string{"--audit-retention: \"-400d\" is neither 0 nor"}},
		"audit without a unit":           {flags: map[string]string{"audit-retention": "400"}, want: []string{"--audit-retention: \"400\" is neither 0 nor"}},
		"audit for longer than we know":  {flags: map[string]string{"audit-retention": "36501d"}, want: []string{"--audit-retention: \"36501d\" is neither 0 nor"}},
		"a negative delay":               {flags: map[string]string{"shutdown-delay": "-1s"}, want: []string{"--shutdown-delay: \"-1s\" is not a length of time"}},
		"log level":                      {flags: map[string]string{"log-level": "loud"}, want: []string{"--log-level: \"loud\" is not a level"}},
		"log format":                     {flags: map[string]string{"log-format": "xml"}, want: []string{"--log-format: \"xml\" is not a format"}},
		"requests that are not a number": {flags: map[string]string{"requests-per-minute": "many"}, want: []string{"--requests-per-minute: \"many\" is not a number"}},
		"fewer requests than none":       {flags: map[string]string{"requests-per-minute": "-1"}, want: []string{"--requests-per-minute: \"-1\" is not a number"}},
		"everything at once": {
			flags: map[string]string{"listen": "x", "log-level": "loud"}, env: []string{"SIGNPOST_OOPS=1"},
			want: []string{"SIGNPOST_OOPS: there is no such setting", "--log-level: \"loud\"", "--listen: \"x\""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Load(options(c.flags, c.env, files))
			problems, ok := errors.AsType[Problems](err)
			if !ok || len(problems) != len(c.want) {
				t.Fatalf("Load(flags %v, env %v): got %+v and error %v, want %d problems", c.flags, c.env, got, err, len(c.want))
			}
			lines := strings.Split(err.Error(), "\n")
			for i, p := range problems {
				if text := p.Where + ": " + p.Message; !strings.HasPrefix(text, c.want[i]) {
					t.Errorf("problem %d is %q, want it to begin with %q", i+1, text, c.want[i])
				}
				if p.Hint == "" {
					t.Errorf("problem %q does not say what to do", p.Message)
				}
				if !strings.HasPrefix(lines[i], c.want[i]) {
					t.Errorf("line %d of the error is %q, want it to begin with %q", i+1, lines[i], c.want[i])
				}
			}
		})
	}
}

// Whoever prints a configuration or an error of it must not print the key.
func TestLoadNeverShowsTheSecretKey(t *testing.T) {
	t.Parallel()
	const key = goodKey
	c, err := Load(options(nil, []string{"SIGNPOST_SECRET_KEY=" + key}, nil))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	for _, shown := range []string{fmt.Sprintf("%v", c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c)} {
		if strings.Contains(shown, key) {
			t.Errorf("the configuration prints its secret key: %s", shown)
		}
	}
	_, err = Load(options(nil, []string{"SIGNPOST_SECRET_KEY=" + key, "SIGNPOST_SECRET_KEY_FILE=gone", "SIGNPOST_LISTEN=x"}, nil))
	if err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("error with a secret key set is %v, want one that does not show it", err)
	}
}

func TestSettingsHaveThreeNames(t *testing.T) {
	t.Parallel()
	for _, s := range Settings() {
		if s.Key == "" || s.Env != "SIGNPOST_"+strings.ToUpper(s.Key) {
			t.Errorf("setting %+v: key and variable do not agree", s)
		}
		if (s.Flag == "") != (s.Usage == "") {
			t.Errorf("setting %+v: a flag needs a usage, and only a flag", s)
		}
	}
}
