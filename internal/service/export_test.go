package service

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signpost/oidc"
	"signpost/oidc/keys"
)

// withCyrus is kept with two services whose servers have keys of their own.
const withCyrus = kept + `      - {id: calendars, protocol: caldav, title: Calendars, endpoints: [{url: "https://dav.example.test/calendars/"}], profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted}
      - {id: contacts, protocol: carddav, title: Contacts, endpoints: [{url: "https://dav.example.test/contacts/"}], profile: cyrus, algorithm: RS256, unexpiring_tokens: accepted}
`

// filesIn are the paths of all files below a folder.
func filesIn(t *testing.T, folder string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// export exports once.
func (f *followed) export(o ExportOptions) Exported {
	f.t.Helper()
	var told []Exported
	f.must(ExportKeys(f.t.Context(), f.config, o, func(done Exported, err error) {
		f.must(err)
		told = append(told, done)
	}))
	if len(told) != 1 {
		f.t.Fatalf("told %d times, want once", len(told))
	}
	return told[0]
}

// published are the paths that Dovecot should find: of what the tenant publishes for access tokens.
func (f *followed) published() (paths []string) {
	f.t.Helper()
	all, err := f.Keys.Publics("example", keys.UseAccess)
	f.must(err)
	body, _ := f.jwks()
	for _, k := range all {
		if strings.Contains(body, `"`+k.ID+`"`) {
			paths = append(paths, filepath.Join("default", k.Algorithm, k.ID))
		}
	}
	slices.Sort(paths)
	return paths
}

// TestR7DovecotGetsKeysForAccessTokensAlone: each in a file that Dovecot finds by a token's header, and
// none by which ID tokens or answers are signed.
func TestR7DovecotGetsKeysForAccessTokensAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, withCyrus)
		folder := filepath.Join(t.TempDir(), "new", "dovecot-keys")
		done := f.export(ExportOptions{Path: folder})
		have := filesIn(t, folder)
		if want := f.published(); len(want) != 2 || !slices.Equal(have, want) || len(done.Written) != 2 || len(done.Removed) != 0 {
			t.Fatalf("written %v, the folder holds %v, want %v", done, have, want)
		}
		p := oidc.BuiltInProfiles()[1]
		claims := oidc.Claims{Issuer: "https://id.example.test", Subject: "s", Audience: []string{"imap.example.test"}, ID: "j", ExpiresAt: time.Now().Add(time.Hour), IssuedAt: time.Now()}
		for _, algorithm := range []string{keys.ES256, keys.RS256} {
			token, err := f.Keys.Sign("example", p, algorithm, claims)
			f.must(err)
			if _, err := jwt.Parse(token, f.fromFile(folder), jwt.WithValidMethods([]string{algorithm})); err != nil {
				t.Errorf("%s: the token is not verified by the file that its header names: %v", algorithm, err)
			}
		}
		for _, path := range have {
			info, err := os.Stat(filepath.Join(folder, path))
			f.must(err)
			if info.Mode().Perm() != 0o644 {
				t.Errorf("%s has mode %v, want that everybody can read it", path, info.Mode())
			}
		}
		if again := f.export(ExportOptions{Path: folder, Tenant: "example"}); len(again.Written)+len(again.Removed) != 0 {
			t.Errorf("once more: %+v, want nothing done", again)
		}
	})
}

// fromFile reads the key of a token where Dovecot does.
func (f *followed) fromFile(folder string) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		text, err := os.ReadFile(filepath.Join(folder, "default", token.Method.Alg(), token.Header["kid"].(string)))
		if err != nil {
			return nil, err
		}
		return parsedPEM(f.t, text), nil
	}
}

