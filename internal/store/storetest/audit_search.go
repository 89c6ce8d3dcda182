package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"signpost/internal/audit"
)

func recordAll(t *testing.T, s Engine, events ...audit.Event) {
	t.Helper()
	if err := s.RecordAll(t.Context(), events); err != nil {
		t.Fatalf("RecordAll: %v", err)
	}
}

func search(t *testing.T, s Engine, q audit.Query) []audit.Stored {
	t.Helper()
	found, err := s.Events(t.Context(), q)
	if err != nil {
		t.Fatalf("Events(%+v): %v", q, err)
	}
	return found
}

// requests names events by what numbered sets.
func requests(found []audit.Stored) []string {
	names := make([]string, len(found))
	for i, e := range found {
		names[i] = e.RequestID
	}
	return names
}

func mustFind(t *testing.T, s Engine, q audit.Query, want ...string) {
	t.Helper()
	if got := requests(search(t, s, q)); !slices.Equal(got, want) {
		t.Errorf("Events(%+v) = %q, want %q", q, got, want)
	}
}

// numbered makes events that happened a minute after one another, the first at start, with
// "r0", "r1" and so on for their requests.
func numbered(n int, change func(i int, e *audit.Event)) []audit.Event {
	events := make([]audit.Event, n)
	for i := range events {
		events[i] = event("example")
		events[i].At, events[i].RequestID = start.Add(time.Duration(i)*time.Minute), fmt.Sprintf("r%d", i)
		if change != nil {
			change(i, &events[i])
		}
	}
	return events
}

func testEventsRoundTrip(t *testing.T, s Store) {
	if got := search(t, s, audit.Query{}); len(got) != 0 {
		t.Errorf("Events of an empty record = %v, want none", got)
	}
	whole, bare := event("example"), audit.Event{At: start.Add(time.Millisecond), Kind: audit.KindApplied}
	for i, v := range reflect.ValueOf(whole).Fields() {
		if v.IsZero() {
			t.Errorf("the sample does not set %s: is it kept?", i.Name)
		}
	}
	recordAll(t, s, whole, bare)
	got := search(t, s.Again(t), audit.Query{})
	if len(got) != 2 || got[0].Event != whole || got[1].Event != bare || got[0].ID <= 0 || got[1].ID <= got[0].ID {
		t.Errorf("Events = %+v\nwant %+v\nand  %+v with growing ids", got, whole, bare)
	}
}

// testEventsFilters has, for every member, an event that differs in this member alone.
func testEventsFilters(t *testing.T, s Store) {
	filters := []struct {
		name  string
		set   func(*audit.Event)
		query audit.Query
	}{
		{"tenant", func(e *audit.Event) { e.Tenant = "other" }, audit.Query{Tenant: "other"}},
		{"account", func(e *audit.Event) { e.Account = "another" }, audit.Query{Account: "another"}},
		{"client", func(e *audit.Event) { e.Client = "webmail" }, audit.Query{Client: "webmail"}},
		{"grant", func(e *audit.Event) { e.Grant = "another" }, audit.Query{Grant: "another"}},
		{"service", func(e *audit.Event) { e.Service = "dav.example.com" }, audit.Query{Service: "dav.example.com"}},
		{"kind", func(e *audit.Event) { e.Kind = audit.KindSignIn }, audit.Query{Kind: audit.KindSignIn}},
		{"outcome", func(e *audit.Event) { e.Outcome = audit.Refused }, audit.Query{Outcome: audit.Refused}},
		{"rule", func(e *audit.Event) { e.Rule = "exchange/scope" }, audit.Query{Rule: "exchange/scope"}},
		{"hash", func(e *audit.Event) { e.SubjectHash = "f00d" }, audit.Query{SubjectHash: "f00d"}},
	}
	events := numbered(1, nil)
	for _, f := range filters {
		e := event("example")
		e.RequestID = f.name
		f.set(&e)
		events = append(events, e)
	}
	recordAll(t, s, events...)
	for _, f := range filters {
		mustFind(t, s, f.query, f.name)
		q := f.query
		q.RequestID = f.name
		mustFind(t, s, q, f.name)
		q.RequestID = "r0"
		mustFind(t, s, q)
	}
	mustFind(t, s, audit.Query{RequestID: "r0"}, "r0")
	mustFind(t, s, audit.Query{RequestID: "R0"})
	mustFind(t, s, audit.Query{Rule: "exchange/"}, "rule")
	mustFind(t, s, audit.Query{Rule: "exchange/scope of"})
	mustFind(t, s, audit.Query{Rule: "%"})
	mustFind(t, s, audit.Query{Tenant: "' OR '1'='1"})
	mustFind(t, s, audit.Query{Tenant: "example", Account: "account", Client: "open", Grant: "grant", Service: "mail.example.com",
		Kind: audit.KindToken, Outcome: audit.Allowed, Rule: "narrow", SubjectHash: "cafe"}, "r0")
}

