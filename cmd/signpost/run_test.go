package main

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
)

// TestExitCodes: 2 is a wrong command line, 1 a failure.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"version": 0,
		"discover --server foo alice@example.test":                   2,
		"discover --server https://id.example.test/x a@example.test": 2,
		"discover alice":          2,
		"apply":                   2,
		"nonsense":                2,
		"apply -f no-such-file":   1,
		"config check --listen x": 1,
	} {
		var out, errs bytes.Buffer
		env := []string{"SIGNPOST_DATA_DIR=" + t.TempDir()}
		if got := run(t.Context(), strings.Fields(line), env, nil, &out, &errs); got != want {
			t.Errorf("signpost %s: exit code %d, want %d: %s", line, got, want, &errs)
		}
	}
}

func TestVersionNamesTheCommit(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3"}}
	if got, want := versionLine(info), "signpost v1.2.3 go1.26.0"; got != want {
		t.Errorf("version %q, want %q", got, want)
	}
	info.Settings = []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "vcs.revision", Value: "0123abcd"}, {Key: "vcs.modified", Value: "true"}}
	if got, want := versionLine(info), "signpost v1.2.3 go1.26.0 0123abcd modified"; got != want {
		t.Errorf("version %q, want %q", got, want)
	}
}
