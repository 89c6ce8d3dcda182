package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const base = "http://127.0.0.1:8480"

func newTestWorld(t *testing.T) *World {
	t.Helper()
	w, err := NewWorld(t.Context(), Options{Base: base + "/", Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("NewWorld: %v", err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestAWorldIsOnLoopbackAloneAndNeverTheSame(t *testing.T) {
	t.Parallel()
	one, two := newTestWorld(t), newTestWorld(t)
	for _, s := range one.services {
		if host, _, err := net.SplitHostPort(s.listener.Addr().String()); host != "127.0.0.1" || err != nil {
			t.Errorf("%s listens on %s, want 127.0.0.1 only", s.ID, s.listener.Addr())
		}
		if s.marker == two.service(s.ID).marker || len(s.marker) < 20 {
			t.Errorf("marker of %s is %q in two worlds", s.ID, s.marker)
		}
	}
	seen := make(map[string]bool)
	for _, p := range append(one.People(), two.People()...) {
		if seen[p.Password] || len(p.Password) < 16 {
			t.Errorf("password of %s is short or was used before", p.Address)
		}
		seen[p.Password] = true
	}
	for i, p := range one.idps {
		if p.secret == two.idps[i].secret || len(p.secret) < 20 {
			t.Errorf("client secret at %s is short or the same in two worlds", p.name)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t)
	if err := w.Serve(base); err != nil {
		t.Fatalf("Serve: %v", err)
	}
	w.Close()
	w.Close() // twice does no harm
	var addresses []string
	for _, s := range w.services {
		addresses = append(addresses, s.listener.Addr().String())
	}
	for _, p := range w.idps {
		addresses = append(addresses, strings.TrimPrefix(p.issuer, "http://"))
	}
	for _, address := range addresses {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s still listens after Close", address)
		}
	}
}

func TestDescriptionIsWhatDemoJSONSays(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t)
	dir := t.TempDir()
	path, err := w.Description().WriteFile(dir)
	if err != nil {
		t.Fatalf("WriteFile: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("demo.json: mode %v, %v, want 0600", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || path != filepath.Join(dir, "demo.json") {
		t.Errorf("folder holds %v, %v, want demo.json alone", entries, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	var got struct {
		BaseURL string              `json:"base_url"`
		Issuers []string            `json:"issuers"`
		IDPs    []map[string]string `json:"identity_providers"`
		People  []map[string]string `json:"people"`
		Service []map[string]any    `json:"services"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("decode: %v\n%s", err, text)
	}
	if got.BaseURL != base || len(got.Issuers) != 2 || got.Issuers[0] != base || got.Issuers[1] != base+"/t/other" {
		t.Errorf("base %q, issuers %q", got.BaseURL, got.Issuers)
	}
	keysAre(t, "identity provider", got.IDPs, "issuer", "name", "tenant")
	keysAre(t, "person", got.People, "address", "password", "tenant", "username")
	for i, s := range got.Service {
		where := []string{"url"}
		if i < 2 {
			where = []string{"host", "port"}
		}
		keysAre(t, "service", []map[string]any{s}, append(where, "audience", "id", "protocol", "scope", "tenant")...)
	}
	if len(got.IDPs) != 2 || len(got.People) != 3 || len(got.Service) != 5 {
		t.Errorf("%d identity providers, %d people, %d services, want 2, 3, 5", len(got.IDPs), len(got.People), len(got.Service))
	}
}

func keysAre[V any](t *testing.T, what string, objects []map[string]V, keys ...string) {
	t.Helper()
	for _, o := range objects {
		for _, k := range keys {
			if _, ok := o[k]; !ok || len(o) != len(keys) {
				t.Errorf("%s has %v, want the members %q", what, o, keys)
			}
		}
	}
}

func TestDeclarationNamesEverything(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t)
	text := string(w.Declaration())
	for _, p := range w.idps {
		for _, want := range []string{"name: " + p.name, p.issuer, p.secret, "[" + p.domain + "]"} {
			if !strings.Contains(text, want) {
				t.Errorf("declaration lacks %q:\n%s", want, text)
			}
		}
	}
	for _, s := range w.Services() {
		if !strings.Contains(text, "- id: "+s.ID+"\n") || !strings.Contains(text, `audience: "`+s.Audience+`"`) {
			t.Errorf("declaration lacks the service %s:\n%s", s.ID, text)
		}
	}
	if _, other, _ := strings.Cut(text, "- name: other"); strings.Contains(other, "services:") {
		t.Error("the other tenant has services")
	}
	for _, p := range w.People() {
		if strings.Contains(text, p.Password) {
			t.Errorf("the password of %s is in the declaration", p.Username)
		}
	}
}

func TestTamperedChangesTheSignatureAlone(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJFUzI1NiJ9.e30.AAECAwQFBgc"
	got, err := tampered(token)
	if err != nil || got == token || len(got) != len(token) || !strings.HasPrefix(got, "eyJhbGciOiJFUzI1NiJ9.e30.") {
		t.Errorf("tampered = %q, %v, want another signature", got, err)
	}
	for _, bad := range []string{"", "opaque", "a.b.", "a.b.!"} {
		if got, err := tampered(bad); err == nil {
			t.Errorf("tampered(%q) = %q, want an error", bad, got)
		}
	}
}

func TestAPasswordGoesToIdentityProvidersOnly(t *testing.T) {
	t.Parallel()
	w := newTestWorld(t)
	for target, want := range map[string]bool{
		w.idps[0].issuer + "/sign-in": true,
		w.idps[1].issuer + "/sign-in": true,
		base + "/sign-in":             false,
		strings.Replace(w.idps[0].issuer, "http:", "https:", 1) + "/sign-in": false,
		w.idps[0].issuer + "0/sign-in":                                       false,
	} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, target, nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if got := w.isIdentityProvider(req.URL); got != want {
			t.Errorf("isIdentityProvider(%s) = %v, want %v", target, got, want)
		}
	}
}

func TestPadKeepsColumns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"ab": "ab    ", "abcdef": "abcdef", "abcdefgh": "abc…gh", "äöü": "äöü   "} {
		if got := pad(text, 6); got != want {
			t.Errorf("pad(%q) = %q, want %q", text, got, want)
		}
	}
	if got := milliseconds(1234567 * time.Nanosecond); got != 1.2 {
		t.Errorf("milliseconds = %v, want 1.2", got)
	}
}
