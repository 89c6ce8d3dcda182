package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// pruneFirst is how long after its start a replica prunes first: not while everything
	// that was waiting for it comes at once.
	pruneFirst = 3 * time.Minute
	pruneEvery = time.Hour
	// pruneBatch is how many rows one transaction removes, and prunePause how long others
	// have the database for themselves after it.
	pruneBatch = 500
	prunePause = 100 * time.Millisecond
	// keepEnded is how long grants and their refresh tokens stay after the end. Codes and
	// access tokens live for an hour at most and could do without; but whoever comes with a refresh
	// token that was stolen, or forgotten in a program that is seldom started, is recorded under
	// the sign-in that it belonged to.
	keepEnded = 90 * day
)

// prunes removes what nothing needs any more, now and then, until ctx ends. Replicas do so
// each at its own time; two at once find different rows, or none.
//
// It leaves signing keys alone, also those that are published no more: an ID token that one of
// them signed is still taken as id_token_hint, however old it is.
func (s *Service) prunes(ctx context.Context) {
	for wait := pruneFirst; ; wait = pruneEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait + rand.N(wait/4)): //nolint:gosec // G404: so that replicas do not all come at once
			s.prune(ctx)
		}
	}
}

// pruned counts what a run has removed.
type pruned struct{ events, refreshTokens, grants, appPasswords int }

// prune removes audit events that are older than they are to be kept, and grants and app passwords
// that ended long ago. What fails is tried again by the next run.
func (s *Service) prune(ctx context.Context) {
	removed, err := s.pruneAll(ctx, s.now())
	if removed != (pruned{}) {
		s.log.InfoContext(ctx, "pruned what is kept no longer",
			"events", removed.events, "refresh_tokens", removed.refreshTokens, "grants", removed.grants,
			"app_passwords", removed.appPasswords)
	}
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "prune: what is left is tried again later", "err", err)
	}
}

// pruneAll goes on to the next when one fails: a record that may not be shortened must not keep
// everything else from being removed.
func (s *Service) pruneAll(ctx context.Context, now time.Time) (removed pruned, err error) {
	var failed [4]error
	if keep := s.config.AuditRetention; keep > 0 {
		removed.events, failed[0] = inBatches(ctx, now.Add(-keep), s.store.PruneAudit)
	}
	// Tokens before grants: a grant with many of them would be a long transaction.
	ended := now.Add(-keepEnded)
	removed.refreshTokens, failed[1] = inBatches(ctx, ended, s.store.PruneRefreshTokens)
	removed.appPasswords, failed[2] = inBatches(ctx, ended, s.store.PruneAppPasswords)
	removed.grants, failed[3] = inBatches(ctx, ended, s.store.PruneGrants)
	return removed, errors.Join(failed[:]...)
}

// inBatches removes batch after batch until one is not full, and returns how many rows that was.
func inBatches(ctx context.Context, before time.Time, remove func(ctx context.Context, before time.Time, most int) (int, error)) (total int, err error) {
	for {
		n, err := remove(ctx, before, pruneBatch)
		total += n
		if err != nil || n < pruneBatch {
			return total, err
		}
		select {
		case <-ctx.Done():
			return total, ctx.Err()
		case <-time.After(prunePause):
		}
	}
}
