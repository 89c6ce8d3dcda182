package service

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"signpost/directory"
	"signpost/internal/seal"
)

// config makes the Config of the values that were read, and finds what
// contradicts itself.
func (l *loader) config() Config {
	c := Config{
		Listen:            l.text("listen", defaultListen),
		TLSCert:           l.text("tls_cert", ""),
		TLSKey:            l.text("tls_key", ""),
		TrustedProxies:    l.prefixes("trusted_proxies"),
		DataDir:           l.text("data_dir", l.dataDir()),
		SecretKeyFile:     l.text("secret_key_file", ""),
		DatabaseURLFile:   l.text("database_url_file", ""),
		RedisURLFile:      l.text("redis_url_file", ""),
		OperationsListen:  l.operationsListen("operations_listen"),
		LogLevel:          l.level("log_level"),
		LogFormat:         l.logFormat("log_format"),
		RequestsPerMinute: l.limit("requests_per_minute"),

		RevocationMaxStale: l.span("revocation_max_stale", defaultRevocationMaxStale, time.Second, time.Hour),
		ShutdownDelay:      l.span("shutdown_delay", 0, 0, 10*time.Minute),
		AuditRetention:     l.retention("audit_retention"),
	}
	c.SecretKey = l.usableKey(l.secret("secret_key", "put 32 random bytes in base64 into it"))
	c.DatabaseURL = l.databaseURL(l.secret("database_url", "put postgres://user:password@host/database into it"))
	c.RedisURL = l.redisURL(l.secret("redis_url", "put redis://host:6379/0 into it"))
	if c.DatabaseURL != "" && c.SecretKey == "" {
		l.problem(l.where("database_url"), "is set without a secret key, and all replicas need the same one",
			"set secret_key_file; openssl rand -base64 32 makes a key")
	}
	listen, ok := l.listen(c.Listen)
	if ok {
		l.exposure(c, listen)
	}
	c.BaseURL = l.baseURL(c, listen)
	c.baseURLAssumed = l.text("base_url", "") == ""
	if (c.TLSCert == "") != (c.TLSKey == "") {
		l.problem("tls_cert and tls_key", "one is set without the other", "set both or neither")
	}
	if c.DataDir == "" && c.DatabaseURL == "" {
		l.problem("data_dir", "neither XDG_DATA_HOME nor HOME says where to keep data", "set data_dir")
	}
	return c
}

// text returns a value that is one word or line.
func (l *loader) text(key, otherwise string) string {
	switch value := l.merged.Get(key).(type) {
	case nil:
		return otherwise
	case []any:
		l.problem(l.where(key), "is a list", "give one value")
		return otherwise
	default:
		return fmt.Sprint(value)
	}
}

// listen splits the address to listen on. An empty host is the unspecified address.
func (l *loader) listen(value string) (netip.AddrPort, bool) {
	host, port, err := net.SplitHostPort(value)
	if err == nil && host == "" {
		value = net.JoinHostPort(netip.IPv6Unspecified().String(), port)
	}
	address, parseErr := netip.ParseAddrPort(value)
	if err != nil || parseErr != nil {
		l.problem(l.where("listen"), fmt.Sprintf("%q is not an IP address and a port", value), "write 127.0.0.1:8480, [::1]:8480 or :8480")
		return netip.AddrPort{}, false
	}
	return address, true
}

// exposure refuses to send tokens over a network in the clear.
func (l *loader) exposure(c Config, listen netip.AddrPort) {
	if listen.Addr().IsLoopback() || c.TLSCert != "" || len(c.TrustedProxies) > 0 {
		return
	}
	l.problem(l.where("listen"), fmt.Sprintf("%q is not a loopback address, and tokens would cross the network in the clear", c.Listen),
		"set tls_cert and tls_key, or trusted_proxies if a reverse proxy ends TLS, or listen on 127.0.0.1")
}

