package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// How long what is known of a grant counts (R26).
const (
	// feedPatience is how long a look at the feed counts, and how often a grant is
	// looked up in SQL while the feed is away.
	feedPatience = 5 * time.Second
	// readPatience is how long a grant's account counts as read: it may change by a
	// sign-in at another replica, which the feed does not tell.
	readPatience = 60 * time.Second
	// lookUpPatience bounds one look-up, so that a database that hangs holds up no request.
	lookUpPatience = 2 * time.Second
	// maxKnown bounds the memory: about 1 KiB for each grant.
	maxKnown = 100_000
)

// Results that Known observes.
const (
	KnownHit     = "hit"     // answered without SQL
	KnownMiss    = "miss"    // SQL was asked and answered, if only with "there is none"
	KnownStale   = "stale"   // SQL did not answer, and what was known before counted
	KnownRefused = "refused" // SQL did not answer, and nothing that was known counted
)

// EndedGrant names a grant that has ended.
type EndedGrant struct{ Tenant, ID string }

// Feed tells which grants have ended. Implemented by internal/store.
type Feed interface {
	// Ended returns the grants whose end raised the revision above since, and the
	// revision, both as of one moment.
	//
	// The revision is one row, which whoever ends a grant raises in the same
	// transaction and so holds locked until the commit. Therefore ends become visible
	// in the order of their revisions: who has read revision r has seen every end up
	// to r, and none comes later. Numbers from a sequence are given out before the
	// commit and become visible in any order; only they would need a look back.
	Ended(ctx context.Context, since int64) (ended []EndedGrant, revision int64, err error)
}

// Holders is where grants and accounts are read. It is a part of Store.
type Holders interface {
	Account(ctx context.Context, tenant, id string) (Account, error)
	Grant(ctx context.Context, tenant, id string) (Grant, error)
}

// Known is what this process knows of grants and their accounts, so that a token of a
// known grant is checked without SQL, and also while SQL is away, for as long as
// R26 allows. It learns of ends elsewhere by Looked and of ends here by End and
// its like. What it does not know, it reads. Make one with NewKnown; it is safe for use by
// many goroutines.
type Known struct {
	// Observe, if not nil, is told the result of each call of Holder by the goroutine that
	// makes it: KnownHit, KnownMiss, KnownStale or KnownRefused. Set it before the first.
	Observe func(result string)

	store    Holders
	feed     Feed
	now      func() time.Time
	maxStale time.Duration

	looking sync.Mutex // held by the one look at the feed
	lookUps singleflight.Group

	mu        sync.Mutex
	grants    *recentGrants
	changes   uint64    // raised by whatever may make wrong what is being read meanwhile
	following bool      // after the first look
	revision  int64     // every end up to here has been noted
	confirmed time.Time // before the last look that found nothing more to note
}

// NewKnown makes a Known that knows nothing yet. A grant that it knows is answered for
// maxStale, 5 minutes in R26, after the last confirmation that it lives, and not longer.
// now is the clock of everything that it is told.
func NewKnown(store Holders, feed Feed, maxStale time.Duration, now func() time.Time) *Known {
	return &Known{store: store, feed: feed, maxStale: maxStale, now: now, grants: newRecentGrants(maxKnown)}
}

// Looked tells that the revision was looked at: it is revision, and the look began at
// the moment at or later. Call it after each successful look, two a second (R26). If the
// revision moved, Known asks the feed what ended. An error means that this did not
// succeed and the look confirms nothing; the next one asks again.
func (k *Known) Looked(ctx context.Context, at time.Time, revision int64) error {
	k.looking.Lock()
	defer k.looking.Unlock()
	since, following := k.noted()
	if !following || revision < since { // a smaller one is of another database: a backup was put back
		k.startOver(at, revision)
		return nil
	}
	if revision == since {
		k.note(at, revision, nil)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpPatience)
	defer cancel()
	ended, revision, err := k.feed.Ended(ctx, since)
	if err != nil {
		return fmt.Errorf("learn what ended since revision %d: %w", since, err)
	}
	k.note(at, revision, ended)
	return nil
}

// Lost tells that the feed was lost: what answers next may be another server, which
// counts from an older revision. The next look begins anew; until then, what is known
// counts as long as it would.
func (k *Known) Lost() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.following = false
}

// Confirmed returns the moment up to which every end is certain to be known; zero
// before the first look.
func (k *Known) Confirmed() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.confirmed
}

func (k *Known) noted() (revision int64, following bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.revision, k.following
}

// startOver forgets everything: the feed says nothing of what ended between the time
// when that was read and its own first look.
func (k *Known) startOver(at time.Time, revision int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes++
	k.grants.clear()
	k.following, k.revision, k.confirmed = true, revision, at
}

func (k *Known) note(at time.Time, revision int64, ended []EndedGrant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range ended {
		k.end(grantKey{e.Tenant, e.ID})
	}
	k.revision, k.confirmed = revision, later(k.confirmed, at)
}

// End notes that this process has ended a grant. Call it after the commit and before the
// answer, so that no answer is followed by a token (R26). It may be called on nil.
func (k *Known) End(tenant, id string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end(grantKey{tenant, id})
}

// endMade notes that this process has ended the grant that a code made.
func (k *Known) endMade(tenant string, originHash []byte) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes++
	for _, key := range k.grants.having(ofCode(tenant, originHash)) {
		k.end(key)
	}
}

