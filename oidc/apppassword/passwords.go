package apppassword

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

var (
	// ErrWrong means that what was presented is no app password of this tenant that lives, or that
	// too many wrong ones came before it. It never says which. Answer with a plain no.
	ErrWrong = errors.New("apppassword: wrong password")
	// ErrTooMany is an ErrWrong with which attempts at a password that somebody has became too many: for
	// each password once in an hour, whoever tries. Record it.
	ErrTooMany = fmt.Errorf("%w, as many before it", ErrWrong)
)

// What is allowed in a minute before even a right password is refused until the next (R21). The
// secret cannot be guessed at any rate: this keeps who tries from making work.
const (
	wrongBySelector = 10
	wrongByNetwork  = 100
	span            = time.Minute
)

// toldEvery is how often it is told of a password that too many tried it: strangers must not fill the record.
const toldEvery = time.Hour

// maxLiving is how many app passwords of one account may live.
const maxLiving = 100

// noteEvery is how often the use of a password is written down.
const noteEvery = time.Hour

// purpose names the key of the hash.
const purpose = "app-password"

// Hasher makes keyed hashes: one under each server key, the current one first, so that what was
// kept before a new key was put in front is recognised as long as the old one stays. Implemented by
// internal/seal.
type Hasher interface {
	Names(purpose string, data []byte) ([][]byte, error)
}

// Limits counts events. Implemented by internal/cache.
type Limits interface {
	Allow(ctx context.Context, key string, limit int, span time.Duration) (ok bool, wait time.Duration, err error)
}

// Cache remembers who is not listened to for a while. Implemented by internal/cache.
type Cache interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (won bool, err error)
}

// Passwords makes app passwords and finds those that are presented. Fill in every field; it is
// safe for use by many goroutines.
type Passwords struct {
	Store  Store
	Hasher Hasher
	Limits Limits
	Cache  Cache
	Random io.Reader // crypto/rand.Reader
	Now    func() time.Time
}

// Presented is a password that somebody sent to a server.
type Presented struct {
	Password string // as typed
	From     string // network address it came from, as the server says; empty if it did not say
	Server   string // name of that server: what it says of addresses counts at no other one
}

// Make makes a password, keeps its hash with k, and returns it: nobody can be told it again.
// k says whose it is and for what; ID, Selector and Hash are filled in. ErrNotFound if the
// account is gone, ErrFull, ErrEnded.
func (p *Passwords) Make(ctx context.Context, tenant string, k Kept) (Password, error) {
	for range 3 { // of a million passwords, one in a million meets a selector that is taken
		made, err := New(p.Random)
		if err != nil {
			return Password{}, err
		}
		hashes, err := p.Hasher.Names(purpose, made.hashed(tenant))
		if err != nil {
			return Password{}, fmt.Errorf("hash app password: %w", err)
		}
		k.Selector, k.Hash = made.Selector(), hashes[0]
		err = p.Store.KeepAppPassword(ctx, tenant, k, maxLiving)
		if err == nil {
			return made, nil
		}
		if !errors.Is(err, ErrTaken) {
			return Password{}, fmt.Errorf("keep app password: %w", err)
		}
	}
	return Password{}, fmt.Errorf("keep app password: %w", ErrTaken)
}

// nobodys stands in for what an unknown selector would have found.
var nobodys = make([]byte, 32)

// Find returns the app password that was presented, if it lives: ErrWrong if it does not, whatever
// is wrong. A selector that nobody has costs the same hash and comparison as one that somebody has
// (R21). Whoever finds that a right password came with a wrong name says so with Wrong.
func (p *Passwords) Find(ctx context.Context, tenant string, presented Presented) (Kept, error) {
	password, ok := Parse(presented.Password)
	if !ok {
		return Kept{}, ErrWrong // no attempt at one, so it is not counted: servers try several lists of passwords
	}
	found, err := p.Store.AppPassword(ctx, tenant, password.Selector())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Kept{}, fmt.Errorf("look up app password: %w", err)
	}
	known, hash := err == nil, found.Hash
	if !known {
		hash = nobodys
	}
	hashes, err := p.Hasher.Names(purpose, password.hashed(tenant))
	if err != nil {
		return Kept{}, fmt.Errorf("hash app password: %w", err)
	}
	right := 0
	for _, own := range hashes {
		right |= subtle.ConstantTimeCompare(own, hash)
	}
	if !known || right != 1 {
		return Kept{}, p.wrong(ctx, tenant, password, presented, known)
	}
	if !found.Lives() || p.shutOut(ctx, tenant, password, presented) {
		return Kept{}, ErrWrong
	}
	return found, nil
}

