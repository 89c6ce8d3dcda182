package directory

import (
	"os"
	"strings"
	"testing"
	"time"

	"signpost/internal/condition"
)

// What docs/tenants.md shows can be declared: the file at its beginning, alone and
// with each of the parts that are shown after it.
func TestDocumentedDeclarationsParse(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/tenants.md")
	if err != nil {
		t.Fatal(err)
	}
	secret := func(string) ([]byte, error) { return []byte(longSecret + "\n"), nil }
	var whole string
	parts := 0
	for i, block := range strings.Split(string(page), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if i == 0 {
			whole = block
		} else {
			block = whole + block
			parts++
		}
		tenants, err := Parse("tenants.md", []byte(block), noEnv, secret)
		if err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
		if warnings := Warnings(tenants); warnings != nil {
			t.Errorf("example %d: %q", i+1, warnings)
		}
	}
	if parts != 7 || !strings.HasPrefix(whole, "tenants:\n") {
		t.Errorf("%d parts after a file that begins with %.20q; want 7 after the whole file", parts, whole)
	}
}

// The page names every key that there is.
func TestDocumentedKeys(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/tenants.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{tenantKeys, providerKeys, serviceKeys, clientsKeys, matchKeys, fixedKeys, resourceServerKeys, profileKeys, builtInIDs()} {
		for _, key := range keys {
			if !strings.Contains(string(page), "`"+key+"`") {
				t.Errorf("docs/tenants.md has no `%s`", key)
			}
		}
	}
}

// The conditions that the page shows are met by those whom they are meant for, and by nobody of
// whom nothing is known.
func TestDocumentedConditions(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/tenants.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```cel\n")
	block, _, _ = strings.Cut(block, "```")
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	person := func(kind, name string, value any) condition.Facts {
		return condition.Facts{Now: now, ClientKind: kind, Claims: map[string]any{name: value}}
	}
	cases := []struct{ good, bad []condition.Facts }{
		{
			[]condition.Facts{person("", "groups", []any{"staff"}), person("", "groups", []any{"x", "mail-users"})},
			[]condition.Facts{person("", "groups", []any{"guests"}), person("", "groups", []any{})},
		},
		{
			[]condition.Facts{person("", "acr", "phrh"), person("", "amr", []string{"pwd", "mfa"})},
			[]condition.Facts{person("", "acr", "0"), person("", "amr", []string{"pwd"})},
		},
		{[]condition.Facts{person("registered", "", ""), person("built-in", "", "")}, []condition.Facts{person("open", "", ""), person("url", "", "")}},
		{[]condition.Facts{person("", "domain", "example.com")}, []condition.Facts{person("", "domain", "example.org")}},
		{
			[]condition.Facts{person("", "auth_time", now.Add(-11*time.Hour))},
			[]condition.Facts{person("", "auth_time", now.Add(-13*time.Hour))},
		},
	}
	sources := strings.Split(strings.TrimSpace(block), "\n\n")
	if len(sources) != len(cases) {
		t.Fatalf("the page has %d conditions, want %d: %q", len(sources), len(cases), sources)
	}
	for i, c := range cases {
		compiled, err := condition.Compile(sources[i])
		if err != nil {
			t.Errorf("%s: %v", sources[i], err)
			continue
		}
		for _, f := range c.good {
			if holds, err := compiled.Holds(f); !holds {
				t.Errorf("%s: does not hold of %+v: %v", sources[i], f, err)
			}
		}
		for _, f := range append(c.bad, condition.Facts{Now: now}) {
			if holds, _ := compiled.Holds(f); holds {
				t.Errorf("%s: holds of %+v", sources[i], f)
			}
		}
	}
}