// changedAccount forgets what a sign-in in this process has changed, or an end of all grants.
// Whoever lost a name to the person by a sign-in (R1) has lost the grants too, and those the feed tells.
func (k *Known) changedAccount(tenant, account string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes++
	for _, key := range k.grants.having(ofAccount(tenant, account)) {
		k.grants.drop(key)
	}
}

// end keeps the grant as one that has ended: so it stays refused when SQL is away.
func (k *Known) end(key grantKey) {
	k.changes++
	g, found := k.grants.get(key)
	if found && g.read() && g.grant.EndedAt.IsZero() {
		g.grant.EndedAt = k.now()
		k.grants.put(g)
	}
}

// Holder returns a grant, ended or not, and its account: ErrNotFound if either is
// gone, and an *oidc.Error temporarily_unavailable if nobody can tell just now whether the
// grant lives. What it returns is shared: do not change the slices.
func (k *Known) Holder(ctx context.Context, tenant, id string) (Account, Grant, error) {
	key := grantKey{tenant, id}
	if g, ok := k.find(key, k.fresh); ok {
		return k.answer(KnownHit, g, nil)
	}
	g, err := k.lookUp(ctx, key)
	if err == nil || errors.Is(err, ErrNotFound) {
		return k.answer(KnownMiss, g, err)
	}
	// Only now: it may have ended while SQL was asked.
	if g, ok := k.find(key, k.counts); ok {
		return k.answer(KnownStale, g, nil)
	}
	return k.answer(KnownRefused, knownGrant{}, busy("load grant", err))
}

func (k *Known) answer(result string, g knownGrant, err error) (Account, Grant, error) {
	if k.Observe != nil {
		k.Observe(result)
	}
	return g.account, g.grant, err
}

// find returns what is known of a grant if that is good enough now.
func (k *Known) find(key grantKey, enough func(knownGrant, time.Time) bool) (knownGrant, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, found := k.grants.get(key)
	if !found || !g.read() || !g.ended() && !enough(g, k.now()) {
		return knownGrant{}, false
	}
	return g, true
}

// fresh reports whether a living grant needs no look-up.
func (k *Known) fresh(g knownGrant, now time.Time) bool {
	age, patience := now.Sub(g.readAt), min(feedPatience, k.maxStale)
	return age <= patience || age <= readPatience && now.Sub(k.confirmed) <= patience
}

// counts reports whether a living grant that cannot be looked up is answered all the same.
func (k *Known) counts(g knownGrant, now time.Time) bool {
	confirmed := later(g.readAt, k.confirmed)
	return now.Sub(confirmed) <= k.maxStale && now.Sub(g.readAt) <= readPatience+k.maxStale
}

// errAwayLately means that a look-up failed a moment ago and was not tried again.
var errAwayLately = errors.New("issuer: the database did not answer a moment ago")

// lookUp reads a grant from SQL. All who ask at the same time wait for one look-up.
func (k *Known) lookUp(ctx context.Context, key grantKey) (knownGrant, error) {
	found, err, _ := k.lookUps.Do(key.tenant+"/"+key.id, func() (any, error) {
		// The look-up of those who asked a moment ago may just have ended.
		if g, ok := k.find(key, k.fresh); ok {
			return g, nil
		}
		if k.failedLately(key) {
			return knownGrant{}, errAwayLately
		}
		return k.load(ctx, key)
	})
	g, _ := found.(knownGrant)
	return g, err
}

// load reads a grant and keeps it. It is done for all who wait, so that nobody's
// hanging up ends it.
func (k *Known) load(ctx context.Context, key grantKey) (knownGrant, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpPatience)
	defer cancel()
	for ctx.Err() == nil {
		changes := k.changed()
		g := knownGrant{key: key, readAt: k.now()}
		var err error
		g.account, g.grant, err = readHolder(ctx, k.store, key.tenant, key.id)
		g.account.joined = &joined{}
		switch {
		case errors.Is(err, ErrNotFound):
			k.drop(key)
			return knownGrant{}, ErrNotFound
		case err != nil:
			k.failed(key)
			return knownGrant{}, err
		case k.keep(g, changes):
			return g, nil
		}
		// Something ended while it was read, perhaps this: what was read may be older than that.
	}
	k.failed(key)
	return knownGrant{}, ctx.Err()
}

func (k *Known) changed() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changes
}

// keep keeps what was read, unless something has changed since.
func (k *Known) keep(g knownGrant, changes uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.changes != changes {
		return false
	}
	k.grants.put(g)
	return true
}

func (k *Known) drop(key grantKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.grants.drop(key)
}

func (k *Known) failed(key grantKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, _ := k.grants.get(key)
	g.key, g.failedAt = key, k.now()
	k.grants.put(g)
}

// failedLately reports whether the last look-up failed so short ago that another
// would only make one more request wait.
func (k *Known) failedLately(key grantKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, found := k.grants.get(key)
	return found && k.now().Sub(g.failedAt) <= feedPatience
}

// readHolder reads a grant and its account: ErrNotFound if either is gone.
func readHolder(ctx context.Context, from Holders, tenant, id string) (Account, Grant, error) {
	grant, err := from.Grant(ctx, tenant, id)
	if err != nil {
		return Account{}, Grant{}, err
	}
	account, err := from.Account(ctx, tenant, grant.AccountID)
	if err != nil {
		return Account{}, Grant{}, err
	}
	return account, grant, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
