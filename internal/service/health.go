package service

import (
	"context"
	"sync"
	"time"

	"signpost/internal/metrics"
	"signpost/server"
)

// condition is how something that is done again and again goes. It is safe for use
// by many goroutines.
type condition struct {
	mu    sync.Mutex
	since time.Time // when it began to fail; zero while it goes well
}

// well notes a success and reports whether it ends an outage.
func (c *condition) well() (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news = !c.since.IsZero()
	c.since = time.Time{}
	return news
}

// badly notes a failure and reports whether it begins an outage, which is worth a
// line in the log, and not one for each try.
func (c *condition) badly(now time.Time) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news = c.since.IsZero()
	if news {
		c.since = now
	}
	return news
}

// failing returns since when it fails; the zero time while it goes well.
func (c *condition) failing() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since
}

// auditLate is how long an event may wait before operators are told.
const auditLate = 10 * time.Second

// Causes implements server.Health.
func (s *Service) Causes() []server.Cause {
	process := server.Cause{Part: server.PartProcess, State: server.OK, Text: "running"}
	if s.stopping.Load() {
		process.State, process.Text = server.Failed, "stopping: requests in hand are finished, new ones belong elsewhere"
	}
	causes := []server.Cause{process,
		cause(server.PartFacts, s.loads.failing(), "what is declared is served",
			"a change of what is declared cannot be loaded: what was served before goes on; the log says why"),
		cause(server.PartDatabase, s.looks.failing(), "answers",
			"does not answer: discovery goes on, known grants count for a while, sign-ins and changes wait"),
		cause(server.PartCache, s.pings.failing(), "answers",
			"does not answer: nobody can sign in anew, everything else goes on"),
	}
	revocations, late := time.Time{}, time.Time{}
	if confirmed := s.confirmed(); s.now().Sub(confirmed) > max(s.config.RevocationMaxStale, 4*s.watch) {
		revocations = confirmed
	}
	if oldest := s.audit.Oldest(); !oldest.IsZero() && s.now().Sub(oldest) > auditLate {
		late = oldest
	}
	return append(causes,
		cause(server.PartRevocations, revocations, "every ended grant is known",
			"for too long nothing said which grants have ended: tokens are refused with 503 until the database answers"),
		cause(server.PartAudit, late, "events are written",
			"events wait to be written; when the queue is full, what they describe waits too"))
}

// confirmed returns when it was last certain that every ended grant is known; the
// start before the first time.
func (s *Service) confirmed() time.Time {
	if confirmed := s.known.Confirmed(); !confirmed.IsZero() {
		return confirmed
	}
	return s.started
}

// cause is well while since is zero.
func cause(part server.Part, since time.Time, well, badly string) server.Cause {
	if since.IsZero() {
		return server.Cause{Part: part, State: server.OK, Text: well}
	}
	return server.Cause{Part: part, State: server.Degraded, Since: since.UTC(), Text: badly}
}

// measure shows what is known already to whoever scrapes.
func (s *Service) measure() {
	s.known.Observe = func(result string) { s.metrics.Lookup("grants", result) }
	s.metrics.AuditQueue(s.audit.Depth)
	s.metrics.RevocationAge(func() time.Duration { return s.now().Sub(s.confirmed()) })
	for name := range s.store.Pools() {
		s.metrics.DatabasePool(name, func() metrics.Pool {
			p := s.store.Pools()[name]
			return metrics.Pool{Max: p.MaxOpenConnections, InUse: p.InUse, Idle: p.Idle, Waits: p.WaitCount, Waited: p.WaitDuration}
		})
	}
}

// pingEvery is how often Redis is asked whether it is there.
const pingEvery = time.Second

// ping notices when Redis goes and comes, until ctx ends.
func (s *Service) ping(ctx context.Context) {
	if s.shared == nil {
		return
	}
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		switch err := s.shared.Ping(ctx); {
		case ctx.Err() != nil:
			return
		case err == nil && s.pings.well():
			s.log.InfoContext(ctx, "cache: answers again")
		case err != nil && s.pings.badly(s.now()):
			s.log.ErrorContext(ctx, "cache: does not answer, nobody can sign in anew", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
