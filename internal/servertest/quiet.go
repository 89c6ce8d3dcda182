package servertest

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"signpost/internal/service"
	"signpost/oidc/keys/keystest"
)

// Quiet is the handler of a second process at the same data, set as one is by default: what is
// measured must not write a line for each request, nor ask the database each time.
func (s *Server) Quiet(t testing.TB) http.Handler {
	t.Helper()
	config := s.Config
	config.LogLevel, config.RevocationMaxStale = slog.LevelInfo, 5*time.Minute
	second, err := service.Open(t.Context(), config, service.Logger(config, io.Discard), service.Parts{Now: s.Clock.Now, Generate: keystest.Generator()})
	if err != nil {
		t.Fatalf("open a second service: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, second, l)
	return second.Handler
}
