package service

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/audit"
	"signpost/oidc/apppassword"
	"signpost/oidc/issuer"
	"signpost/oidc/keys/keystest"
)

// pruning is an open service that prunes only when it is told to.
type pruning struct {
	*Service
	t   *testing.T
	log *bytes.Buffer
}

func openPruning(t *testing.T, retention time.Duration) pruning {
	t.Helper()
	p := pruning{t: t, log: &bytes.Buffer{}}
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir(), AuditRetention: retention}
	f := &followed{t: t, config: c}
	f.apply(kept, false)
	var err error
	p.Service, err = Open(t.Context(), c, slog.New(slog.NewTextHandler(p.log, nil)), Parts{Generate: keystest.Generator()})
	f.must(err)
	t.Cleanup(func() { f.must(p.Close()) })
	return p
}

// happened records an event of an age.
func (p pruning) happened(name string, age time.Duration) {
	p.t.Helper()
	p.must(p.store.Record(p.t.Context(), audit.Event{At: p.now().Add(-age), Kind: audit.KindToken, RequestID: name}))
}

func (p pruning) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// recorded names the events that are there, but for those of "signpost apply".
func (p pruning) recorded() (names []string) {
	p.t.Helper()
	found, err := p.store.Events(p.t.Context(), audit.Query{Kind: audit.KindToken, Limit: 10_000})
	p.must(err)
	for _, e := range found {
		names = append(names, e.RequestID)
	}
	return names
}

func (p pruning) mustHave(want ...string) {
	p.t.Helper()
	if got := p.recorded(); !slices.Equal(got, want) {
		p.t.Errorf("the record has %q, want %q", got, want)
	}
}

// mustLog fails unless the log has one line about pruning for each of these.
func (p pruning) mustLog(want ...string) {
	p.t.Helper()
	var lines []string
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "prune") {
			lines = append(lines, line)
		}
	}
	if len(lines) != len(want) {
		p.t.Fatalf("the log has %q, want %d lines", lines, len(want))
	}
	for i := range want {
		if !strings.Contains(lines[i], want[i]) {
			p.t.Errorf("line %d is %q, want %q in it", i, lines[i], want[i])
		}
	}
}

func TestPruneKeepsAuditAsLongAsConfigured(t *testing.T) {
	t.Parallel()
	for retention, want := range map[time.Duration][]string{
		400 * day: {"kept", "young", "newest"},
		day:       {"newest"},
		0:         {"old", "kept", "young", "newest"},
	} {
		t.Run(retention.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := openPruning(t, retention)
				p.happened("old", 400*day+time.Millisecond)
				p.happened("kept", 400*day)
				p.happened("young", day+time.Second)
				p.happened("newest", day)
				p.prune(t.Context())
				p.mustHave(want...)
				var lines []string
				if n := 4 - len(want); n > 0 {
					lines = append(lines, fmt.Sprintf("events=%d refresh_tokens=0 grants=0", n))
				}
				p.mustLog(lines...)
				p.prune(t.Context()) // finds nothing, and says nothing
				p.mustHave(want...)
				p.mustLog(lines...)
			})
		})
	}
}

// signIn makes a grant with a refresh token, and ends it unless age is negative.
func (p pruning) signIn(id string, ended time.Duration) {
	p.t.Helper()
	ctx, made := p.t.Context(), p.now().Add(-10*365*day)
	account, err := p.store.SaveAccount(ctx, "example", issuer.Account{
		ID: "a", UpstreamIssuer: "https://login.example.test", UpstreamSubject: "a1",
		Addresses: []string{"alice@example.test"}, LastSignInAt: made,
	})
	p.must(err)
	hash := func(of string) []byte { return []byte(fmt.Sprintf("%-32s", of+id)) }
	p.must(p.store.CreateGrant(ctx, "example", issuer.Grant{
		ID: id, AccountID: account.ID, ClientID: "open", Scopes: "openid offline_access", OriginHash: hash("code "), CreatedAt: made, LastUsedAt: made,
	}, hash("token ")))
	_, err = p.store.Rotate(ctx, "example", issuer.Rotation{
		Presented: hash("token "), Successor: hash("next "), Sealed: []byte("sealed"), Now: made, Window: time.Minute, Repeats: 10,
	})
	p.must(err)
	if ended >= 0 {
		p.must(p.store.EndGrant(ctx, "example", id, "revoked", p.now().Add(-ended)))
	}
}

