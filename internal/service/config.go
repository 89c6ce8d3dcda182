package service

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"signpost/directory"
)

// Config is what a server needs to know before it starts. The comments of its
// fields are docs/configuration.md. Its zero value is not usable; Load makes it.
type Config struct {
	// Listen is the IP address and port on which the server answers. An empty
	// address (":8480") means all addresses of the machine, and then TLS or
	// trusted proxies must be set.
	//
	// Default: 127.0.0.1:8480. Optional.
	Listen string `koanf:"listen" usage:"IP address and port to listen on"`

	// BaseURL is the URL under which people and programs reach this installation.
	// Every URL that Signpost publishes begins with it, whatever Host a request
	// names, and the first tenant's issuer is this URL. It has no path, query
	// or fragment, and is https unless it is a loopback address.
	//
	// "signpost apply" needs it only before the first start of the server: after it,
	// the one that is served counts, and another one is refused.
	//
	// Default: the address of listen when that is a loopback address. Otherwise it
	// must be set.
	BaseURL string `koanf:"base_url" usage:"URL under which this installation is reached"`

	// TLSCert is a file with the server's certificate and its chain, PEM. Give
	// tls_key too. When the files change, as they do when the certificate is renewed,
	// the server takes up the new ones within a minute, without a restart.
	//
	// Default: none, the server speaks plain HTTP. Optional.
	TLSCert string `koanf:"tls_cert" usage:"file with the certificate chain (PEM)"`

	// TLSKey is a file with the private key of tls_cert, PEM.
	//
	// Default: none. Optional.
	TLSKey string `koanf:"tls_key" usage:"file with the private key of the certificate (PEM)"`

	// TrustedProxies are the addresses of the reverse proxies in front of the
	// server, as CIDR ranges or single addresses, separated by commas outside of
	// the file. Only they are believed when they say for whom they ask.
	//
	// Default: none, nobody is believed. Optional.
	TrustedProxies []netip.Prefix `koanf:"trusted_proxies" usage:"CIDR ranges of the reverse proxies to believe, separated by commas"`

	// DataDir is the folder of the SQLite database and of secret.key. It is made with
	// mode 0700 if it does not exist. With database_url it is not used.
	//
	// Default: /var/lib/signpost for root. For everybody else $XDG_DATA_HOME/signpost,
	// or ~/.local/share/signpost where that variable is not set. Optional.
	DataDir string `koanf:"data_dir" usage:"folder of the database and the secret key"`

	// SecretKey seals what must not be read in the database: 32 random bytes in
	// base64. Several keys, one a line, are tried in turn; the first one seals. It
	// is a secret, so there is no flag for it: give the variable, or better a
	// file that only the server can read, with secret_key_file. A database opens only
	// with the key that it was made with.
	//
	// Default: secret.key in the data folder, made together with the database. Optional.
	SecretKey directory.Secret `koanf:"secret_key" flag:"none"`

	// SecretKeyFile is a file that holds what secret_key would. Only one of the two
	// may be set.
	//
	// Default: none. Optional.
	SecretKeyFile string `koanf:"secret_key_file" usage:"file with the key that seals secrets"`

	// DatabaseURL is the PostgreSQL database that all replicas share:
	// postgres://user:password@host:5432/signpost?sslmode=verify-full. It is a secret, so
	// there is no flag for it: give the variable, or better a file that only the
	// server can read, with database_url_file. With it the data folder is not used, and
	// the secret key must be given, the same to every replica.
	//
	// Default: none, the database is a SQLite file in the data folder. Optional.
	DatabaseURL directory.Secret `koanf:"database_url" flag:"none"`

	// DatabaseURLFile is a file that holds what database_url would. Only one of the two
	// may be set.
	//
	// Default: none. Optional.
	DatabaseURLFile string `koanf:"database_url_file" usage:"file with the URL of the PostgreSQL database"`

	// RedisURL is the Redis that all replicas share for what may be lost: sign-ins in
	// flight, codes, limits. One server is redis://user:password@host:6379/0, several with
	// Sentinel redis+sentinel://host1:26379,host2:26379/0?master=name, a cluster
	// redis+cluster://host1:6379,host2:6379. With rediss in the place of redis it speaks TLS.
	// It is a secret as database_url is.
	//
	// Default: none, the memory of the process. Several replicas need it. Optional.
	RedisURL directory.Secret `koanf:"redis_url" flag:"none"`

	// RedisURLFile is a file that holds what redis_url would. Only one of the two may be
	// set.
	//
	// Default: none. Optional.
	RedisURLFile string `koanf:"redis_url_file" usage:"file with the URL of Redis"`

	// OperationsListen is the IP address and port of /livez, /readyz and /metrics. They are
	// for operators and have a listener of their own, plain HTTP: do not open it to the
	// network that people come from. They hold nothing personal and no secret.
	//
	// Default: none, there is no such listener. Optional.
	OperationsListen string `koanf:"operations_listen" usage:"IP address and port of /livez, /readyz and /metrics"`

	// RevocationMaxStale is how long tokens of grants that this replica knows are still
	// exchanged while the database cannot say whether they have ended. After it the
	// answer is 503.
	//
	// Default: 5m. Optional.
	RevocationMaxStale time.Duration `koanf:"revocation_max_stale" usage:"how long known grants count while the database is away"`

	// ShutdownDelay is how long the server goes on answering after it was told to stop,
	// while /readyz says that it is not ready: the time in which a load balancer
	// notices. Then the listener closes, and requests in hand are finished.
	//
	// Default: 0s. Optional.
	ShutdownDelay time.Duration `koanf:"shutdown_delay" usage:"how long to go on while a load balancer notices the stop"`

	// AuditRetention is how long events stay in the audit record, in days ("400d") or hours
	// ("9600h"), a day at least; 0 keeps them for ever. What is older is removed by the server
	// within an hour or two, and the database refuses to remove anything else. 400 days let
	// you look into what is found out a year later and compare a month with the same one
	// of the year before; the record names people, so keep it no longer than you have a
	// reason to.
	//
	// Default: 400d. Optional.
	AuditRetention time.Duration `koanf:"audit_retention" usage:"how long audit events are kept; 0 is for ever"`

	// LogLevel is how much is logged: debug, info, warn or error.
	//
	// Default: info. Optional.
	LogLevel slog.Level `koanf:"log_level" usage:"debug, info, warn or error"`

	// LogFormat is how a line of the log looks: text for people, json for programs.
	// Neither holds tokens, codes or e-mail addresses.
	//
	// Default: text. Optional.
	LogFormat string `koanf:"log_format" usage:"text or json"`

	// RequestsPerMinute is how many requests one address may send to the endpoints
	// of sign-in and tokens in a minute before it is told to wait. 0 means the default.
	//
	// Default: 600. Optional.
	RequestsPerMinute int `koanf:"requests_per_minute" usage:"requests a minute from one address to sign-in and token endpoints"`

	// Nobody set BaseURL: it is the default. What was served before is better knowledge.
	baseURLAssumed bool
}

