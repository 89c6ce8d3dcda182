package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unit reads the assignments of deploy/signpost.service, in order.
func unit(t testing.TB) (found [][2]string) {
	t.Helper()
	for line := range strings.Lines(read(t, "deploy/signpost.service")) {
		line = strings.TrimSpace(line)
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			found = append(found, [2]string{key, value})
		}
	}
	return found
}

func TestUnitIsHardened(t *testing.T) {
	t.Parallel()
	assignments := unit(t)
	for _, want := range [][2]string{
		{"ExecStart", "/usr/local/bin/signpost serve"},
		{"Restart", "on-failure"},
		{"DynamicUser", "yes"},
		{"StateDirectory", "signpost"},
		{"NoNewPrivileges", "yes"},
		{"ProtectSystem", "strict"},
		{"CapabilityBoundingSet", ""},
		{"SystemCallFilter", "@system-service"},
		{"MemoryDenyWriteExecute", "yes"},
	} {
		if !slices.Contains(assignments, want) {
			t.Errorf("deploy/signpost.service has no %s=%s", want[0], want[1])
		}
	}
}

// TestUnitSetsWhatSignpostKnows, and what it sets of a credential is one that it loads.
func TestUnitSetsWhatSignpostKnows(t *testing.T) {
	t.Parallel()
	credential := regexp.MustCompile(`^%d/(.+)$`)
	var loaded []string
	assignments := unit(t)
	for _, a := range assignments {
		if a[0] == "LoadCredential" {
			name, _, _ := strings.Cut(a[1], ":")
			loaded = append(loaded, name)
		}
	}
	for _, a := range assignments {
		if a[0] != "Environment" {
			continue
		}
		variable, value, _ := strings.Cut(a[1], "=")
		isSetting(t, "deploy/signpost.service", variable)
		if match := credential.FindStringSubmatch(value); match != nil && !slices.Contains(loaded, match[1]) {
			t.Errorf("%s is the credential %s, which is not loaded: %q are", variable, match[1], loaded)
		}
	}
	if len(loaded) == 0 {
		t.Error("deploy/signpost.service loads no credential")
	}
}
