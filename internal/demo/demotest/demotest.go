// Package demotest runs the whole demo in one process for tests: package stage,
// with signing keys that are made once for all demos of a test binary. Only tests
// import it.
package demotest

import (
	"log/slog"
	"testing"

	"signpost/internal/demo"
	"signpost/internal/demo/stage"
	"signpost/internal/service"
	"signpost/oidc/keys/keystest"
)

// Start runs a demo until the test ends. The map switches checks of services off.
func Start(t testing.TB, insecure map[string]demo.Insecure) *stage.Stage {
	t.Helper()
	s, err := stage.Start(t.Context(), stage.Options{
		Dir: t.TempDir(), Log: quiet(), Insecure: insecure, Parts: service.Parts{Generate: keystest.Generator()},
	})
	if err != nil {
		t.Fatalf("start the demo: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the demo: %v", err)
		}
	})
	return s
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
