package store_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/audit"
	"signpost/internal/store"
	"signpost/test/backends"
)

// TestRetentionLetsNothingElseHappen: when old events may be removed, that is all that may be
// done to the record.
func TestRetentionLetsNothingElseHappen(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d database) {
		s := d.open(t)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		old, young := time.UnixMilli(1), time.Now()
		if err := s.RecordAll(t.Context(), []audit.Event{{At: old, Kind: "old"}, {At: old, Kind: "old"}, {At: young, Kind: "young"}}); err != nil {
			t.Fatalf("RecordAll: %v", err)
		}
		for _, statement := range []string{
			`DELETE FROM audit_events`,                    // nothing may be removed at first
			`DELETE FROM audit_events WHERE kind = 'old'`, // the same
			`UPDATE audit_events SET outcome = 'allowed' WHERE kind = 'old'`,
		} {
			d.mustRefuse(t, statement, "append-only")
		}
		d.exec(t, `UPDATE audit_retention SET removable_before = 2`)
		d.mustRefuse(t, `DELETE FROM audit_events`, "append-only") // the young one among them
		d.mustRefuse(t, `UPDATE audit_events SET outcome = 'allowed' WHERE kind = 'old'`, "append-only")
		d.mustRefuse(t, `UPDATE audit_retention SET removable_before = 9999999999999`, "audit_retention")
		d.mustRefuse(t, `INSERT INTO audit_retention (id, removable_before) VALUES (2, 1)`, "audit_retention_one_row_check")
		d.mustRefuse(t, `INSERT INTO audit_retention (id, removable_before) VALUES (1, 9999999999999)`, "audit_retention")
		d.mustHave(t, s, "old", "old", "young")

		// Without the row nothing may be removed, and it comes back as strictly as it was.
		d.exec(t, `DELETE FROM audit_retention`)
		d.mustRefuse(t, `DELETE FROM audit_events WHERE kind = 'old'`, "append-only")
		if n, err := s.PruneAudit(t.Context(), time.UnixMilli(2), 1); err == nil || n != 0 {
			t.Errorf("PruneAudit without a row of audit_retention = %d, %v, want an error", n, err)
		}
		d.mustRefuse(t, `INSERT INTO audit_retention (id, removable_before) VALUES (1, 9999999999999)`, "audit_retention")
		d.exec(t, `INSERT INTO audit_retention (id, removable_before) VALUES (1, 2)`)
		d.exec(t, `DELETE FROM audit_events WHERE kind = 'old'`)
		d.mustHave(t, s, "young")
	})
}

func (d database) mustRefuse(t *testing.T, statement, want string) {
	t.Helper()
	if _, err := d.past.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s = %v, want it refused with %q", statement, err, want)
	}
}

// mustHave fails unless the record has events of these kinds.
func (d database) mustHave(t *testing.T, s *store.Store, kinds ...string) {
	t.Helper()
	found, err := s.Events(t.Context(), audit.Query{})
	if err != nil || len(found) != len(kinds) {
		t.Fatalf("the record has %d events, %v, want %d", len(found), err, len(kinds))
	}
	for i, e := range found {
		if e.Kind != kinds[i] {
			t.Errorf("event %d is of kind %q, want %q", i, e.Kind, kinds[i])
		}
	}
}

// TestPostgresRetentionIsTheTableOfTheRecord: a table of the same name that is found first does not
// make events removable, whoever made it.
func TestPostgresRetentionIsTheTableOfTheRecord(t *testing.T) {
	t.Parallel()
	given := backends.Postgres(t)
	s := openPostgres(t, given)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	if err := s.Record(t.Context(), audit.Event{At: time.UnixMilli(1), Kind: "old"}); err != nil {
		t.Fatalf("Record: %v", err)
	}
	conn, err := plainPostgres(t, given).Conn(t.Context())
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close()
	for _, statement := range []string{
		`CREATE TEMPORARY TABLE audit_retention (id BIGINT, removable_before BIGINT)`,
		`INSERT INTO audit_retention VALUES (1, 9999999999999)`,
	} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := conn.ExecContext(t.Context(), `DELETE FROM audit_events`); err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Errorf("DELETE beside a temporary table of the same name = %v, want it refused as append-only", err)
	}
}