func parsedPEM(t *testing.T, text []byte) any {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
		t.Fatalf("%q is not one public key", text)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// TestR34ExportFollowsRotations: the next key is there before it signs, the old one until it is
// published no more, and whatever is not ours stays.
func TestR34ExportFollowsRotations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, kept)
		folder := t.TempDir()
		strangers := []string{"default/ES256/default", "default/ES256/AAAAAAAAAAA", "default/ES256/.signpost-left", "default/HS256/secret", "azp/ES256/k", "README"}
		for _, name := range strangers {
			f.must(os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755))
			f.must(os.WriteFile(filepath.Join(folder, name), []byte("not ours"), 0o600))
		}
		check := func(when string) {
			t.Helper()
			want := append(f.published(), strangers...)
			slices.Sort(want)
			if have := filesIn(t, folder); !slices.Equal(slices.Sorted(slices.Values(have)), want) {
				t.Errorf("%s the folder holds\n%v, want\n%v", when, have, want)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		var told []Exported
		ended := make(chan error)
		go func() {
			ended <- ExportKeys(ctx, f.config, ExportOptions{Path: folder, Watch: true}, func(done Exported, err error) {
				f.must(err)
				told = append(told, done)
			})
		}()
		f.settle()
		check("at first")
		o := RotateOptions{Use: "access", Algorithm: keys.ES256}
		planned, err := RotateKeys(t.Context(), f.config, o)
		f.must(err)
		f.settle()
		check("after a rotation")
		if got := f.published(); len(got) != 3 {
			t.Fatalf("published are %v, want both ES256 keys and the RS256 one", got)
		}
		if last := told[len(told)-1]; len(told) != 2 || !slices.Equal(last.Written, []string{filepath.Join(folder, "default/ES256", planned[0].New)}) {
			t.Errorf("told %+v, want twice, and at last that the next key was written", told)
		}
		o.Compromised = true
		hasty, err := RotateKeys(t.Context(), f.config, o)
		f.must(err)
		time.Sleep(2 * exportEvery)
		synctest.Wait()
		check("after a compromise")
		if _, err := os.Stat(filepath.Join(folder, "default/ES256", hasty[0].Old)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the compromised key is still there: %v", err)
		}
		f.must(os.Remove(filepath.Join(folder, "default/ES256", hasty[0].New)))
		f.must(os.WriteFile(filepath.Join(folder, f.published()[1]), []byte("changed"), 0o600))
		f.settle()
		check("after somebody removed one and changed another")
		stop()
		f.must(<-ended)
		// Without watching, at the moments of one more rotation.
		o.Compromised = false
		last, err := RotateKeys(t.Context(), f.config, o)
		f.must(err)
		for at, removed := range map[time.Time]int{last[0].RemovedAt.Add(-time.Millisecond): 0, last[0].RemovedAt.Add(time.Millisecond): 1} {
			f.export(ExportOptions{Path: folder})
			done := f.export(ExportOptions{Path: folder, Now: func() time.Time { return at }})
			_, err := os.Stat(filepath.Join(folder, "default", "ES256", last[0].Old))
			if len(done.Removed) != removed || errors.Is(err, fs.ErrNotExist) != (removed == 1) {
				t.Errorf("at %v: %+v, and the old key: %v; want %d removed", at, done, err, removed)
			}
		}
	})
}

// TestExportTellsOfTroubleOnce and goes on when it is over.
func TestExportTellsOfTroubleOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, kept)
		folder := filepath.Join(t.TempDir(), "keys")
		ctx, stop := context.WithCancel(t.Context())
		var done []Exported
		var failures []error
		ended := make(chan error)
		go func() {
			ended <- ExportKeys(ctx, f.config, ExportOptions{Path: folder, Watch: true}, func(d Exported, err error) {
				if done = append(done, d); err != nil {
					failures = append(failures, err)
				}
			})
		}()
		f.settle()
		f.must(os.RemoveAll(folder))
		f.must(os.WriteFile(folder, nil, 0o600))
		f.settle()
		if len(failures) != 1 {
			t.Errorf("told %v, want one failure", failures)
		}
		f.must(os.Remove(folder))
		f.settle()
		if have, want := filesIn(t, folder), f.published(); !slices.Equal(have, want) || len(failures) != 1 {
			t.Errorf("afterwards the folder holds %v, want %v; failures %v", have, want, failures)
		}
		stop()
		f.must(<-ended)
	})
}

// TestExportForgetsATenantThatIsGone: nobody should take its tokens any more.
func TestExportForgetsATenantThatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, kept)
		folder := t.TempDir()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- ExportKeys(ctx, f.config, ExportOptions{Path: folder, Watch: true}, func(_ Exported, err error) { f.must(err) })
		}()
		f.settle()
		f.apply("tenants:\n"+other, true)
		f.settle()
		if have := filesIn(t, folder); len(have) != 0 {
			t.Errorf("the folder holds %v, want nothing", have)
		}
		stop()
		f.must(<-ended)
	})
}

// TestR10ExportOfAServersOwnKey: the one that signs, in one file, whole at every moment.
func TestR10ExportOfAServersOwnKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, withCyrus)
		file := filepath.Join(t.TempDir(), "signpost.pem")
		o := ExportOptions{Service: "calendars", Path: file}
		verified := func(when, audience string, want bool) {
			t.Helper()
			claims := oidc.Claims{Audience: []string{audience}, Username: "alice@example.test", ExpiresAt: time.Now().Add(time.Hour)}
			token, err := f.Keys.Sign("example", oidc.BuiltInProfiles()[3], keys.RS256, claims)
			f.must(err)
			text, err := os.ReadFile(file)
			f.must(err)
			_, err = jwt.Parse(token, func(*jwt.Token) (any, error) { return parsedPEM(t, text), nil }, jwt.WithValidMethods([]string{keys.RS256}))
			if (err == nil) != want {
				t.Errorf("%s, token for %s: %v, want it verified: %v", when, audience, err, want)
			}
		}
		if done := f.export(o); !slices.Equal(done.Written, []string{file}) || !done.Next.IsZero() {
			t.Errorf("exported %+v", done)
		}
		verified("at first", "https://dav.example.test/calendars/", true)
		verified("at first", "https://dav.example.test/contacts/", false)
		planned, err := RotateKeys(t.Context(), f.config, RotateOptions{Use: "server:https://dav.example.test/calendars/"})
		f.must(err)
		if len(planned) != 1 {
			t.Fatalf("rotated %+v, want one key", planned)
		}
		f.settle()
		if done := f.export(o); len(done.Written) != 0 || !done.Next.Equal(planned[0].SignsFrom.Truncate(time.Millisecond)) {
			t.Errorf("after a rotation: %+v, want nothing written, and the next from %v", done, planned[0].SignsFrom)
		}
		verified("before the next one signs", "https://dav.example.test/calendars/", true)
		time.Sleep(time.Until(planned[0].SignsFrom))
		if done := f.export(o); !slices.Equal(done.Written, []string{file}) || len(done.Removed) != 0 {
			t.Errorf("as the next one signs: %+v", done)
		}
		verified("as the next one signs", "https://dav.example.test/calendars/", true)
		if body, _ := f.jwks(); strings.Contains(body, planned[0].Old) || strings.Contains(body, planned[0].New) {
			t.Errorf("/jwks has a key of one server: %s", body)
		}
	})
}

