package signpost_test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	rfc      = regexp.MustCompile(`\bRFC[ -]?\d+`)
	citation = regexp.MustCompile(`^RFC \d{3,5}, (section \d+(\.\d+)*|appendix [A-Z](\.\d+)*)`)
	mdLink   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdFence  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	mdCode   = regexp.MustCompile("`[^`\n]*`")
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Example)[A-Z]\w*`)
	scheme   = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
)

// checkCitations wants "RFC 7033, section 4.2" wherever a comment names an RFC:
// pkg.go.dev makes a link of exactly this form, and a reader can look it up. A
// package comment may name a whole RFC.
func checkCitations(t *tree) (problems []string) {
	for _, s := range t.sources {
		for _, group := range s.file.Comments {
			if group == s.file.Doc {
				continue
			}
			text := strings.Join(strings.Fields(group.Text()), " ")
			for _, at := range rfc.FindAllStringIndex(text, -1) {
				if !citation.MatchString(text[at[0]:]) {
					problems = append(problems, fmt.Sprintf("%s: %q without its section, want the form \"RFC 7033, section 4.2\"", t.at(group), text[at[0]:at[1]]))
				}
			}
		}
	}
	return problems
}

// checkMigrations compares the folders below migrations, one for each dialect:
// the same numbers and names, so that a version means the same everywhere.
func checkMigrations(t *tree) (problems []string) {
	dialects := map[string][]string{}
	for _, name := range t.files {
		dir, file := path.Split(name)
		if path.Dir(path.Clean(dir)) == "migrations" && path.Ext(file) == ".sql" {
			dialects[path.Base(dir)] = append(dialects[path.Base(dir)], file)
		}
	}
	for _, a := range slices.Sorted(maps.Keys(dialects)) {
		for _, b := range slices.Sorted(maps.Keys(dialects)) {
			for _, file := range dialects[a] {
				if !slices.Contains(dialects[b], file) {
					problems = append(problems, fmt.Sprintf("migrations/%s has %s, migrations/%s has not", a, file, b))
				}
			}
		}
	}
	return problems
}

// checkLinks follows every relative link of the documentation.
func checkLinks(t *tree) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(t.docs)) {
		text := mdCode.ReplaceAllString(mdFence.ReplaceAllString(t.docs[name], ""), "")
		for _, match := range mdLink.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(match[1], "#")
			if target == "" || scheme.MatchString(target) {
				continue
			}
			if _, err := fs.Stat(t.fsys, path.Join(path.Dir(name), target)); err != nil {
				problems = append(problems, fmt.Sprintf("%s links to %s, which does not exist", name, target))
			}
		}
	}
	return problems
}

// checkNamedTests wants every test that the documentation takes as a proof, and one at
// least in each row of a table whose last column is "tests".
func checkNamedTests(t *tree) (problems []string) {
	var tests []string
	for _, s := range t.sources {
		for _, declaration := range s.file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && s.test && f.Recv == nil {
				tests = append(tests, f.Name.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.docs)) {
		if name != "docs/rules.md" && name != "docs/standards.md" && path.Dir(name) != "docs/security" {
			continue
		}
		for _, test := range testName.FindAllString(t.docs[name], -1) {
			if !slices.Contains(tests, test) {
				problems = append(problems, fmt.Sprintf("%s names %s, and there is no such test", name, test))
			}
		}
		problems = append(problems, unprovenRows(name, t.docs[name])...)
	}
	return problems
}
