package main

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"time"
)

// side is one half of a pair.
type side struct {
	target *target
	work   func(pair int) work
	warm   func(pair int) work // what is asked before, unmeasured; may be nil
}

// row is a figure.
type row struct {
	path, against  string
	wanted, aim    float64 // of ratios; 0 for a row that shows how far the others can be trusted
	measured, base side
	slice          time.Duration
	pairs          []pair
}

// pair is a slice of each side, one right after the other.
type pair struct{ measured, base slice }

func (p pair) ratio() float64 { return p.measured.rate() / p.base.rate() }

const (
	pathControl   = "control: the bare handler"
	pathWithRedis = "exchange of a token seen before, with Redis"

	againstExchange = "one ES256 verification and one ES256 signature"
	againstVerify   = "one ES256 verification"
)

// rows are all figures, in the order in which a turn takes them.
func (s *setup) rows() []*row {
	bareExchange := side{target: s.bare, work: func(int) work { return s.bareExchanges(pathExchange) }}
	bareSign := side{target: s.bare, work: func(int) work { return s.bareExchanges(pathSign) }}
	bareMade := side{target: s.bare, work: func(int) work { return s.bareExchanges(pathMade) }}
	bareActive := side{target: s.bare, work: func(int) work { return s.active }}
	bareVerify := side{target: s.bare, work: func(int) work { return s.verify }}
	all := []*row{
		{path: pathControl, against: "itself", measured: bareExchange, base: bareExchange},
		{path: "limit: the bare handler signs alone", against: againstExchange, measured: bareSign, base: bareExchange},
		{path: "limit: the bare handler answers at once", against: againstExchange, measured: bareMade, base: bareExchange},
		{path: "limit: the bare handler answers at once", against: againstVerify, measured: bareActive, base: bareVerify},
		{
			path: "exchange of a token at first sight", against: againstExchange, wanted: 0.8, aim: 0.9,
			measured: side{
				target: s.plain,
				work:   func(pair int) work { return s.fresh(s.ofPair(pair), places()[:1]) },
				warm:   func(int) work { return s.exchanges(s.regulars, places()[1:2]) }, // the sign-ins are known, the tokens are not
			},
			base: bareExchange, slice: s.firstSightSlice(),
		},
		{
			path: "exchange of a token seen before", against: againstExchange, wanted: 1.5, aim: 1.8,
			measured: s.seen(s.plain, s.firstHalf), base: bareExchange,
		},
		{
			path: "exchange, the same again", against: againstExchange, wanted: 3, aim: 4,
			measured: side{
				target: s.plain,
				work:   func(int) work { return s.again() },
				warm:   func(int) work { return s.exchanges(s.regulars, places()[:1]) },
			},
			base: bareExchange,
		},
		{
			path: "introspection of a token seen before", against: againstVerify, wanted: 3, aim: 3.5,
			measured: side{target: s.plain, work: func(int) work { return s.introspect }}, base: bareVerify,
		},
		{
			path: "configuration for a token seen before", against: againstVerify, wanted: 3, aim: 3.5,
			measured: side{target: s.plain, work: func(int) work { return s.configure }}, base: bareVerify,
		},
	}
	if s.shared != nil {
		all = append(all, &row{
			path: pathWithRedis, against: "the same without Redis", wanted: 0.95, aim: 1,
			measured: s.seen(s.shared, s.secondHalf), base: s.seen(s.plain, s.secondHalf),
		})
	}
	for _, r := range all {
		if r.slice == 0 {
			r.slice = s.options.slice
		}
	}
	return all
}

// ofPair are the tokens that nobody but one pair presents.
func (s *setup) ofPair(pair int) []subject { return s.pool[pair*s.chunk:][:s.chunk] }

func (s *setup) firstHalf(pair int) []subject  { return s.ofPair(pair)[:s.chunk/2] }
func (s *setup) secondHalf(pair int) []subject { return s.ofPair(pair)[s.chunk/2:] }

// seen is exchanging tokens for services that they were not exchanged for yet, right after they
// were exchanged for another one.
func (s *setup) seen(t *target, tokens func(pair int) []subject) side {
	return side{
		target: t,
		warm:   func(pair int) work { return s.exchanges(tokens(pair), places()[:1]) },
		work:   func(pair int) work { return s.fresh(tokens(pair), places()[1:]) },
	}
}

func (s *setup) exchanges(subjects []subject, at []place) *exchanges {
	base := s.organisation.base
	return &exchanges{head: post(strings.TrimPrefix(base, "http://"), "/token"), subjects: subjects, places: at, issuer: base, key: s.key}
}

// fresh is exchanges of which every one must make a token.
func (s *setup) fresh(subjects []subject, at []place) *exchanges {
	e := s.exchanges(subjects, at)
	e.numbers = s.numbers
	return e
}

// again is the same few exchanges without end.
func (s *setup) again() *exchanges {
	e := s.exchanges(s.regulars, places()[:1])
	e.endless = true
	return e
}

// bareExchanges is the same for the bare handler, at one of its paths.
func (s *setup) bareExchanges(path string) *exchanges {
	return &exchanges{
		head: post(s.bare.process.address, path), endless: true, issuer: bareIssuer,
		subjects: []subject{{token: s.regulars[0].token, person: barePerson}}, places: []place{{barePlace, bareScope}},
		key: func(string) crypto.PublicKey { return s.bareKey },
	}
}

// takeTurns takes all pairs: a pair of every row, then the next pair of every row, so that whatever
// else the machine does meets all of them alike. Who is first in a pair changes too. The
// first turn warms everything up and does not count.
func (s *setup) takeTurns(ctx context.Context, rows []*row, pairs int) error {
	for turn := range pairs + 1 {
		for n, r := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			p, err := r.take(ctx, turn, (turn+n)%2 == 0)
			if err != nil {
				return fmt.Errorf("%s: %w", r.path, err)
			}
			if turn > 0 {
				r.pairs = append(r.pairs, p)
			}
		}
	}
	return nil
}

// take takes one pair.
func (r *row) take(ctx context.Context, turn int, measuredFirst bool) (p pair, err error) {
	for _, s := range []side{r.measured, r.base} {
		if s.warm == nil {
			continue
		}
		if _, err := s.target.ask(ctx, s.warm(turn), patience); err != nil {
			return p, fmt.Errorf("warm up: %w", err)
		}
	}
	halves := []func() error{
		func() (err error) {
			p.measured, err = r.measured.target.ask(ctx, r.measured.work(turn), r.slice)
			return err
		},
		func() (err error) { p.base, err = r.base.target.ask(ctx, r.base.work(turn), r.slice); return err },
	}
	if !measuredFirst {
		slices.Reverse(halves)
	}
	for _, half := range halves {
		if err := half(); err != nil {
			return p, err
		}
	}
	return p, nil
}