// Values that stand where nothing is set.
const (
	defaultListen            = "127.0.0.1:8480"
	defaultRequestsPerMinute = 600

	defaultRevocationMaxStale = 5 * time.Minute
	defaultAuditRetention     = 400 * day
)

// Setting is one setting of Config under its three names.
type Setting struct {
	Key   string // in the file: "base_url"
	Flag  string // on the command line, without dashes: "base-url"; empty for secrets
	Env   string // in the environment: "SIGNPOST_BASE_URL"
	Usage string // a few words for the help of the flag
}

// Settings returns every setting in the order of Config. The command line makes
// its flags from it, so that no setting lacks one.
func Settings() []Setting {
	var settings []Setting
	for field := range reflect.TypeFor[Config]().Fields() {
		key, ok := field.Tag.Lookup("koanf")
		if !ok {
			continue
		}
		s := Setting{Key: key, Env: envPrefix + strings.ToUpper(key), Usage: field.Tag.Get("usage")}
		if field.Tag.Get("flag") != "none" {
			s.Flag = strings.ReplaceAll(key, "_", "-")
		}
		settings = append(settings, s)
	}
	return settings
}

func settingNamed(key string) (Setting, bool) {
	settings := Settings()
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		return Setting{}, false
	}
	return settings[i], true
}
