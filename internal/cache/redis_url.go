package cache

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// deployment is how the servers behind a URL work together.
type deployment string

const (
	single   deployment = "redis"
	sentinel deployment = "redis+sentinel"
	cluster  deployment = "redis+cluster"
)

// parseURL reads the forms that OpenRedis names. go-redis has a parser for each
// deployment, but they tell a Sentinel by its parameters, let every option of the
// client be set, and repeat in errors what was given, with the password.
func parseURL(text string) (*redis.UniversalOptions, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	kind, secure := deployment(scheme), false
	if suffix, ok := strings.CutPrefix(scheme, "rediss"); ok {
		kind, secure = deployment("redis"+suffix), true
	}
	if kind != single && kind != sentinel && kind != cluster {
		return nil, errors.New("cache: redis URL must begin with redis://, redis+sentinel:// or redis+cluster://, or with rediss for TLS")
	}
	hosts, rest, err := cutHosts(rest)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse("redis://" + rest)
	if err != nil || u.Fragment != "" {
		return nil, errUnreadable
	}
	o := &redis.UniversalOptions{IsClusterMode: kind == cluster}
	if o.Addrs, err = parseHosts(hosts, kind); err != nil {
		return nil, err
	}
	if o.Username, o.Password, err = parseUser(u.User); err != nil {
		return nil, err
	}
	if o.DB, err = parseDatabase(u.Path, kind); err != nil {
		return nil, err
	}
	return o, setParameters(o, u.RawQuery, kind, secure)
}

// errUnreadable says no more, because what stands where is not known.
var errUnreadable = errors.New("cache: redis URL cannot be read: in user, password and parameters write @ : / ? # % as %40 %3A %2F %3F %23 %25")

// cutHosts takes the list of hosts, which url.Parse does not know, out of what
// follows the scheme, and leaves a host in its place.
func cutHosts(text string) (hosts, without string, err error) {
	end := strings.IndexAny(text, "/?#")
	if end < 0 {
		end = len(text)
	}
	authority, after := text[:end], text[end:]
	if strings.Contains(after, "@") { // it belonged to a password with a slash, so authority is half a password
		return "", "", errUnreadable
	}
	user := authority[:strings.LastIndex(authority, "@")+1]
	return authority[len(user):], user + "hosts" + after, nil
}

// parseHosts returns each host with its port.
func parseHosts(list string, kind deployment) ([]string, error) {
	port := "6379"
	if kind == sentinel {
		port = "26379"
	}
	var addrs []string
	for i, host := range strings.Split(list, ",") {
		addr, err := parseHost(host, port)
		if err != nil {
			return nil, fmt.Errorf("cache: redis URL: host %d: %w", i+1, err)
		}
		addrs = append(addrs, addr)
	}
	if kind == single && len(addrs) > 1 {
		return nil, errors.New("cache: redis URL has several hosts: begin it with redis+sentinel:// or redis+cluster://")
	}
	return addrs, nil
}

var errHost = errors.New("want a name or address, an IPv6 address in brackets, and perhaps a port")

func parseHost(text, port string) (string, error) {
	u, err := url.Parse("redis://" + text)
	if err != nil || u.Host != text || u.Hostname() == "" || strings.HasSuffix(text, ":") {
		return "", errHost
	}
	if strings.Contains(u.Hostname(), ":") && text[0] != '[' { // which url.Parse may let pass
		return "", errHost
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("want a port from 1 to 65535")
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

func parseUser(u *url.Userinfo) (name, password string, err error) {
	password, _ = u.Password()
	if u.Username() != "" && password == "" {
		return "", "", errors.New("cache: redis URL has a user without a password: a password alone is written :password@")
	}
	return u.Username(), password, nil
}

func parseDatabase(path string, kind deployment) (int, error) {
	digits := strings.TrimPrefix(path, "/")
	if digits == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0, errors.New("cache: redis URL: the path must be the number of a database")
	}
	if kind == cluster && n != 0 {
		return 0, errors.New("cache: redis URL: a Redis Cluster has database 0 only")
	}
	return int(n), nil
}

// setParameters sets what the query says, and the configuration of TLS.
func setParameters(o *redis.UniversalOptions, query string, kind deployment, secure bool) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errUnreadable
	}
	if secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	for name, given := range values {
		if len(given) > 1 || given[0] == "" {
			return fmt.Errorf("cache: redis URL: parameter %s must have one value", name)
		}
		value := given[0]
		switch {
		case name == "ca_file" && secure:
			if o.TLSConfig.RootCAs, err = readAuthorities(value); err != nil {
				return err
			}
		case name == "ca_file":
			return errors.New("cache: redis URL: ca_file is for TLS: begin the URL with rediss")
		case name == "master" && kind == sentinel:
			o.MasterName = value
		case name == "sentinel_username" && kind == sentinel:
			o.SentinelUsername = value
		case name == "sentinel_password" && kind == sentinel:
			o.SentinelPassword = value
		default:
			return fmt.Errorf("cache: redis URL: there is no parameter %q for %s://", name, kind)
		}
	}
	if kind == sentinel && o.MasterName == "" {
		return errors.New("cache: redis URL: a Sentinel's needs the name of the master: ?master=")
	}
	if o.SentinelUsername != "" && o.SentinelPassword == "" {
		return errors.New("cache: redis URL has sentinel_username without sentinel_password")
	}
	return nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cache: ca_file of the redis URL: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cache: ca_file %s of the redis URL has no certificate in PEM", path)
	}
	return pool, nil
}