// testEventsTime has events that were kept in another order than they happened in.
func testEventsTime(t *testing.T, s Store) {
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	events := numbered(6, nil)
	events[2].At, events[4].At = minute(4), minute(2)
	recordAll(t, s, events...)
	for _, c := range []struct {
		since, until time.Time
		want         []string
	}{
		{minute(2), time.Time{}, []string{"r2", "r3", "r4", "r5"}},
		{minute(3), time.Time{}, []string{"r2", "r3", "r5"}},
		{minute(3).Add(time.Millisecond), time.Time{}, []string{"r2", "r5"}},
		{time.Time{}, minute(3), []string{"r0", "r1", "r4"}},
		{time.Time{}, minute(2), []string{"r0", "r1"}},
		{minute(2), minute(4), []string{"r3", "r4"}},
		{minute(4), minute(4), nil},
		{minute(6), time.Time{}, nil},
		{time.Time{}, minute(0), nil},
	} {
		q := audit.Query{Since: c.since, Until: c.until}
		mustFind(t, s, q, c.want...)
		q.Newest = true
		slices.Reverse(c.want)
		mustFind(t, s, q, c.want...)
	}
	mustFind(t, s, audit.Query{Since: minute(4), Account: "account", Tenant: "example", Rule: "nar"}, "r2", "r5")
}

func testEventsPages(t *testing.T, s Store) {
	recordAll(t, s, numbered(7, func(i int, e *audit.Event) {
		if i == 3 {
			e.Tenant = "other"
		}
	})...)
	mustFind(t, s, audit.Query{Limit: 3}, "r0", "r1", "r2")
	mustFind(t, s, audit.Query{Limit: 3, Newest: true}, "r6", "r5", "r4")
	for newest, want := range map[bool][]string{false: {"r0", "r1", "r2", "r4", "r5", "r6"}, true: {"r6", "r5", "r4", "r2", "r1", "r0"}} {
		q := audit.Query{Tenant: "example", Newest: newest, Limit: 2}
		var all []string
		for found := search(t, s, q); len(found) > 0; found = search(t, s, q) {
			if len(found) > q.Limit {
				t.Fatalf("a page has %d events, want at most %d", len(found), q.Limit)
			}
			all = append(all, requests(found)...)
			q.After = found[len(found)-1].ID
		}
		if !slices.Equal(all, want) {
			t.Errorf("page by page, newest first %v: %q, want %q", newest, all, want)
		}
	}
	recordAll(t, s, numbered(audit.DefaultLimit, nil)...)
	if got := len(search(t, s, audit.Query{})); got != audit.DefaultLimit {
		t.Errorf("a query without a limit found %d events, want %d", got, audit.DefaultLimit)
	}
}

// testEventsOfStrangers: what was recorded of them is found by what they sent.
func testEventsOfStrangers(t *testing.T, s Store) {
	strange := event("example")
	strange.Client, strange.Rule, strange.RequestID = "nul \x00", "no \xff text", "r0"
	recordAll(t, s, strange)
	mustFind(t, s, audit.Query{Client: strange.Client, Rule: "no \xff"}, "r0")
}
