package store

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errURL says what is wanted, and nothing of what was given: a URL that cannot be
// read may have its password anywhere.
var errURL = errors.New("the database URL is none of the form postgres://user:password@host:port/database?option=value; special characters in user and password are percent-encoded")

// parsePostgres reads a database URL and fills in what it leaves open.
func parsePostgres(given string) (*pgx.ConnConfig, error) {
	options, err := splitOptions(given)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(given)
	if err != nil {
		return nil, withoutURL(err)
	}
	if !options.Has("sslmode") && !options.Has("ssl") && slices.ContainsFunc(hosts(config), isRemote) {
		if config, err = pgx.ParseConfig(withOption(given, "sslmode=verify-full")); err != nil {
			return nil, withoutURL(err)
		}
	}
	if !options.Has("connect_timeout") {
		config.ConnectTimeout = connectWithin
	}
	if !options.Has("target_session_attrs") && config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	// Neither statements nor their descriptions are kept: both are wrong once the schema
	// has changed, and both belong to a session.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	for name, value := range map[string]string{
		"application_name":                    "signpost",
		"client_encoding":                     "UTF8",
		"statement_timeout":                   "5min",
		"lock_timeout":                        "10s",
		"idle_in_transaction_session_timeout": "15s",
	} {
		if _, said := config.RuntimeParams[name]; !said {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// splitOptions returns the options of a URL whose parts are certain: what pgx takes
// for the password is all of the password, so no error can show a piece of it as
// the name of a host or of a database.
func splitOptions(given string) (url.Values, error) {
	rest, ok := strings.CutPrefix(given, "postgres://")
	if !ok {
		rest, ok = strings.CutPrefix(given, "postgresql://")
	}
	if !ok {
		return nil, errURL
	}
	if user, after, found := strings.Cut(rest, "@"); found {
		if strings.ContainsAny(user, "/?#[] ") || strings.Contains(after, "@") {
			return nil, errURL
		}
		if _, err := url.PathUnescape(user); err != nil {
			return nil, errURL
		}
		rest = after
	}
	_, query, _ := strings.Cut(rest, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, errURL
	}
	return options, nil
}

func withOption(given, option string) string {
	if strings.Contains(given, "?") {
		return given + "&" + option
	}
	return given + "?" + option
}

// withoutURL takes the URL out of an error of pgx and leaves the cause.
func withoutURL(err error) error {
	cause := errors.Unwrap(err)
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); !ok || cause == nil {
		return errURL
	}
	return errors.New("the database URL cannot be used: " + cause.Error())
}

// hosts returns every host that may be connected to.
func hosts(config *pgx.ConnConfig) []string {
	all := []string{config.Host}
	for _, fallback := range config.Fallbacks {
		all = append(all, fallback.Host)
	}
	return all
}

// isRemote reports whether somebody else can listen on the way to a host: it is
// neither a socket nor the loopback of this machine.
func isRemote(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return false
	}
	address, err := netip.ParseAddr(host)
	return err != nil || !address.IsLoopback()
}
