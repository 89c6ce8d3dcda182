package cache_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"signpost/internal/cache"
)

func TestRedisURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url                          string
		addrs                        []string
		user, password               string
		db                           int
		master, sentinel, sentinelPW string
		cluster, tls                 bool
	}{
		{url: "redis://localhost", addrs: []string{"localhost:6379"}},
		{url: "redis://localhost/", addrs: []string{"localhost:6379"}},
		{url: "redis://localhost:7000/3", addrs: []string{"localhost:7000"}, db: 3},
		{url: "redis://[::1]:7000", addrs: []string{"[::1]:7000"}},
		{url: "redis://[::1]", addrs: []string{"[::1]:6379"}},
		{url: "redis://:pass@h", addrs: []string{"h:6379"}, password: "pass"},
		{url: "redis://user:pass@h", addrs: []string{"h:6379"}, user: "user", password: "pass"},
		{url: "redis://user:p%40s%2Fs%3F%23%25%3A@h", addrs: []string{"h:6379"}, user: "user", password: "p@s/s?#%:"},
		{url: "redis://user:p@ss@h", addrs: []string{"h:6379"}, user: "user", password: "p@ss"},
		{url: "rediss://h", addrs: []string{"h:6379"}, tls: true},
		{url: "redis+sentinel://a,b:1,[::1]:2/4?master=m", addrs: []string{"a:26379", "b:1", "[::1]:2"}, db: 4, master: "m"},
		{url: "rediss+sentinel://u:p@a/0?master=m&sentinel_username=s&sentinel_password=t%2F", addrs: []string{"a:26379"},
			user: "u", password: "p", master: "m", sentinel: "s", sentinelPW: "t/", tls: true},
		{url: "redis+cluster://a:1,b:2,c", addrs: []string{"a:1", "b:2", "c:6379"}, cluster: true},
		{url: "rediss+cluster://u:p@a/0", addrs: []string{"a:6379"}, user: "u", password: "p", cluster: true, tls: true},
	} {
		o, err := cache.ParseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if !slices.Equal(o.Addrs, c.addrs) || o.DB != c.db || o.IsClusterMode != c.cluster || o.MasterName != c.master {
			t.Errorf("%s: got %q, database %d, cluster %v, master %q", c.url, o.Addrs, o.DB, o.IsClusterMode, o.MasterName)
		}
		if o.Username != c.user || o.Password != c.password || o.SentinelUsername != c.sentinel || o.SentinelPassword != c.sentinelPW {
			t.Errorf("%s: got %q %q, sentinels %q %q", c.url, o.Username, o.Password, o.SentinelUsername, o.SentinelPassword)
		}
		if (o.TLSConfig != nil) != c.tls {
			t.Errorf("%s: TLS is %v, want %v", c.url, o.TLSConfig != nil, c.tls)
		}
		if c.tls && (o.TLSConfig.MinVersion != tls.VersionTLS12 || o.TLSConfig.InsecureSkipVerify) {
			t.Errorf("%s: got TLS from version %#x, checked: %v; want 1.2 and checked", c.url, o.TLSConfig.MinVersion, !o.TLSConfig.InsecureSkipVerify)
		}
	}
}

func TestRedisURLRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, want string }{
		{"", "must begin with"},
		{"localhost:6379", "must begin with"},
		{"unix:///run/secret.sock", "must begin with"},
		{"secret://h", "must begin with"},
		{"redis+other://h", "must begin with"},
		{"redissentinel://h?master=m", "must begin with"},
		{"redis:secret@h", "must begin with"},
		{"redis://", "host 1"},
		{"redis:///0", "host 1"},
		{"redis://:6379", "host 1"},
		{"redis://h:", "host 1"},
		{"redis://h:0", "port from 1"},
		{"redis://h:65536", "port from 1"},
		{"redis://h:secret", "host 1"},
		{"redis://h:1:2", "host 1"},
		{"redis://a,b", "several hosts"},
		{"redis+cluster://a,,b", "host 2"},
		{"redis+cluster://a,b:x", "host 2"},
		{"redis://secret@h", "user without a password"},
		{"redis://user:sec/ret@h", "cannot be read"},
		{"redis://user:sec?ret@h", "cannot be read"},
		{"redis://user:sec#ret@h", "cannot be read"},
		{"redis://user:sec%ret@h", "cannot be read"},
		{"redis://user:sec ret@h", "cannot be read"},
		{"redis://h#secret", "cannot be read"},
		{"redis://h/secret", "number of a database"},
		{"redis://h/-1", "number of a database"},
		{"redis://h/0/1", "number of a database"},
		{"redis+cluster://h/1", "database 0 only"},
		{"redis://h?db=1", `no parameter "db" for redis`},
		{"redis://h?skip_verify=true", "no parameter"},
		{"redis://h?master=m", "no parameter"},
		{"redis+cluster://h?sentinel_password=secret", "no parameter"},
		{"redis+sentinel://h", "name of the master"},
		{"redis+sentinel://h?master=", "one value"},
		{"redis+sentinel://h?master=a&master=b", "one value"},
		{"redis+sentinel://h?master=m&sentinel_username=u", "without sentinel_password"},
		{"redis+sentinel://h?master=m&sentinel_password=%secret", "cannot be read"},
		{"redis://h?ca_file=/ca.pem", "begin the URL with rediss"},
		{"rediss://h?ca_file=/nowhere/ca.pem", "no such file"},
	} {
		_, err := cache.OpenRedis(t.Context(), c.url, newGuard(t))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "cache: ") {
			t.Errorf("%q: got %v, want an error with %q", c.url, err, c.want)
			continue
		}
		for _, part := range []string{"secret", "sec/", "sec?", "sec#", "sec%", "ret@"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%q: the error shows a secret: %v", c.url, err)
			}
		}
	}
}

func TestRedisTLSTrustsTheFileOnly(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate, which is for 127.0.0.1
	t.Cleanup(web.Close)
	server := miniredis.NewMiniRedis()
	if err := server.StartTLS(&tls.Config{Certificates: web.TLS.Certificates}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	folder := t.TempDir()
	authority, empty := filepath.Join(folder, "ca 1.pem"), filepath.Join(folder, "empty.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	for path, text := range map[string][]byte{authority: block, empty: []byte("no certificate")} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	trusted, _ := openRedis(t, "rediss://"+server.Addr()+"?ca_file="+url.QueryEscape(authority), newGuard(t))
	if err := trusted.Ping(t.Context()); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	for what, address := range map[string]string{
		"with the system's authorities": "rediss://" + server.Addr(),
		"without TLS":                   "redis://" + server.Addr(),
	} {
		r, _ := openRedis(t, address, newGuard(t))
		wantUnavailable(t, what, r.Ping(t.Context()))
	}
	if _, err := cache.OpenRedis(t.Context(), "rediss://h?ca_file="+url.QueryEscape(empty), newGuard(t)); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a file without a certificate: got %v, want an error that says so", err)
	}
}