// Used notes that a password was used, at most once an hour.
func (p *Passwords) Used(ctx context.Context, tenant string, k Kept) error {
	now := p.Now()
	since := now.Add(-noteEvery)
	if k.LastUsedAt.After(since) {
		return nil
	}
	if err := p.Store.UseAppPassword(ctx, tenant, k.ID, now, since); err != nil {
		return fmt.Errorf("note use of app password: %w", err)
	}
	return nil
}

// Wrong counts that a right password came with a wrong name, as one that failed. It returns ErrWrong, or
// ErrTooMany.
func (p *Passwords) Wrong(ctx context.Context, tenant string, presented Presented) error {
	password, ok := Parse(presented.Password)
	if !ok {
		return ErrWrong
	}
	return p.wrong(ctx, tenant, password, presented, true)
}

// wrong counts an attempt that failed, by selector and by network, never by account: a stranger's
// attempts lock nobody out (R21). A cache that is away counts nothing, as everywhere. Whether somebody has the
// selector changes nothing but what is told.
func (p *Passwords) wrong(ctx context.Context, tenant string, password Password, presented Presented, known bool) error {
	// Who hangs up has tried all the same.
	ctx = context.WithoutCancel(ctx)
	selector := bySelector(tenant, password)
	tooMany := p.count(ctx, selector)
	if network, said := byNetwork(tenant, presented); said && p.count(ctx, network) {
		return ErrWrong // it is not listened to: what it does is no news
	}
	if !tooMany {
		return ErrWrong
	}
	quiet := span
	if known {
		quiet = toldEvery
	}
	first, err := p.Cache.Add(ctx, "app-password-told:1:"+selector.name, []byte{1}, quiet)
	if err != nil || !first || !known {
		return ErrWrong
	}
	return ErrTooMany
}

// count counts an attempt that failed, and reports whether that were too many.
func (p *Passwords) count(ctx context.Context, by counter) (tooMany bool) {
	allowed, wait, err := p.Limits.Allow(ctx, "app-password:1:"+by.name, by.limit, span)
	if err != nil || allowed {
		return false
	}
	_, _ = p.Cache.Add(ctx, shutKey(by), []byte{1}, wait)
	return true
}

// shutOut reports whether too many wrong ones came for this selector or from this network.
func (p *Passwords) shutOut(ctx context.Context, tenant string, password Password, presented Presented) bool {
	by := []counter{bySelector(tenant, password)}
	if network, said := byNetwork(tenant, presented); said {
		by = append(by, network)
	}
	return slices.ContainsFunc(by, func(c counter) bool {
		_, found, err := p.Cache.Get(ctx, shutKey(c))
		return err == nil && found
	})
}

// counter is what failed attempts are counted by.
type counter struct {
	name  string
	limit int
}

func shutKey(c counter) string { return "app-password-shut:1:" + c.name }

func bySelector(tenant string, password Password) counter {
	return counter{tenant + ":selector:" + password.Selector(), wrongBySelector}
}

// byNetwork counts what one server says of one network. It reports false if that said nothing of use.
func byNetwork(tenant string, presented Presented) (counter, bool) {
	network := networkOf(presented.From)
	return counter{tenant + ":network:" + network + ":" + presented.Server, wrongByNetwork}, network != ""
}

// networkOf is what counts as one address: an IPv4 address, or the /64 that one customer has. What
// is no address counts as none: it is the word of a server that we know, not of a stranger.
func networkOf(from string) string {
	addr, err := netip.ParseAddr(from)
	if err != nil {
		return ""
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	network, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return ""
	}
	return network.String()
}
