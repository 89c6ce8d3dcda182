package server

import (
	"encoding/json"
	"net/http"
	"time"
)

// Operations answers those who run the service, on a listener of its own that
// strangers do not reach: /livez, /readyz, and /metrics from the handler that is
// given. Nothing of it is secret or personal, and nothing of it asks a dependency.
func Operations(h Health, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", livez)
	mux.Handle("GET /readyz", readyz(h))
	mux.Handle("GET /metrics", metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// livez answers as long as the process can answer at all: what only a new start can
// mend. A dependency that is away comes back without one.
func livez(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // nobody is there to be told
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready  bool    `json:"ready"`
	Causes []Cause `json:"causes"`
}

// readyz answers 200 if this process should get requests, else 503.
func readyz(h Health) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		causes := h.Causes()
		answer := readiness{Ready: ready(causes), Causes: causes}
		w.Header().Set("Content-Type", "application/json")
		if !answer.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(answer) // strings and times: only the connection can fail
	}
}

// OperationsTimeouts returns an http.Server with the bounds of the operations
// listener: everything it answers is at hand, so they are narrower than those of
// Timeouts. A connection may stay open between two scrapes.
func OperationsTimeouts(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
}