// TestRotateKeysOfServers: all of them, one, and none where there is none.
func TestRotateKeysOfServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, withCyrus)
		for use, want := range map[string]int{"server": 2, "server:https://dav.example.test/contacts/": 1, "": 7, "access": 2} {
			done, err := RotateKeys(t.Context(), f.config, RotateOptions{Use: use, Compromised: true})
			if err != nil || len(done) != want {
				t.Errorf("use %q: %d replaced, %v, want %d", use, len(done), err, want)
			}
		}
		for _, use := range []string{"server:imap.example.test", "server:", "servers"} {
			if done, err := RotateKeys(t.Context(), f.config, RotateOptions{Use: use}); !errors.Is(err, ErrNoLine) || len(done) != 0 {
				t.Errorf("use %q: %+v, %v, want ErrNoLine", use, done, err)
			}
		}
		list, err := ListKeys(t.Context(), f.config, "", time.Now())
		f.must(err)
		var uses []string
		for _, k := range list {
			if len(uses) == 0 || uses[len(uses)-1] != k.Use {
				uses = append(uses, k.Use)
			}
		}
		want := []string{"access", "id", "introspection", "server:https://dav.example.test/calendars/", "server:https://dav.example.test/contacts/"}
		if !slices.Equal(uses, want) {
			t.Errorf("listed are keys for %v, want %v", uses, want)
		}
	})
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, withCyrus+other)
		occupied := filepath.Join(t.TempDir(), "file")
		f.must(os.WriteFile(occupied, nil, 0o600))
		for name, c := range map[string]struct {
			o    ExportOptions
			want error
			says string
		}{
			"several tenants":     {ExportOptions{Path: t.TempDir()}, ErrWhichTenant, "example, other"},
			"no such tenant":      {ExportOptions{Path: t.TempDir(), Tenant: "nobody"}, ErrNoTenant, `"nobody"`},
			"no such service":     {ExportOptions{Path: t.TempDir(), Tenant: "example", Service: "mail"}, ErrNoService, `"mail"`},
			"no key of its own":   {ExportOptions{Path: t.TempDir(), Tenant: "example", Service: "imap"}, ErrNoOwnKey, "imap"},
			"a file as folder":    {ExportOptions{Path: occupied, Tenant: "example"}, nil, "folder"},
			"a folder as file":    {ExportOptions{Path: t.TempDir(), Tenant: "example", Service: "calendars"}, nil, "write"},
			"no folder there":     {ExportOptions{Path: filepath.Join(t.TempDir(), "none", "key.pem"), Tenant: "example", Service: "calendars"}, fs.ErrNotExist, "folder"},
			"the root as a file":  {ExportOptions{Path: "/", Tenant: "example", Service: "calendars"}, nil, "write"},
			"this folder, a file": {ExportOptions{Path: ".", Tenant: "example", Service: "calendars"}, nil, "write"},
		} {
			c.o.Watch = true // and nothing is watched
			err := ExportKeys(t.Context(), f.config, c.o, func(done Exported, err error) { t.Errorf("%s: told %+v, %v", name, done, err) })
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want an error that says %q", name, err, c.says)
			}
		}
		never := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir()}
		if err := ExportKeys(t.Context(), never, ExportOptions{Path: t.TempDir()}, nil); err == nil || !strings.Contains(err.Error(), "no database") {
			t.Errorf("without a database: %v", err)
		}
		if _, err := Apply(t.Context(), never, parsed(t, kept), ApplyOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := ExportKeys(t.Context(), never, ExportOptions{Path: t.TempDir()}, nil); !errors.Is(err, ErrNoKeysYet) {
			t.Errorf("before the first start: %v, want ErrNoKeysYet", err)
		}
	})
}
