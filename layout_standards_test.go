package signpost_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const standardsFile = "docs/standards.md"

// states are how the state of a standard begins. What was not read can be whole, but is
// unverified then.
var states = []string{"complete", "whole, unverified", "partial", "planned"}

// row is one row of a table of the documentation, with the table's header.
type row struct {
	line          int // counted from 1
	header, cells []string
}

// last returns the last column's heading and cell.
func (r row) last() (heading, cell string) {
	return r.header[len(r.header)-1], r.cells[len(r.cells)-1]
}

// tableRows returns the rows of all tables of a Markdown text.
func tableRows(text string) (rows []row) {
	var header []string
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "|") {
			header = nil
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case header == nil:
			header = cells
		case strings.Trim(line, "|-: ") != "":
			rows = append(rows, row{i + 1, header, cells})
		}
	}
	return rows
}

// checkStandards wants of every row about a text its revision and one state, and of what
// was not read that it is not called complete (R33).
func checkStandards(text string) (problems []string) {
	found := 0
	for _, r := range tableRows(text) {
		if !slices.Equal(r.header, []string{"text", "revision", "state"}) {
			continue
		}
		found++
		say := func(what string) { problems = append(problems, fmt.Sprintf("%s:%d: %s", standardsFile, r.line, what)) }
		if len(r.cells) != 3 || slices.Contains(r.cells, "") {
			say("a row needs a text, its revision and its state")
			continue
		}
		if !slices.ContainsFunc(states, func(state string) bool { return strings.HasPrefix(r.cells[2], state) }) {
			say(fmt.Sprintf("state %q, want one that begins with %s", r.cells[2], strings.Join(states, ", ")))
		}
		if line := strings.Join(r.cells, " "); strings.Contains(line, "complete") && strings.Contains(line, "unverified") {
			say("what is unverified cannot be complete")
		}
	}
	if found == 0 {
		problems = append(problems, standardsFile+" has no table of texts, revisions and states")
	}
	return problems
}

// unprovenRows names the rows of tables of proofs that have no test.
func unprovenRows(name, text string) (problems []string) {
	for _, r := range tableRows(text) {
		if heading, cell := r.last(); heading == "tests" && (len(r.cells) != len(r.header) || !testName.MatchString(cell)) {
			problems = append(problems, fmt.Sprintf("%s:%d has no test", name, r.line))
		}
	}
	return problems
}

func TestR33StandardsNameTheirRevision(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(standardsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range checkStandards(string(text)) {
		t.Error(problem)
	}
}

// TestR33Check shows that the check can fail.
func TestR33Check(t *testing.T) {
	t.Parallel()
	const header = "| text | revision | state |\n| --- | --- | --- |\n"
	for rows, want := range map[string]string{
		"| PKCE | RFC 7636 | complete |\n":                                "",
		"| PKCE | RFC 7636 | complete but for what is optional |\n":       "",
		"| PKCE | RFC 7636 | whole, unverified; S256 only |\n":            "",
		"| PKCE | RFC 7636 | partial, unverified: S256 |\n":               "",
		"| PACC | draft-03, unverified | planned |\n":                     "",
		"| PKCE |  | complete |\n":                                        "needs a text, its revision and its state",
		"| PKCE | RFC 7636 | |\n":                                         "needs a text, its revision and its state",
		"| PKCE | RFC 7636 |\n":                                           "needs a text, its revision and its state",
		"| PKCE | RFC 7636 | done |\n":                                    "want one that begins with",
		"| PKCE | RFC 7636 | whole |\n":                                   "want one that begins with",
		"| PKCE | RFC 7636 | complete, unverified |\n":                    "cannot be complete",
		"| PACC | draft-03, unverified | complete |\n":                    "cannot be complete",
		"| A | RFC 1 | planned |\n| PACC | -03 unverified | complete |\n": "docs/standards.md:4:",
	} {
		got := checkStandards(header + rows)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%s: %q, want %q", rows, got, want)
		}
	}
	if got := checkStandards("| section | tests |\n| --- | --- |\n| 1 | TestX |\n"); len(got) != 1 {
		t.Errorf("without a table of texts: %q, want a word about it", got)
	}
}
