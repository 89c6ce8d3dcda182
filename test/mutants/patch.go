package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// patch is one mutant.
type patch struct {
	name  string   // "expired-subject-token"
	file  string   // absolute
	guard string   // what the product does without its guard
	tests []string // packages whose tests should notice, and flags of go test such as -run=TestR12
}

// readPatch reads what stands above the diff. Without a Tests line the packages
// of the changed files are tried first.
func readPatch(file string) (patch, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return patch{}, err
	}
	p := patch{name: strings.TrimSuffix(filepath.Base(file), ".patch"), file: file}
	first, rest, _ := strings.Cut(string(text), "\n")
	guard, ok := strings.CutPrefix(first, "# ")
	if !ok {
		return patch{}, fmt.Errorf("%s: the first line must say what the product does without its guard: \"# The exchange takes …\"", filepath.Base(file))
	}
	p.guard = strings.TrimSpace(guard)
	second, _, _ := strings.Cut(rest, "\n")
	if tests, ok := strings.CutPrefix(second, "Tests:"); ok {
		p.tests = strings.Fields(tests)
		return p, nil
	}
	for line := range strings.SplitSeq(rest, "\n") {
		if changed, ok := strings.CutPrefix(line, "+++ b/"); ok {
			p.tests = append(p.tests, "./"+path.Dir(strings.TrimSpace(changed)))
		}
	}
	slices.Sort(p.tests)
	p.tests = slices.Compact(p.tests)
	return p, nil
}
