package storetest

import (
	"strings"
	"testing"
)

func testBaseURL(t *testing.T, s Store) {
	again := s.Again(t)
	if got, err := s.BaseURL(t.Context()); got != "" || err != nil {
		t.Errorf("BaseURL of a new database = %q, %v, want none", got, err)
	}
	if err := s.KeepBaseURL(t.Context(), "https://id.example.com"); err == nil {
		t.Error("KeepBaseURL before KeepKey = nil, want an error")
	}
	if err := s.KeepKey(t.Context()); err != nil {
		t.Fatalf("KeepKey: %v", err)
	}
	for _, want := range []string{"https://id.example.com", "https://id.example.com", "https://id.example.org"} {
		if err := s.KeepBaseURL(t.Context(), want); err != nil {
			t.Fatalf("KeepBaseURL(%s): %v", want, err)
		}
		// The key check of another process is no reason to forget the base URL.
		if err := again.KeepKey(t.Context()); err != nil {
			t.Fatalf("KeepKey again: %v", err)
		}
		if got, err := again.BaseURL(t.Context()); got != want || err != nil {
			t.Errorf("BaseURL = %q, %v, want %q", got, err, want)
		}
	}
}

// testKeyCheck: the same key is taken before and after the database is sealed, and
// the check shows nothing of what it knows.
func testKeyCheck(t *testing.T, s Store) {
	seed(t, s)
	again := s.Again(t)
	for _, sealed := range []bool{false, true} {
		if sealed {
			if err := s.KeepKey(t.Context()); err != nil {
				t.Fatalf("KeepKey: %v", err)
			}
		}
		if err := again.CheckKey(t.Context()); err != nil {
			t.Errorf("CheckKey with the right key, sealed %v = %v, want nil", sealed, err)
		}
	}
	rows := s.Rows(t, `SELECT key_check FROM installation`)
	if len(rows) != 1 || len(rows[0]) <= len("signpost") || strings.Contains(rows[0], "signpost") {
		t.Errorf("installation has %q, want one row with a sealed text", rows)
	}
}
