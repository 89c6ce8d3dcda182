package storetest

import (
	"reflect"
	"testing"

	"signpost/internal/audit"
)

func event(tenant string) audit.Event {
	return audit.Event{
		At: start, Kind: audit.KindToken, Tenant: tenant, Account: "account", Client: "open", Grant: "grant",
		Service: "mail.example.com", Scope: "urn:ietf:params:oauth:scope:mail", Rule: "narrow", Outcome: audit.Allowed,
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
	got := s.Rows(t, `SELECT at, kind, tenant, account_id, client_id, grant_id, service, scope, rule, outcome, subject_hash, request_id
		FROM audit_events ORDER BY id`)
	want := []string{
		"1773480413000|token|example|account|open|grant|mail.example.com|urn:ietf:params:oauth:scope:mail|narrow|allowed|cafe|request",
		"1773480413000|applied||||||||||",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the record has\n     %q\nwant %q", got, want)
	}
	if err := s.Record(t.Context(), audit.Event{Kind: audit.KindToken}); err == nil {
		t.Error("an event without a time was recorded, want an error")
	}
}
