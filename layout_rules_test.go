package signpost_test

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tests of each rule into docs/rules.md anew")

const rulesFile = "docs/rules.md"

var (
	ruleHeading = regexp.MustCompile(`(?m)^## (R\d+) `)
	ruleTest    = regexp.MustCompile(`^Test(R\d+)[A-Z]`)
	testsLine   = regexp.MustCompile(`(?m)^Tests: .*$`)
)

// rewriteRules writes the lines "Tests:" of docs/rules.md anew.
func rewriteRules(tb testing.TB) {
	tb.Helper()
	repository := load(tb, os.DirFS("."))
	text := writeRuleTests(repository.docs[rulesFile], repository.ruleTests())
	if err := os.WriteFile(rulesFile, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// checkRules follows the rules to their proofs. A test that carries a rule has it
// in its name (TestR18Rotation); docs/rules.md names every one of them, and a rule
// that is said to be implemented, in part or whole, has one.
func checkRules(t *tree) (problems []string) {
	tests := t.ruleTests()
	text := t.docs[rulesFile]
	if text != writeRuleTests(text, tests) {
		problems = append(problems, rulesFile+" does not name the tests of its rules; run: make generate")
	}
	known := map[string]bool{}
	for rule, section := range ruleSections(text) {
		known[rule] = true
		planned := strings.Contains(section, "\n**Planned.**")
		switch {
		case planned && len(tests[rule]) > 0:
			problems = append(problems, fmt.Sprintf("%s: %s is said to be planned, and has the test %s", rulesFile, rule, tests[rule][0]))
		case !planned && len(tests[rule]) == 0:
			problems = append(problems, fmt.Sprintf("%s: %s is said to be implemented, and no test has it in its name", rulesFile, rule))
		}
	}
	for rule, names := range tests {
		if !known[rule] {
			problems = append(problems, fmt.Sprintf("%s names rule %s, and %s has no such rule", names[0], rule, rulesFile))
		}
	}
	slices.Sort(problems)
	return problems
}

// ruleTests returns the names of the tests of each rule, sorted.
func (t *tree) ruleTests() map[string][]string {
	tests := map[string][]string{}
	for _, s := range t.sources {
		for _, declaration := range s.file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || !s.test {
				continue
			}
			match := ruleTest.FindStringSubmatch(f.Name.Name)
			if match != nil && !slices.Contains(tests[match[1]], f.Name.Name) {
				tests[match[1]] = append(tests[match[1]], f.Name.Name)
			}
		}
	}
	for _, names := range tests {
		slices.Sort(names)
	}
	return tests
}

// ruleSections cuts the document into its rules.
func ruleSections(text string) map[string]string {
	sections := map[string]string{}
	headings := ruleHeading.FindAllStringSubmatchIndex(text, -1)
	for i, at := range headings {
		end := len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		sections[text[at[2]:at[3]]] = text[at[0]:end]
	}
	return sections
}

// writeRuleTests returns the document with the line "Tests:" of each rule as it should be.
func writeRuleTests(text string, tests map[string][]string) string {
	for rule, section := range ruleSections(text) {
		line := "Tests: none yet."
		if names := tests[rule]; len(names) > 0 {
			line = "Tests: `" + strings.Join(names, "`, `") + "`."
		}
		now := testsLine.ReplaceAllLiteralString(section, line)
		text = strings.Replace(text, section, now, 1)
	}
	return text
}
