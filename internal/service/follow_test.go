package service

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/directory"
	"signpost/oidc/issuer"
	"signpost/oidc/keys/keystest"
)

const (
	kept = `tenants:
  - name: example
    issuer: base
    title: Example Organisation
    domains: [example.test]
    identity_providers:
      - {name: staff, title: Example staff, issuer: "https://login.example.test", client_id: signpost}
    services:
      - {id: imap, protocol: imap, title: Mail, endpoints: [{host: imap.example.test, port: 993, security: tls}]}
`
	whole = kept + `      - {id: files, protocol: webdav, title: Files, endpoints: [{url: "https://files.example.test/dav/"}]}
`
	other = `  - name: other
    issuer: path
    title: Other Organisation
    domains: [other.test]
    identity_providers:
      - {name: members, title: Other members, issuer: "https://login.other.test", client_id: signpost}
    services:
      - {id: mail, protocol: imap, title: Mail, endpoints: [{host: imap.other.test, port: 993, security: tls}]}
`
)

// followed is an open service that follows its database, and a connection with
// which a test gets in its way. It lives in a bubble of synctest, where settle lets
// it look a hundred times.
type followed struct {
	*Service
	t      *testing.T
	config Config
	log    *bytes.Buffer
	db     *sql.DB
}

func following(t *testing.T, declaration string) *followed {
	t.Helper()
	f := &followed{t: t, log: &bytes.Buffer{}, config: Config{BaseURL: "https://id.example.test", DataDir: t.TempDir()}}
	f.apply(declaration, false)
	var err error
	f.Service, err = Open(t.Context(), f.config, slog.New(slog.NewTextHandler(f.log, nil)), Parts{Generate: keystest.Generator()})
	f.must(err)
	f.db, err = sql.Open("sqlite", "file:"+filepath.Join(f.config.DataDir, "signpost.db")+"?_busy_timeout=5000")
	f.must(err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.background(ctx); close(done) }()
	t.Cleanup(func() {
		stop()
		<-done
		f.must(f.Close())
		f.must(f.db.Close())
	})
	f.settle()
	return f
}

// settle lets a hundred looks go by.
func (f *followed) settle() {
	time.Sleep(100 * watchEvery) // the clock of the bubble
	synctest.Wait()
}

func (f *followed) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// apply declares, as "signpost apply" would.
func (f *followed) apply(declaration string, prune bool) {
	f.t.Helper()
	tenants, err := directory.Parse("tenants.yaml", []byte(declaration), func(string) (string, bool) { return "", false }, os.ReadFile)
	f.must(err)
	_, err = Apply(f.t.Context(), f.config, tenants, ApplyOptions{Prune: prune})
	f.must(err)
}

// write changes the database from outside, all at once.
func (f *followed) write(statements ...string) {
	f.t.Helper()
	tx, err := f.db.BeginTx(f.t.Context(), nil)
	f.must(err)
	for _, statement := range statements {
		_, err := tx.ExecContext(f.t.Context(), statement)
		f.must(err)
	}
	f.must(tx.Commit())
}

// logged counts the log's lines about something.
func (f *followed) logged(what string) int { return strings.Count(f.log.String(), what) }

// served names the services that are served.
func (f *followed) served() (ids []string) {
	r, _ := f.Answers.Current().Realm("example")
	for _, s := range r.Services {
		ids = append(ids, s.ID)
	}
	return ids
}

// TestWatchSurvivesAnError: a database that cannot be read for a while must not
// make the service deaf: what is taken away later is taken away.
func TestWatchSurvivesAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, whole)
		f.write(`ALTER TABLE revision RENAME TO revision_away`)
		f.settle()
		if f.logged("cannot look for changes") == 0 {
			t.Fatalf("the watch met no error: else this test proves nothing\n%s", f.log)
		}
		if got := f.served(); !slices.Equal(got, []string{"imap", "files"}) {
			t.Errorf("while the database cannot be read %v is served, want what was", got)
		}
		f.write(`ALTER TABLE revision_away RENAME TO revision`)
		f.settle()
		f.apply(kept, false)
		f.settle()
		if got := f.served(); !slices.Equal(got, []string{"imap"}) {
			t.Errorf("after the error %v is served, want the removed service gone\n%s", got, f.log)
		}
	})
}

// TestAnOutageIsTwoLines: its begin and its end, however often the database was tried.
func TestAnOutageIsTwoLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, whole)
		for outage := 1; outage <= 2; outage++ {
			f.write(`ALTER TABLE revision RENAME TO revision_away`)
			f.settle()
			f.write(`ALTER TABLE revision_away RENAME TO revision`)
			f.settle()
			if begins, ends := f.logged("cannot look for changes"), f.logged("database: answers again"); begins != outage || ends != outage {
				t.Errorf("after outage %d the log tells of %d begins and %d ends\n%s", outage, begins, ends, f.log)
			}
		}
	})
}

