package storetest

import (
	"fmt"
	"reflect"
	"testing"

	"signpost/internal/audit"
)

func event(tenant string) audit.Event {
	return audit.Event{
		At: start, Kind: audit.KindToken, Tenant: tenant, Account: "account", Client: "open", Grant: "grant",
		Service: "mail.example.com", Asked: "urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars", Scope: "urn:ietf:params:oauth:scope:mail", Rule: "narrow", Outcome: audit.Allowed,
		SubjectHash: "cafe", RequestID: "request",
	}
}

func testAudit(t *testing.T, s Store) {
	// No tenant has to be declared: events about unknown ones are kept too.
	for _, e := range []audit.Event{event("example"), {At: start, Kind: audit.KindApplied}} {
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatalf("Record(%s): %v", e.Kind, err)
		}
	}
	got := s.Rows(t, `SELECT at, kind, tenant, account_id, client_id, grant_id, service, asked, scope, rule, outcome, subject_hash, request_id
		FROM audit_events ORDER BY id`)
	want := []string{
		"1773480413000|token|example|account|open|grant|mail.example.com|urn:ietf:params:oauth:scope:mail urn:ietf:params:oauth:scope:calendars|urn:ietf:params:oauth:scope:mail|narrow|allowed|cafe|request",
		"1773480413000|applied|||||||||||",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the record has\n     %q\nwant %q", got, want)
	}
	if err := s.Record(t.Context(), audit.Event{Kind: audit.KindToken}); err == nil {
		t.Error("an event without a time was recorded, want an error")
	}
}

func testAuditTogether(t *testing.T, s Store) {
	if err := s.RecordAll(t.Context(), nil); err != nil {
		t.Errorf("RecordAll of nothing = %v, want nil", err)
	}
	const many = 1200
	events := make([]audit.Event, many)
	for i := range events {
		events[i] = event("example")
		events[i].RequestID = fmt.Sprintf("request %d", i)
	}
	if err := s.RecordAll(t.Context(), events); err != nil {
		t.Fatalf("RecordAll: %v", err)
	}
	broken := append([]audit.Event{event("half")}, events...)
	broken[many].At = audit.Event{}.At
	if err := s.RecordAll(t.Context(), broken); err == nil {
		t.Error("events of which one has no time were recorded, want an error")
	}
	got := s.Rows(t, "SELECT request_id FROM audit_events ORDER BY id")
	if len(got) != many {
		t.Fatalf("the record has %d events, want the %d of the first call", len(got), many)
	}
	for i, id := range got {
		if id != events[i].RequestID {
			t.Fatalf("event %d is that of %q, want %q: the order is lost", i, id, events[i].RequestID)
		}
	}
}

// testAuditOfStrangers: whatever somebody sends, its refusal is recorded.
func testAuditOfStrangers(t *testing.T, s Store) {
	strange := event("example")
	strange.Client, strange.Asked, strange.Service = "nul \x00", "no \xff text", "'; DROP TABLE audit_events; --"
	if err := s.Record(t.Context(), strange); err != nil {
		t.Fatalf("Record: %v", err)
	}
	want := []string{"nul \uFFFD|no \uFFFD text|'; DROP TABLE audit_events; --"}
	if got := s.Rows(t, "SELECT client_id, asked, service FROM audit_events"); !reflect.DeepEqual(got, want) {
		t.Errorf("the record has %q, want %q", got, want)
	}
}
