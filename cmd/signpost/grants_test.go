package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"signpost/internal/service"
)

func someGrants() []service.Grant {
	at := time.Date(2026, 11, 23, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	return []service.Grant{
		{ID: "9Zm2uXq0aYc", Client: "open", Scopes: []string{"openid", "offline_access"}, CreatedAt: at, LastUsedAt: at.Add(time.Hour)},
		{ID: "aaaaaaaaaaa", Client: "r." + strings.Repeat("x", 300), Scopes: []string{"openid"}, CreatedAt: at, LastUsedAt: at},
	}
}

func TestGrantsAreATableForPeople(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := printGrants(&b, someGrants()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	want := []string{"9Zm2uXq0aYc", "open", "2026-11-23T12:00:00Z", "2026-11-23T13:00:00Z", "openid", "offline_access"}
	if len(lines) != 3 || strings.Join(strings.Fields(lines[1]), " ") != strings.Join(want, " ") {
		t.Fatalf("got\n%s\nwant a heading and %q", b.String(), want)
	}
	for _, line := range lines {
		if len(line) > 160 {
			t.Errorf("a line has %d characters: %s", len(line), line)
		}
	}
	b.Reset()
	if err := printGrants(&b, nil); err != nil || b.String() != "signed in with no program\n" {
		t.Errorf("without grants: %q, %v", b.String(), err)
	}
}

func TestGrantsAreJSONForPrograms(t *testing.T) {
	t.Parallel()
	for _, list := range [][]service.Grant{nil, someGrants()} {
		var b bytes.Buffer
		if err := printGrantsJSON(&b, list); err != nil {
			t.Fatal(err)
		}
		var rows []struct {
			ID     string   `json:"id"`
			Client string   `json:"client_id"`
			Scopes []string `json:"scopes"`
		}
		if err := json.Unmarshal(b.Bytes(), &rows); err != nil || rows == nil || len(rows) != len(list) {
			t.Fatalf("%s: %v, want a list of %d", b.String(), err, len(list))
		}
		for i, g := range list {
			if rows[i].ID != g.ID || rows[i].Client != g.Client || len(rows[i].Scopes) != len(g.Scopes) {
				t.Errorf("row %+v, want %+v, whole", rows[i], g)
			}
		}
	}
}

func TestEndedLine(t *testing.T) {
	t.Parallel()
	for ended, want := range map[service.Ended]string{
		{}: "nothing to end", {Grants: 1}: "ended 1 sign-in", {Grants: 3}: "ended 3 sign-ins", {AppPasswords: 1}: "ended 1 app password",
		{Grants: 2, AppPasswords: 4}: "ended 2 sign-ins and 4 app passwords",
	} {
		if got := endedLine(ended); got != want {
			t.Errorf("endedLine(%+v) = %q, want %q", ended, got, want)
		}
	}
}