// TestPostgresEventsAppearOutOfOrder: why a Tail looks back. The event with the smaller id is
// committed after the other one was read, and is there when it is looked for again.
func TestPostgresEventsAppearOutOfOrder(t *testing.T) {
	t.Parallel()
	given := backends.Postgres(t)
	s := openPostgres(t, given)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	tail := audit.NewTail(s, audit.Query{})
	if last, err := tail.Last(t.Context(), 10); err != nil || len(last) != 0 {
		t.Fatalf("Last = %v, %v, want nothing", last, err)
	}
	slow, err := plainPostgres(t, given).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	defer slow.Rollback()
	if _, err := slow.ExecContext(t.Context(), `
		INSERT INTO audit_events (at, kind, tenant, account_id, client_id, grant_id, service, scope, rule, outcome, subject_hash, request_id)
		VALUES (1, 'slow', '', '', '', '', '', '', '', '', '', '')`); err != nil {
		t.Fatalf("insert: %v", err)
	}
	if err := s.Record(t.Context(), audit.Event{At: time.UnixMilli(2), Kind: "quick"}); err != nil {
		t.Fatalf("Record: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var kinds []string
	var ids []int64
	err = tail.Follow(ctx, func(e audit.Stored) error {
		kinds, ids = append(kinds, e.Kind), append(ids, e.ID)
		if len(kinds) == 1 {
			return slow.Commit()
		}
		stop()
		return nil
	})
	if err != nil || !slices.Equal(kinds, []string{"quick", "slow"}) || ids[0] < ids[1] {
		t.Errorf("Follow showed %q with the ids %d, %v, want the quick one and then the slow one with the smaller id", kinds, ids, err)
	}
}

// TestSQLiteSearchReadsNoMoreThanItMust: nothing but a search for what has no index reads the
// table, and that reads it in the order asked for, so that it can stop early.
func TestSQLiteSearchReadsNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	_, path := migrated(t)
	db := plain(t, path)
	for name, c := range map[string]struct {
		query audit.Query
		want  []string
	}{
		"all":        {audit.Query{}, []string{"SCAN audit_events"}},
		"the newest": {audit.Query{Newest: true, Tenant: "example"}, []string{"SCAN audit_events"}},
		"going on":   {audit.Query{After: 7}, []string{"SEARCH audit_events USING INTEGER PRIMARY KEY (rowid>?)"}},
		"going back": {audit.Query{After: 7, Newest: true}, []string{"SEARCH audit_events USING INTEGER PRIMARY KEY (rowid<?)"}},
		"of one":     {audit.Query{Account: "a", Newest: true}, []string{"SEARCH audit_events USING INDEX audit_events_account_idx (account_id=?)"}},
		"a request":  {audit.Query{RequestID: "a", Tenant: "example"}, []string{"SEARCH audit_events USING INDEX audit_events_request_idx (request_id=?)"}},
		"of some time": {audit.Query{Since: time.UnixMilli(1), Newest: true}, []string{
			"SEARCH audit_events USING INTEGER PRIMARY KEY (rowid>?)",
			"SEARCH audit_events USING COVERING INDEX audit_events_at_idx (at>?)",
		}},
	} {
		plan := searchPlan(t, db, c.query)
		for _, want := range c.want {
			if !strings.Contains(plan, want) {
				t.Errorf("%s: the plan is\n%s\nwant %q in it", name, plan, want)
			}
		}
		if strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s: the plan sorts:\n%s", name, plan)
		}
	}
}

// searchPlan returns what SQLite says it will do.
func searchPlan(t *testing.T, db *sql.DB, q audit.Query) string {
	t.Helper()
	statement, values := store.SearchFor(q)
	steps, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, values...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer steps.Close()
	var plan strings.Builder
	for steps.Next() {
		var id, parent, unused int
		var step string
		if err := steps.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatalf("read the plan: %v", err)
		}
		plan.WriteString(step + "\n")
	}
	if err := steps.Err(); err != nil {
		t.Fatalf("read the plan: %v", err)
	}
	return plan.String()
}
