package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"signpost/server"
)

// drainFor is how long requests may take to finish when the service stops.
const drainFor = 10 * time.Second

// Serve answers on a listener until ctx ends, then lets requests finish. It reloads
// the facts whenever they change, also when another process changed them.
func (s *Service) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, s.Handler)
}

// ServeWith is Serve with another handler around the service's own.
func (s *Service) ServeWith(ctx context.Context, l net.Listener, wrap func(http.Handler) http.Handler) error {
	return s.serve(ctx, l, wrap(s.Handler))
}

func (s *Service) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	operations, err := s.listenForOperators(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// What goes on in the background goes on until the last request has been answered.
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { s.background(background) })
	running.Go(func() { operations(background) })
	srv := s.httpServer(h)
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drained <- s.drain(ctx, srv)
	}()
	if s.certificate != nil {
		srv.TLSConfig = &tls.Config{GetCertificate: s.certificate.get, MinVersion: tls.VersionTLS12}
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	stop(err)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	err = errors.Join(err, <-drained)
	end()
	running.Wait()
	return err
}

// background is everything that goes on besides requests. It returns when ctx has ended
// and all of it too.
func (s *Service) background(ctx context.Context) {
	var running sync.WaitGroup
	for _, run := range []func(context.Context){s.follow, s.reloads, s.tell, s.listen, s.ping, s.prunes} {
		running.Go(func() { run(ctx) })
	}
	running.Wait()
}

func (s *Service) httpServer(h http.Handler) *http.Server {
	srv := server.Timeouts(h)
	srv.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	return srv
}

// drain tells load balancers that this replica stops, gives them time to notice, and
// lets requests finish.
func (s *Service) drain(ctx context.Context, srv *http.Server) error {
	s.stopping.Store(true)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownDelay+drainFor)
	defer cancel()
	if s.config.ShutdownDelay > 0 && errors.Is(context.Cause(ctx), context.Canceled) { // told to stop; a failed listener does not wait
		s.log.InfoContext(ctx, "stopping: not ready any more, still answering", "for", s.config.ShutdownDelay)
		select {
		case <-bounded.Done():
		case <-time.After(s.config.ShutdownDelay):
		}
	}
	return srv.Shutdown(bounded)
}

// listenForOperators opens the listener of /livez, /readyz and /metrics and returns
// what serves it, which is nothing if none is configured.
func (s *Service) listenForOperators(ctx context.Context) (serve func(context.Context), err error) {
	if s.config.OperationsListen == "" {
		return func(context.Context) {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.OperationsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	srv := server.OperationsTimeouts(s.Operations)
	srv.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	return func(ctx context.Context) {
		go func() {
			<-ctx.Done()
			_ = srv.Close() // nobody is owed an answer here
		}()
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.ErrorContext(ctx, "operations: no /readyz and no /metrics any more", "err", err)
		}
	}, nil
}
