package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"signpost/internal/audit"
	"signpost/oidc/issuer"
)

// recordedAt makes a database with two tenants, an account of alice at one, and events.
func recordedAt(t *testing.T, events ...audit.Event) Config {
	t.Helper()
	c := Config{BaseURL: "https://id.example.test", DataDir: t.TempDir()}
	f := &followed{t: t, config: c}
	f.apply(whole+other, false)
	_, db, err := openExisting(t.Context(), c)
	f.must(err)
	defer db.Close()
	_, err = db.SaveAccount(t.Context(), "example", issuer.Account{
		ID: "alice's id", UpstreamIssuer: "https://login.example.test", UpstreamSubject: "a1",
		Addresses: []string{"alice@example.test"}, LastSignInAt: time.Now(),
	})
	f.must(err)
	f.must(db.RecordAll(t.Context(), events))
	return c
}

func happened(n int, tenant, account string) audit.Event {
	return audit.Event{At: time.Now(), Kind: audit.KindToken, Tenant: tenant, Account: account, RequestID: fmt.Sprint(n)}
}

func TestSearchAuditByAddress(t *testing.T) {
	t.Parallel()
	c := recordedAt(t, happened(1, "example", "alice's id"), happened(2, "example", "bob's id"), happened(3, "gone", "carol's id"))
	for name, s := range map[string]struct {
		query AuditQuery
		want  []string
		err   error
	}{
		"by address":               {AuditQuery{Tenant: "example", Account: "Alice@example.test"}, []string{"1"}, nil},
		"by id":                    {AuditQuery{Account: "alice's id"}, []string{"1"}, nil},
		"by id, at another tenant": {AuditQuery{Tenant: "other", Account: "alice's id"}, nil, nil},
		"of a tenant that is gone": {AuditQuery{Tenant: "gone"}, []string{"3"}, nil},
		"of nobody's id":           {AuditQuery{Account: "nobody's id"}, nil, nil},
		"of nobody's address":      {AuditQuery{Tenant: "example", Account: "nobody@example.test"}, nil, ErrNoAccount},
		"at another tenant":        {AuditQuery{Tenant: "other", Account: "alice@example.test"}, nil, ErrNoAccount},
		"at an unknown tenant":     {AuditQuery{Tenant: "gone", Account: "alice@example.test"}, nil, ErrNoTenant},
		"at one of two tenants":    {AuditQuery{Account: "alice@example.test"}, nil, ErrWhichTenant},
	} {
		s.query.Kind = audit.KindToken
		var got []string
		err := SearchAudit(t.Context(), c, s.query, func(e AuditEvent) error { got = append(got, e.RequestID); return nil })
		if !errors.Is(err, s.err) || !slices.Equal(got, s.want) {
			t.Errorf("%s: %q, %v, want %q, %v", name, got, err, s.want, s.err)
		}
	}
}

func TestSearchAuditFindsAsManyAsAskedFor(t *testing.T) {
	t.Parallel()
	events := make([]audit.Event, 2*audit.DefaultLimit+1)
	for i := range events {
		events[i] = happened(i, "example", "a")
	}
	c := recordedAt(t, events...)
	for limit, want := range map[int]int{0: len(events), 1: 1, audit.DefaultLimit: audit.DefaultLimit, audit.DefaultLimit + 1: audit.DefaultLimit + 1, 1_000_000: len(events)} {
		for _, newest := range []bool{false, true} {
			next, step := 0, 1
			if newest {
				next, step = len(events)-1, -1
			}
			n := 0
			err := SearchAudit(t.Context(), c, AuditQuery{Kind: audit.KindToken, Limit: limit, Newest: newest}, func(e AuditEvent) error {
				if e.RequestID != fmt.Sprint(next) {
					return fmt.Errorf("event %s comes where %d should", e.RequestID, next)
				}
				n, next = n+1, next+step
				return nil
			})
			if err != nil || n != want {
				t.Errorf("limit %d, newest first %v: %d events, %v, want %d", limit, newest, n, err, want)
			}
		}
	}
	full := errors.New("full")
	if err := SearchAudit(t.Context(), c, AuditQuery{}, func(AuditEvent) error { return full }); !errors.Is(err, full) {
		t.Errorf("SearchAudit = %v, want the error of who shows", err)
	}
}

func TestTailAuditFollowsUntilTold(t *testing.T) {
	t.Parallel()
	c := recordedAt(t, happened(1, "example", "a"), happened(2, "other", "a"), happened(3, "example", "a"))
	_, db, err := openExisting(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var got []string
	err = TailAudit(ctx, c, AuditQuery{Tenant: "example", Kind: audit.KindToken}, 1, true, func(e AuditEvent) error {
		got = append(got, e.RequestID)
		if e.RequestID == "3" { // another process goes on
			return db.RecordAll(t.Context(), []audit.Event{happened(4, "other", "a"), happened(5, "example", "a")})
		}
		stop()
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"3", "5"}) {
		t.Errorf("TailAudit showed %q, %v, want the last one and the one that came", got, err)
	}
	got = nil
	err = TailAudit(t.Context(), c, AuditQuery{Kind: audit.KindToken}, 2, false, func(e AuditEvent) error { got = append(got, e.RequestID); return nil })
	if err != nil || !slices.Equal(got, []string{"4", "5"}) {
		t.Errorf("TailAudit without following showed %q, %v, want the last two", got, err)
	}
	if err := TailAudit(ctx, c, AuditQuery{}, 1, true, func(AuditEvent) error { return nil }); err != nil {
		t.Errorf("TailAudit that is told to end at once = %v, want nil", err)
	}
	if err := SearchAudit(t.Context(), Config{DataDir: t.TempDir()}, AuditQuery{}, func(AuditEvent) error { return nil }); err == nil {
		t.Error("SearchAudit without a database = nil, want an error")
	}
}
