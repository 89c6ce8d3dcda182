package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"signpost/internal/service"
)

// TestExplainTellsWrongUsageFromRefusal by the exit code: 2 for a wrong command line, 1 for what fails.
func TestExplainTellsWrongUsageFromRefusal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for line, want := range map[string]int{
		"explain --account a --client open":                                2,
		"explain --account a --client open --service imap --way code":      2,
		"explain --account a --client open --service imap --scope a\tb":    2,
		"explain --account a --client open --service imap extra":           2,
		"explain --account a --client open --service imap --data-dir nope": 1,
	} {
		args := strings.Split(line, " ")
		var stdout, stderr bytes.Buffer
		got := run(t.Context(), args, []string{"SIGNPOST_DATA_DIR=" + dir}, strings.NewReader(""), &stdout, &stderr)
		if got != want || stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d and a reason", line, got, stdout.String(), stderr.String(), want)
		}
	}
}

// TestExplainedWithoutAClient is a refusal, whatever the rules would have said.
func TestExplainedWithoutAClient(t *testing.T) {
	t.Parallel()
	e := service.Explained{Tenant: "example", Account: "alice-id", Client: "gone", Service: "imap", Way: "exchange", NoClient: true}
	e.Decision.Rule = "allow-narrow"
	var people, programs bytes.Buffer
	if err := printExplained(&people, e); err != nil {
		t.Fatal(err)
	}
	if err := printExplainedJSON(&programs, e); err != nil {
		t.Fatal(err)
	}
	if got := people.String(); !strings.HasPrefix(got, "refused: ") || strings.Contains(got, "audience") || !strings.Contains(got, "to change") {
		t.Errorf("for people:\n%s", got)
	}
	var document struct {
		Allowed  *bool    `json:"allowed"`
		Error    string   `json:"error"`
		Steps    []any    `json:"steps"`
		Supposed []string `json:"supposed"`
		Token    any      `json:"token"`
	}
	if err := json.Unmarshal(programs.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if d := document; d.Allowed == nil || *d.Allowed || d.Error != "invalid_client" || d.Token != nil || d.Steps == nil || d.Supposed == nil {
		t.Errorf("for programs:\n%s", programs.String())
	}
}