// baseURL returns the URL in its one spelling: scheme and host in lower case, no
// slash at the end.
func (l *loader) baseURL(c Config, listen netip.AddrPort) string {
	value := l.text("base_url", "")
	if value == "" {
		return l.defaultBaseURL(c, listen)
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		l.problem(l.where("base_url"), fmt.Sprintf("%q is not an http or https URL", value), "write https://id.example.com")
		return ""
	}
	if strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#") || u.User != nil {
		l.problem(l.where("base_url"), "has more than scheme, host and port", "leave out user, path, query and fragment")
		return ""
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		l.problem(l.where("base_url"), fmt.Sprintf("%q is not https", value), "write https://; http is for 127.0.0.1 and [::1] alone")
		return ""
	}
	if u.Scheme == "http" && c.TLSCert != "" {
		l.problem(l.where("base_url"), fmt.Sprintf("%q is http, and tls_cert makes the server speak TLS", value), "write https:// or leave tls_cert out")
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

func (l *loader) defaultBaseURL(c Config, listen netip.AddrPort) string {
	if !listen.IsValid() {
		return "" // reported already
	}
	if !listen.Addr().IsLoopback() || listen.Port() == 0 {
		l.problem("base_url", fmt.Sprintf("is not set, and %q does not tell how others reach this server", c.Listen), "set base_url: https://id.example.com")
		return ""
	}
	if c.TLSCert != "" {
		return "https://" + listen.String()
	}
	return "http://" + listen.String()
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func (l *loader) prefixes(key string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, word := range l.list(key) {
		prefix, err := netip.ParsePrefix(word)
		if address, e := netip.ParseAddr(word); e == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		switch {
		case err != nil:
			l.problem(l.where(key), fmt.Sprintf("%q is not a range of addresses", word), "write 10.0.0.0/8 or 192.0.2.1")
		case prefix.Bits() == 0:
			l.problem(l.where(key), fmt.Sprintf("%q would let everybody say who they are", word), "name the addresses of the proxies alone")
		default:
			prefixes = append(prefixes, prefix.Masked())
		}
	}
	return prefixes
}

// list returns the members of a list, or the words between the commas.
func (l *loader) list(key string) []string {
	var words []string
	switch value := l.merged.Get(key).(type) {
	case nil:
	case []any:
		for _, member := range value {
			words = append(words, fmt.Sprint(member))
		}
	default:
		for word := range strings.SplitSeq(fmt.Sprint(value), ",") {
			words = append(words, strings.TrimSpace(word))
		}
	}
	return words
}

// dataDir is where data lies when nothing is said: a fixed place for root, so
// that "sudo signpost apply" finds the data of the service, and the user's own
// place for everybody else.
func (l *loader) dataDir() string {
	if l.options.Root {
		return "/var/lib/signpost"
	}
	if data := l.variable("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "signpost")
	}
	if home := l.variable("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "signpost")
	}
	return ""
}

// secret returns what a setting holds or what the file of its twin with "_file"
// holds, and which of the two it was. Errors never show it.
func (l *loader) secret(key, hint string) (value, from string) {
	value, name := l.text(key, ""), l.text(key+"_file", "")
	if name == "" {
		return value, key
	}
	from = key + "_file"
	if value != "" {
		l.problem(l.where(from), key+" is set too", "keep one of the two")
		return "", from
	}
	content, err := l.options.ReadFile(name)
	if err != nil {
		l.problem(l.where(from), err.Error(), "name a file that the server can read")
		return "", from
	}
	value = strings.TrimSpace(string(content))
	if value == "" {
		l.problem(l.where(from), fmt.Sprintf("%q is empty", name), hint)
	}
	return value, from
}

func (l *loader) usableKey(text, from string) directory.Secret {
	if text == "" {
		return ""
	}
	if _, err := seal.ParseKeys(text); err != nil {
		l.problem(l.where(from), err.Error(), "give 32 random bytes in base64, several keys on a line each")
		return ""
	}
	return directory.Secret(text)
}

// databaseURL and redisURL look at the scheme only: what follows is checked by
// who opens it, in errors that do not show the password.
func (l *loader) databaseURL(text, from string) directory.Secret {
	return l.schemes(text, from, "postgres://user:password@host:5432/signpost", "postgres", "postgresql")
}

func (l *loader) redisURL(text, from string) directory.Secret {
	return l.schemes(text, from, "redis://host:6379/0", "redis", "rediss",
		"redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
}

func (l *loader) schemes(text, from, example string, known ...string) directory.Secret {
	if text == "" {
		return ""
	}
	scheme, _, ok := strings.Cut(text, "://")
	if !ok || !slices.Contains(known, scheme) {
		l.problem(l.where(from), "does not begin with "+strings.Join(known, "://, ")+"://", "write "+example)
		return ""
	}
	return directory.Secret(text)
}

func (l *loader) operationsListen(key string) string {
	value := l.text(key, "")
	if value == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(value)
	if err == nil && host == "" {
		host = netip.IPv6Unspecified().String()
	}
	if _, parseErr := netip.ParseAddrPort(net.JoinHostPort(host, port)); err != nil || parseErr != nil {
		l.problem(l.where(key), fmt.Sprintf("%q is not an IP address and a port", value), "write 127.0.0.1:9480 or :9480")
		return ""
	}
	return value
}

// span reads a length of time.
func (l *loader) span(key string, otherwise, least, most time.Duration) time.Duration {
	value := l.text(key, "")
	if value == "" {
		return otherwise
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most {
		l.problem(l.where(key), fmt.Sprintf("%q is not a length of time from %v to %v", value, least, most), "write "+max(otherwise, 10*time.Second).String())
		return otherwise
	}
	return d
}

const (
	day = 24 * time.Hour
	// maxRetention is more than anybody means: longer is 0.
	maxRetention = 36_500 * day
)

// retention reads a number of days or a length of time; 0 is for ever.
func (l *loader) retention(key string) time.Duration {
	value := l.text(key, "")
	if value == "" {
		return defaultAuditRetention
	}
	d, err := time.ParseDuration(value)
	if n, ok := strings.CutSuffix(value, "d"); ok {
		var days uint64
		days, err = strconv.ParseUint(n, 10, 16)
		d = time.Duration(days) * day
	}
	if err != nil || d != 0 && d < day || d > maxRetention {
		l.problem(l.where(key), fmt.Sprintf("%q is neither 0 nor a length of time from a day to a hundred years", value), "write 400d")
		return defaultAuditRetention
	}
	return d
}

func (l *loader) level(key string) slog.Level {
	switch value := l.text(key, "info"); value {
	case "debug":
		return slog.LevelDebug
	case "info":
		return slog.LevelInfo
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		l.problem(l.where(key), fmt.Sprintf("%q is not a level", value), "choose debug, info, warn or error")
		return slog.LevelInfo
	}
}

func (l *loader) logFormat(key string) string {
	value := l.text(key, "text")
	if value != "text" && value != "json" {
		l.problem(l.where(key), fmt.Sprintf("%q is not a format", value), "choose text or json")
	}
	return value
}

func (l *loader) limit(key string) int {
	value := l.text(key, "0")
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		l.problem(l.where(key), fmt.Sprintf("%q is not a number of requests", value), "write a whole number; 0 means the default")
	}
	if n == 0 {
		return defaultRequestsPerMinute
	}
	return n
}
