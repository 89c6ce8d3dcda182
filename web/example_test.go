package web

import (
	"errors"
	"testing"

	"signpost/directory"
)

// What the page of an empty installation shows can be applied as it stands.
func TestExampleFileCanBeApplied(t *testing.T) {
	t.Parallel()
	src, err := templateFiles.ReadFile("templates/tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	noVariable := func(string) (string, bool) { return "", false }
	readFile := func(name string) ([]byte, error) {
		if name != "staff.secret" {
			return nil, errors.New("the page speaks of no such file")
		}
		return []byte("example secret\n"), nil
	}
	tenants, err := directory.Parse("tenants.yaml", src, noVariable, readFile)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	if len(tenants) != 1 || tenants[0].Placement != directory.PlacementBase {
		t.Fatalf("tenants = %+v, want one at the base URL", tenants)
	}
	if got := tenants[0].IdentityProviders[0].Name; got != "staff" {
		t.Errorf("identity provider = %q, want the %q of the redirect URI", got, "staff")
	}
}
