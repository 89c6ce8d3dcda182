package groupware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// loopbackNames are the host names by which a client may have come.
var loopbackNames = []string{"127.0.0.1", "localhost", "::1", "[::1]"}

func portOf(listener net.Listener) string {
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return ""
	}
	return port
}

// serveHTTP answers on the listener until ctx ends.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           http.MaxBytesHandler(handler, 1<<20),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// logPrinter lets a library that prints lines print them into the log.
type logPrinter struct{ logger *slog.Logger }

func (p logPrinter) Printf(format string, args ...any) {
	p.logger.Debug(strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (p logPrinter) Println(args ...any) {
	p.logger.Debug(strings.TrimSpace(fmt.Sprintln(args...)))
}
