package directory

import (
	"os"
	"strings"
	"testing"
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
		if _, err := Parse("tenants.md", []byte(block), noEnv, secret); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
	if parts != 4 || !strings.HasPrefix(whole, "tenants:\n") {
		t.Errorf("%d parts after a file that begins with %.20q; want 4 after the whole file", parts, whole)
	}
}

// The page names every key that there is.
func TestDocumentedKeys(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/tenants.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{tenantKeys, providerKeys, serviceKeys, clientsKeys, matchKeys, fixedKeys, resourceServerKeys, builtInIDs()} {
		for _, key := range keys {
			if !strings.Contains(string(page), "`"+key+"`") {
				t.Errorf("docs/tenants.md has no `%s`", key)
			}
		}
	}
}
