package main

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"signpost/internal/demo/demotest"
)

// readme returns the fenced blocks of a language in README.md.
func readme(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for rest := string(text); ; {
		_, after, found := strings.Cut(rest, "```"+language+"\n")
		if !found {
			break
		}
		block, left, _ := strings.Cut(after, "```")
		blocks = append(blocks, block)
		rest = left
	}
	if len(blocks) == 0 {
		t.Fatalf("README.md has no block of %s", language)
	}
	return blocks
}

var digits = regexp.MustCompile(`[0-9]+`)

// plain makes lines comparable whose numbers differ from run to run: ports, times.
func plain(line string) string {
	return strings.Join(strings.Fields(digits.ReplaceAllString(line, "0")), " ")
}

// TestReadmeWalk runs the command that the README begins with and looks for every
// line that it shows, in order.
func TestReadmeWalk(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(readme(t, "console")[0]), "\n")
	if lines[0] != "$ go run ./cmd/signpost demo --walk" {
		t.Fatalf("README begins with %q", lines[0])
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--walk", "--port", "0"}, nil, nil, &out, &errs); code != 0 {
		t.Fatalf("demo --walk: exit code %d\n%s%s", code, out.String(), errs.String())
	}
	rest := strings.Split(out.String(), "\n")
	for _, want := range lines[1:] {
		if want == "…" || strings.TrimSpace(want) == "" {
			continue
		}
		for len(rest) > 0 && plain(rest[0]) != plain(want) {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			t.Fatalf("the walk does not print, or not in this order:\n%s\nit prints\n%s", want, out.String())
		}
	}
}

// TestReadmeCurl asks what the README asks with curl.
func TestReadmeCurl(t *testing.T) {
	t.Parallel()
	d := demotest.Start(t, nil)
	asked := 0
	for _, block := range readme(t, "sh") {
		for line := range strings.Lines(block) {
			quoted, ok := strings.CutPrefix(strings.TrimSpace(line), "curl ")
			if !ok {
				continue
			}
			u, err := url.Parse(strings.Trim(quoted, "'"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.Get(d.URL + u.RequestURI())
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%s: %d, %v", line, res.StatusCode, err)
			}
			asked++
		}
	}
	if asked < 3 {
		t.Errorf("README has %d curl lines, want 3", asked)
	}
}

// TestReadmeSDK compares the README's Go with the client's own example, which runs.
func TestReadmeSDK(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../../client/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(readme(t, "go")[0]) {
		line = strings.TrimSpace(line)
		if line != "c := &client.Client{}" && !strings.Contains(string(example), line) {
			t.Errorf("client/example_test.go does not have the README's line %q", line)
		}
	}
}
