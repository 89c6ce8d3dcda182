package service

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/oidc/keys"
	"signpost/oidc/keys/keystest"
)

// signed signs an answer and returns the id of the key.
func (f *followed) signed() string {
	f.t.Helper()
	token, err := f.Keys.SignIntrospection("example", "https://id.example.test", "imap", map[string]any{"active": false})
	f.must(err)
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	f.must(err)
	var header struct {
		KeyID string `json:"kid"`
	}
	f.must(json.Unmarshal(text, &header))
	return header.KeyID
}

// jwks asks for the tenant's keys as everybody does.
func (f *followed) jwks() (body string, maxAge time.Duration) {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://id.example.test/jwks", nil))
	if w.Code != http.StatusOK {
		f.t.Fatalf("GET /jwks: %d %s", w.Code, w.Body)
	}
	m := regexp.MustCompile(`^public, max-age=(\d+)$`).FindStringSubmatch(w.Header().Get("Cache-Control"))
	if m == nil {
		f.t.Fatalf("GET /jwks: Cache-Control %q", w.Header().Get("Cache-Control"))
	}
	seconds, err := strconv.Atoi(m[1])
	f.must(err)
	return w.Body.String(), time.Duration(seconds) * time.Second
}

// TestR34ServiceLearnsOfRotation: keys that are replaced beside it, it publishes and signs
// with, without a restart and although no facts changed.
func TestR34ServiceLearnsOfRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, kept)
		o := RotateOptions{Use: "introspection"}
		old, reloads := f.signed(), f.logged("reloaded")
		facts := f.facts.Load()

		planned, err := RotateKeys(t.Context(), f.config, o)
		f.must(err)
		f.settle()
		if body, maxAge := f.jwks(); !strings.Contains(body, planned[0].New) || !strings.Contains(body, old) || maxAge > keys.Lead/2 {
			t.Errorf("/jwks for %v, want %s beside %s, for half the lead time %v at most: %s", maxAge, planned[0].New, old, keys.Lead, body)
		}
		if got := f.signed(); got != old {
			t.Errorf("%s signs, want %s until %v", got, old, planned[0].SignsFrom)
		}
		time.Sleep(keys.Lead)
		if got := f.signed(); got != planned[0].New {
			t.Errorf("after the lead time %s signs, want %s", got, planned[0].New)
		}

		o.Compromised = true
		done, err := RotateKeys(t.Context(), f.config, o)
		f.must(err)
		f.settle()
		if got := f.signed(); got != done[0].New {
			t.Errorf("compromised: %s signs, want %s", got, done[0].New)
		}
		if body, _ := f.jwks(); strings.Contains(body, old) || strings.Contains(body, planned[0].New) || !strings.Contains(body, done[0].New) {
			t.Errorf("compromised: want %s without %s and %s: %s", done[0].New, old, planned[0].New, body)
		}
		if f.facts.Load() != facts || f.logged("reloaded") != reloads {
			t.Errorf("what is declared was compiled again for a key\n%s", f.log)
		}
		if got := f.logged("learned of new ones"); got != 2 {
			t.Errorf("keys were loaded again %d times, want once for each rotation\n%s", got, f.log)
		}
		// One more rotation, by a tenant's name, to be found in the record with those before.
		o.Tenant = "example"
		_, err = RotateKeys(t.Context(), f.config, o)
		f.must(err)
		got := queried(t, f.config, `SELECT tenant || ': ' || rule || ', ' || outcome FROM audit_events WHERE kind = 'key-rotated' ORDER BY id`)
		want := []string{
			"example: planned, introspection ES256, allowed", "example: compromised, introspection ES256, allowed",
			"example: compromised, introspection ES256, allowed",
		}
		if !slices.Equal(got, want) {
			t.Errorf("recorded are %q, want %q", got, want)
		}
	})
}

// TestRotateKeysDoesWhatItCan: a tenant that lacks keys does not keep the others from
// being rotated, and a rotation that finds a new key there already records nothing.
func TestRotateKeysDoesWhatItCan(t *testing.T) {
	t.Parallel()
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir()}
	if _, err := RotateKeys(t.Context(), c, RotateOptions{}); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("without a database: %v", err)
	}
	if _, err := Apply(t.Context(), c, parsed(t, kept), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), c, slog.New(slog.NewTextHandler(io.Discard, nil)), Parts{Generate: keystest.Generator()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), c, parsed(t, kept+other), ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	o := RotateOptions{Use: "id", Algorithm: "ES256", Now: func() time.Time { return time.Now().Add(time.Hour) }}
	for i, wantOld := range []bool{true, false} {
		done, err := RotateKeys(t.Context(), c, o)
		if !errors.Is(err, ErrNoKeysYet) || !strings.Contains(err.Error(), "other") {
			t.Errorf("time %d: %v, want ErrNoKeysYet and the tenant", i, err)
		}
		if len(done) != 1 || done[0].Tenant != "example" || (done[0].Old != "") != wantOld {
			t.Errorf("time %d: done is %+v, want example, something replaced: %v", i, done, wantOld)
		}
	}
	if got := queried(t, c, `SELECT rule FROM audit_events WHERE kind = 'key-rotated'`); !slices.Equal(got, []string{"planned, id ES256"}) {
		t.Errorf("recorded are %q, want the one rotation", got)
	}
	for name, c2 := range map[string]struct {
		o    RotateOptions
		want error
	}{
		"unknown use":            {RotateOptions{Use: "mail"}, ErrNoLine},
		"unknown algorithm":      {RotateOptions{Algorithm: "PS256"}, ErrNoLine},
		"use without algorithm":  {RotateOptions{Use: "introspection", Algorithm: "RS256"}, ErrNoLine},
		"unknown tenant":         {RotateOptions{Tenant: "nobody"}, ErrNoTenant},
		"name in capitals":       {RotateOptions{Tenant: "EXAMPLE"}, ErrNoTenant},
		"one that has no keys":   {RotateOptions{Tenant: "other"}, ErrNoKeysYet},
		"compromised and absent": {RotateOptions{Tenant: "other", Compromised: true}, ErrNoKeysYet},
	} {
		if done, err := RotateKeys(t.Context(), c, c2.o); !errors.Is(err, c2.want) || len(done) > 0 {
			t.Errorf("%s: %+v, %v, want %v", name, done, err, c2.want)
		}
	}
	list, err := ListKeys(t.Context(), c, "", time.Now())
	if err != nil || len(list) != 6 {
		t.Errorf("%d keys, %v; want five lines and one more key", len(list), err)
	}
	if _, err := ListKeys(t.Context(), c, "nobody", time.Now()); !errors.Is(err, ErrNoTenant) {
		t.Errorf("list of an unknown tenant: %v, want ErrNoTenant", err)
	}
}
