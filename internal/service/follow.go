package service

import (
	"context"
	"time"
)

// bell is the channel on which a replica tells the others that the revision has
// moved. Hearing it makes them look sooner; who misses it looks all the same.
const bell = "bell"

// ring tells the other replicas that something changed, off the way of the request
// that changed it. It never waits: one word says as much as many.
func (s *Service) ring() {
	s.store.Nudge()
	select {
	case s.rung <- struct{}{}:
	default:
	}
}

// tell passes on what ring said until ctx ends.
func (s *Service) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.rung:
			// Who does not hear it looks every watchEvery all the same.
			_ = s.kept.Publish(ctx, bell, nil)
		}
	}
}

// listen looks at once when another replica rings, until ctx ends.
func (s *Service) listen(ctx context.Context) {
	for ctx.Err() == nil {
		s.hear(ctx)
		s.pause(ctx)
	}
}

func (s *Service) hear(ctx context.Context) {
	messages, stop, err := s.kept.Subscribe(ctx, bell)
	if err != nil {
		return // the cache is away: its own health says so
	}
	defer stop()
	for range messages {
		s.store.Nudge()
	}
}

// follow looks at the revision until ctx ends. A database that cannot be read for a
// while must not make the service deaf, so it never gives up.
func (s *Service) follow(ctx context.Context) {
	for ctx.Err() == nil {
		seen := int64(-1)
		before := s.now()
		err := s.store.Watch(ctx, s.watch, func(revision int64) {
			// A look began after the one before it ended.
			if err := s.known.Looked(ctx, before, revision); err != nil {
				if s.looks.badly(s.now()) {
					s.log.ErrorContext(ctx, "revocations: cannot learn what ended, trying again", "err", err)
				}
				return
			}
			if s.looks.well() {
				s.log.InfoContext(ctx, "database: answers again")
			}
			if revision != seen {
				seen = revision
				s.wake()
			}
			before = s.now()
		})
		if err != nil {
			s.known.Lost()
			if s.looks.badly(s.now()) {
				s.log.ErrorContext(ctx, "database: cannot look for changes, trying again", "err", err)
			}
			s.pause(ctx)
		}
	}
}

// wake lets reloads look whether the facts changed.
func (s *Service) wake() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// reloads catches up whenever the revision has moved, until ctx ends. It is not part
// of follow, so that facts that cannot be compiled do not keep ended grants from
// being noticed.
func (s *Service) reloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.moved:
			s.catchUp(ctx)
		}
	}
}

// catchUp reloads until what is served is what is declared.
func (s *Service) catchUp(ctx context.Context) {
	for ctx.Err() == nil {
		facts, err := s.store.Facts(ctx)
		same := err == nil && facts == s.facts.Load()
		switch {
		case same:
			err = s.learnKeys(ctx)
		case err == nil:
			err = s.Reload(ctx)
		}
		if err == nil && same {
			s.loads.well()
			return
		}
		if err == nil {
			s.log.InfoContext(ctx, "reloaded", "revision", s.Answers.Current().Revision)
			continue
		}
		if ctx.Err() == nil && s.loads.badly(s.now()) {
			s.log.ErrorContext(ctx, "reload: what was served before goes on", "err", err)
		}
		s.pause(ctx)
	}
}

// learnKeys loads the signing keys again if somebody replaced one: that changes no facts.
func (s *Service) learnKeys(ctx context.Context) error {
	n, err := s.store.CountKeys(ctx)
	if err != nil || n == s.Keys.Count() {
		return err
	}
	for _, r := range s.Answers.Current().Realms() {
		if err := s.Keys.Ensure(ctx, r.Name); err != nil {
			return err
		}
	}
	s.log.InfoContext(ctx, "signing keys: learned of new ones")
	return nil
}

// pause waits a little before something is tried again.
func (s *Service) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(2 * s.watch):
	}
}