func TestPruneKeepsGrantsThatSomethingNeeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openPruning(t, 400*day)
		p.signIn("living", -1)
		p.signIn("ended now", 0)
		p.signIn("ended", 90*day)
		p.signIn("long ended", 90*day+time.Millisecond)
		keys, err := p.store.CountKeys(t.Context())
		p.must(err)
		p.prune(t.Context())
		p.mustLog("events=0 refresh_tokens=2 grants=1")
		for id, want := range map[string]bool{"living": true, "ended now": true, "ended": true, "long ended": false} {
			if _, err := p.store.Grant(t.Context(), "example", id); (err == nil) != want {
				t.Errorf("Grant(%s) = %v, want it there: %v", id, err, want)
			}
		}
		for id, want := range map[string]bool{"living": true, "ended": true, "long ended": false} {
			if _, err := p.store.Refresh(t.Context(), "example", []byte(fmt.Sprintf("%-32s", "token "+id))); (err == nil) != want {
				t.Errorf("the used refresh token of the sign-in %q: %v, want it there: %v", id, err, want)
			}
		}
		if n, err := p.store.CountKeys(t.Context()); err != nil || n != keys {
			t.Errorf("there are %d signing keys, %v, want the %d there were", n, err, keys)
		}
	})
}

// TestPruneKeepsKeysThatSignNoMore: an ID token that one of them signed is a hint as long as somebody
// has it.
func TestPruneKeepsKeysThatSignNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openPruning(t, day)
		_, err := RotateKeys(t.Context(), p.config, RotateOptions{Tenant: "example"})
		p.must(err)
		keys, err := p.store.CountKeys(t.Context())
		p.must(err)
		_, err = p.pruneAll(t.Context(), p.now().Add(10*365*day))
		p.must(err)
		if n, err := p.store.CountKeys(t.Context()); err != nil || n != keys {
			t.Errorf("there are %d signing keys, %v, want the %d there were", n, err, keys)
		}
	})
}

// TestPrunesNowAndThen: not at the start, then each hour, and all there is, batch after batch.
func TestPrunesNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openPruning(t, day)
		many := make([]audit.Event, 2*pruneBatch+1)
		for i := range many {
			many[i] = audit.Event{At: p.now().Add(-2 * day), Kind: audit.KindToken}
		}
		p.must(p.store.RecordAll(t.Context(), many))
		p.happened("kept", 0)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { p.prunes(ctx); close(ended) }()

		time.Sleep(pruneFirst - time.Second)
		synctest.Wait()
		if got := len(p.recorded()); got != len(many)+1 {
			t.Errorf("right after the start %d events are left of %d", got, len(many)+1)
		}
		time.Sleep(pruneFirst)
		synctest.Wait()
		p.mustHave("kept")
		p.mustLog(fmt.Sprintf("events=%d ", len(many)))

		p.happened("old", 2*day)
		p.happened("kept too", 0)
		time.Sleep(2 * pruneEvery)
		synctest.Wait()
		p.mustHave("kept", "kept too")
		stop()
		<-ended
	})
}

// TestPruneGoesOnWhenTheRecordMayNotBeShortened: what cannot be removed keeps nothing else.
func TestPruneGoesOnWhenTheRecordMayNotBeShortened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openPruning(t, day)
		p.happened("kept", 2*day)
		p.happened("newest", 0)
		p.signIn("long ended", 90*day+time.Millisecond)
		queried(t, p.config, `DELETE FROM audit_retention`) // without which nothing may be removed
		p.prune(t.Context())
		p.mustHave("kept", "newest")
		p.mustLog("events=0 refresh_tokens=2 grants=1 app_passwords=0", "level=ERROR")
	})
}

// TestR21PruneRemovesDeadAppPasswords with the grants that they died with, after as long.
func TestR21PruneRemovesDeadAppPasswords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openPruning(t, 400*day)
		for id, ended := range map[string]time.Duration{"ended": 90 * day, "long ended": 90*day + time.Millisecond} {
			p.signIn(id, -1)
			p.must(p.store.KeepAppPassword(t.Context(), "example", apppassword.Kept{
				ID: id, Selector: id, Hash: make([]byte, 32), AccountID: "a", GrantID: id, ClientID: "open", CreatedAt: p.now(),
			}, 100))
			p.must(p.store.EndGrant(t.Context(), "example", id, "revoked", p.now().Add(-ended)))
		}
		p.prune(t.Context())
		p.mustLog("events=0 refresh_tokens=2 grants=1 app_passwords=1")
		for id, want := range map[string]bool{"ended": true, "long ended": false} {
			if _, err := p.store.AppPassword(t.Context(), "example", id); (err == nil) != want {
				t.Errorf("AppPassword(%s) = %v, want it there: %v", id, err, want)
			}
		}
	})
}

// TestPruneFails: it says so, and what was removed before stays removed.
func TestPruneFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openPruning(t, day)
		p.happened("old", 2*day)
		p.happened("kept", 0)
		db, err := sql.Open("sqlite", "file:"+filepath.Join(p.config.DataDir, "signpost.db"))
		p.must(err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), `ALTER TABLE refresh_tokens RENAME TO refresh_tokens_away`)
		p.must(err)
		p.prune(t.Context())
		p.mustHave("kept")
		p.mustLog("events=1 refresh_tokens=0 grants=0", "level=ERROR")
		_, err = db.ExecContext(t.Context(), `ALTER TABLE refresh_tokens_away RENAME TO refresh_tokens`)
		p.must(err)
		p.prune(t.Context())
		p.mustLog("events=1 refresh_tokens=0 grants=0", "level=ERROR")
	})
}