// TestFailedReloadIsTriedAgain: the bell rings once for a change, so a reload
// that failed is tried until what is served is what is declared.
func TestFailedReloadIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, whole)
		f.write(
			`DELETE FROM services WHERE id = 'files'`,
			`UPDATE revision SET value = value + 1, facts = value + 1`,
			`ALTER TABLE services RENAME TO services_away`,
		)
		f.settle()
		if f.logged("reload: what was served before goes on") == 0 {
			t.Fatalf("no reload failed: else this test proves nothing\n%s", f.log)
		}
		if got := f.served(); !slices.Equal(got, []string{"imap", "files"}) {
			t.Errorf("while the facts cannot be read %v is served, want what was", got)
		}
		f.write(`ALTER TABLE services_away RENAME TO services`) // without ringing
		f.settle()
		if got := f.served(); !slices.Equal(got, []string{"imap"}) {
			t.Errorf("when the facts can be read again %v is served, want the removed service gone\n%s", got, f.log)
		}
	})
}

// TestEndOfAGrantReloadsNothing: it rings the same bell as a change of the facts,
// and whoever signs out does not make every replica compile every tenant.
func TestEndOfAGrantReloadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, whole)
		f.endAGrant()
		before, reloads := f.Answers.Current(), f.logged("reloaded")
		f.settle()
		if f.Answers.Current() != before || f.logged("reloaded") != reloads {
			t.Errorf("the end of a grant made the service reload:\n%s", f.log)
		}
		f.apply(kept, false)
		f.settle()
		if f.Answers.Current() == before || f.logged("reloaded") != reloads+1 {
			t.Errorf("an apply made it reload %d times, want once\n%s", f.logged("reloaded")-reloads, f.log)
		}
	})
}

// endAGrant makes an account and a grant and ends it. It fails the test if that
// does not ring the bell.
func (f *followed) endAGrant() {
	f.t.Helper()
	ctx, now := f.t.Context(), time.Now()
	account, err := f.store.SaveAccount(ctx, "example", issuer.Account{
		ID: "a", UpstreamIssuer: "https://login.example.test", UpstreamSubject: "a1",
		Addresses: []string{"alice@example.test"}, LastSignInAt: now,
	})
	f.must(err)
	grant := issuer.Grant{ID: "g", AccountID: account.ID, ClientID: "open", Scopes: "openid", OriginHash: make([]byte, 32), CreatedAt: now, LastUsedAt: now}
	f.must(f.store.CreateGrant(ctx, "example", grant, nil))
	before, err := f.store.Revision(ctx)
	f.must(err)
	f.must(f.store.EndGrant(ctx, "example", grant.ID, "revoked", now))
	after, err := f.store.Revision(ctx)
	f.must(err)
	if after == before {
		f.t.Fatal("the end of a grant did not ring the bell: else this test proves nothing")
	}
}

// TestPruneIsRecorded: the record says which tenant went, and outlives it.
func TestPruneIsRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := following(t, whole+other)
		f.apply(whole, true)
		f.settle()
		if _, served := f.Answers.Current().Realm("other"); served {
			t.Error("the removed tenant is served")
		}
		var events []string
		found, err := f.db.QueryContext(t.Context(), `SELECT tenant || ' ' || rule FROM audit_events WHERE kind = 'applied' ORDER BY id`)
		f.must(err)
		defer found.Close()
		for found.Next() {
			var event string
			f.must(found.Scan(&event))
			events = append(events, event)
		}
		f.must(found.Err())
		if want := []string{"example declared", "other declared", "other removed"}; !slices.Equal(events, want) {
			t.Errorf("events %v, want %v", events, want)
		}
	})
}

// TestDataFolderOfOthersIsRefused: whoever can put files there can put a key or a
// database there.
func TestDataFolderOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	for mode, good := range map[os.FileMode]bool{
		0o700: true, 0o755: true, 0o770: false, 0o702: false, 0o777: false, 0o777 | os.ModeSticky: false,
	} {
		c := Config{BaseURL: "https://id.example.test", DataDir: filepath.Join(t.TempDir(), "data")}
		if err := os.Mkdir(c.DataDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(c.DataDir, mode); err != nil {
			t.Fatal(err)
		}
		if err := Migrate(t.Context(), c); (err == nil) != good {
			t.Errorf("data folder with mode %v: %v, want good %v", mode, err, good)
		}
		files, err := os.ReadDir(c.DataDir)
		if err != nil || !good && len(files) != 0 {
			t.Errorf("data folder with mode %v: %d files were made, %v, want none", mode, len(files), err)
		}
	}
}
